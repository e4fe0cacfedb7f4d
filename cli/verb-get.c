#include "cli/output.h"
#include "cli/verbs.h"

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        output_object(reply.json);
    reply_deinit(&reply);
    return CLI_OK;
}

static const char *const operands[] = { "id", NULL };

const struct verb verb_get = {
    .name = "get",
    .usage = "ID",
    .operation = "sandbox_get",
    .operands = operands,
    .run = run,
};

const struct verb verb_info = {
    .name = "info",
    .usage = "",
    .operation = "info",
    .run = run,
};
