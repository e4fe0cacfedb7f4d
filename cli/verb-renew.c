#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/when.h"

#include "base/clock.h"

#include <stdio.h>

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    struct error err = { 0 };
    char expires[CLOCK_RFC3339_MAX];
    const char *text = json_get_string(request->body, "expiresAt", "");
    if (when_parse(text, clock_wall_us(), expires, &err) < 0)
        return cli_fail_error(cli, CLI_USAGE, &err);
    json_object_set_new(request->body, "expiresAt", json_string(expires));
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        printf("%s\t%s\n", json_get_string(request->path, "id", ""),
               json_get_string(reply.json, "expiresAt", "-"));
    reply_deinit(&reply);
    return CLI_OK;
}

static const char *const operands[] = { "id", "expiresAt", NULL };
static const char *const hidden[] = { "expiresAt", NULL };

const struct verb verb_renew = {
    .name = "renew",
    .usage = "ID TIME",
    .operation = "sandbox_renew",
    .operands = operands,
    .hidden = hidden,
    .run = run,
    .text = "TIME is a time from now (90, 30m, 2h, 7d; seconds without a unit) or a date as\n"
            "2030-01-02T03:04:05Z.\n",
};
