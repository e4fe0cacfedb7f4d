/* fork, and restore: back to a checkpoint. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <string.h>

static const struct column forks[] = {
    { "ID", "id" },
    { "STATE", "status.state" },
    { "RUNNING_MS", "times.running_ms" },
    { NULL, NULL },
};

static int run_fork(struct cli *cli, struct request *request)
{
    struct reply reply;
    /* Both operations take the same. */
    if (strncmp(json_get_string(request->path, "id", ""), "cp-", 3) == 0)
        request->op = &api_table[API_CHECKPOINT_FORK];
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, forks, &reply);
}

static const char *const fork_operands[] = { "id", NULL };

static const struct flag fork_flags[] = {
    { .name = "count", .letter = 'n', .field = "count" },
    { .name = "idempotency-key", .value = "KEY", .text = "A repetition with the same key makes no more forks." },
    { .name = NULL },
};

const struct verb verb_fork = {
    .name = "fork",
    .usage = "ID | CHECKPOINT",
    .operation = "sandbox_fork",
    .operands = fork_operands,
    .flags = fork_flags,
    .run = run_fork,
    .summary = "Makes sandboxes out of a running one as it is now, or out of a checkpoint.",
    .text = "Prints a line per fork once all of them run. A checkpoint's or template's id begins with\n"
            "cp-. Here --timeout is the lease of each in seconds.\n",
};

/* --- Back ---------------------------------------------------------------------------------------- */

static const struct column restored[] = {
    { "ID", "id" },
    { "STATE", "status.state" },
    { "MS", "total_ms" },
    { NULL, NULL },
};

/* A name, or the beginning of an id, becomes an id. */
static int complete_checkpoint(struct cli *cli, struct request *request)
{
    const char *text = json_get_string(request->body, "checkpoint", "");
    auto_free char *id = NULL;
    int status = *text ? cli_find_id(cli, API_CHECKPOINT_LIST, text, &id) : CLI_OK;
    if (status == CLI_OK && id)
        json_object_set_new(request->body, "checkpoint", json_string(id));
    return status;
}

static int run_restore(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = complete_checkpoint(cli, request);
    if (status == CLI_OK)
        status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, restored, &reply);
}

static const char *const restore_operands[] = { "id", "checkpoint", NULL };
static const char *const restore_hidden[] = { "checkpoint", NULL };

const struct verb verb_restore = {
    .name = "restore",
    .usage = "ID CHECKPOINT",
    .operation = "sandbox_restore",
    .operands = restore_operands,
    .hidden = restore_hidden,
    .run = run_restore,
    .text = "CHECKPOINT is an id or a name (`deskfarm checkpoint list`). What the sandbox did since is\n"
            "lost, unless a checkpoint or a fork holds it. Works also when its guest has ended.\n",
};
