#include "cli/output.h"
#include "cli/verbs.h"

static const struct column taken[] = {
    { "ID", "id" },
    { "NAME", "name" },
    { "BYTES", "bytes" },
    { "PAUSE_MS", "pause_ms" },
    { NULL, NULL },
};

static const char *const take_operands[] = { "id", "?name", NULL };
static const char *const take_hidden[] = { "name", NULL };

static const struct flag take_flags[] = {
    { .name = "idempotency-key",
      .value = "KEY",
      .text = "A repetition with the same key takes no second one." },
    { .name = NULL },
};

const struct verb verb_checkpoint = {
    .name = "checkpoint",
    .usage = "ID [NAME]",
    .operation = "sandbox_checkpoint",
    .operands = take_operands,
    .hidden = take_hidden,
    .flags = take_flags,
    .columns = taken,
    .text = "Answers when it is on disk. `deskfarm restore ID CHECKPOINT` goes back to it.\n",
};

/* --- List ---------------------------------------------------------------------------------------- */

static const struct column columns[] = {
    { "ID", "id" },
    { "NAME", "name" },
    { "SANDBOX", "sandbox" },
    { "PARENT", "parent" },
    { "BYTES", "bytes" },
    { "CREATED", "created_at" },
    { NULL, NULL },
};

/* One operation lists those of a sandbox, another all of them. */
static int run_list(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *id = json_get_string(request->own, "sandbox", NULL);
    int status = id ? cli_call(cli, API_SANDBOX_CHECKPOINTS, id, NULL, &reply) : cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, columns, &reply);
}

static const struct flag list_flags[] = {
    { .name = "sandbox", .value = "ID", .text = "Only those of this sandbox." },
    { .name = NULL },
};

const struct verb verb_checkpoint_list = {
    .name = "checkpoint list",
    .usage = "",
    .operation = "checkpoint_list",
    .flags = list_flags,
    .run = run_list,
    .text = "Oldest first. PARENT is the checkpoint that the sandbox came from.\n",
};
