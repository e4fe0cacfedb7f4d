/* pause, resume, hibernate, wake: asked for, and by default waited for. metadata: labels as words. */
#include "cli/output.h"
#include "cli/verbs.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define POLL_MS 50
#define WAIT_S 300 /* a hibernation writes all memory */

static const struct column columns[] = {
    { "ID", "id" },
    { "STATE", "status.state" },
    { NULL, NULL },
};

static bool is_on_the_way(const json_t *sandbox)
{
    const char *state = json_get_string(json_object_get(sandbox, "status"), "state", "");
    return strcmp(state, "Pausing") == 0 || strcmp(state, "Resuming") == 0 ||
           strcmp(state, "Hibernating") == 0 || strcmp(state, "Waking") == 0;
}

/* Asks until it has arrived. reply: the answer so far, replaced. */
static int wait(struct cli *cli, struct reply *reply)
{
    char id[64];
    int64_t due_us = clock_now_us() + WAIT_S * 1000000LL;
    struct timespec delay = { 0, POLL_MS * 1000000L };
    snprintf(id, sizeof id, "%s", json_get_string(reply->json, "id", ""));
    while (is_on_the_way(reply->json) && clock_now_us() < due_us) {
        nanosleep(&delay, NULL);
        reply_deinit(reply);
        int status = cli_call(cli, API_SANDBOX_GET, id, NULL, reply);
        if (status != CLI_OK)
            return status;
    }
    return CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status == CLI_OK && !request_own(request, "no-wait"))
        status = wait(cli, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, columns, &reply);
}

static const char *const operands[] = { "id", NULL };

static const struct flag flags[] = {
    { .name = "no-wait", .text = "Print the state at once, on the way." },
    { .name = NULL },
};

const struct verb verb_pause = {
    .name = "pause",
    .usage = "ID",
    .operation = "sandbox_pause",
    .operands = operands,
    .flags = flags,
    .run = run,
};

const struct verb verb_resume = {
    .name = "resume",
    .usage = "ID",
    .operation = "sandbox_resume",
    .operands = operands,
    .flags = flags,
    .run = run,
};

const struct verb verb_hibernate = {
    .name = "hibernate",
    .usage = "ID",
    .operation = "sandbox_hibernate",
    .operands = operands,
    .flags = flags,
    .run = run,
};

const struct verb verb_wake = {
    .name = "wake",
    .usage = "ID",
    .operation = "sandbox_wake",
    .operands = operands,
    .run = run,
};
