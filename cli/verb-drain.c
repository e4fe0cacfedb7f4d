#include "cli/output.h"
#include "cli/verbs.h"

#include <stdio.h>

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        puts("draining");
    reply_deinit(&reply);
    return CLI_OK;
}

const struct verb verb_drain = {
    .name = "drain",
    .usage = "",
    .operation = "drain",
    .run = run,
};
