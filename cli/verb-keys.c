#include "cli/output.h"
#include "cli/verbs.h"

#include <stdio.h>

static const struct column columns[] = {
    { "ID", "id" },
    { "ROLE", "role" },
    { "NAME", "name" },
    { "SANDBOXES", "limits.sandboxes" },
    { "CPUS", "limits.cpus" },
    { "MEMORY_MIB", "limits.memory_mib" },
    { "DISK_MIB", "limits.disk_mib" },
    { "CREATED", "created_at" },
    { NULL, NULL },
};

static const struct column added[] = {
    { "KEY", "key" }, { "ID", "id" }, { "ROLE", "role" }, { NULL, NULL }
};

static int run_add(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        output_row(cli, added, reply.json);
    if (isatty(STDERR_FILENO))
        fputs("deskfarm: the key is shown this once; from the first key on, callers without one "
              "are refused\n",
              stderr);
    reply_deinit(&reply);
    return CLI_OK;
}

static const char *const add_operands[] = { "name", NULL };
static const char *const add_hidden[] = { "name", NULL };

static const struct flag add_flags[] = {
    { .name = "sandboxes", .field = "limits.sandboxes" },
    { .name = "cpus", .field = "limits.cpus" },
    { .name = "memory-mib", .field = "limits.memory_mib" },
    { .name = "disk-mib", .field = "limits.disk_mib" },
    { .name = NULL },
};

const struct verb verb_keys_add = {
    .name = "keys add",
    .usage = "NAME --role ROLE",
    .operation = "key_add",
    .operands = add_operands,
    .hidden = add_hidden,
    .flags = add_flags,
    .run = run_add,
};

const struct verb verb_keys_list = {
    .name = "keys list",
    .usage = "",
    .operation = "key_list",
    .columns = columns,
};
