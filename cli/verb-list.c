#include "cli/output.h"
#include "cli/verbs.h"

#include <stdio.h>

static const struct column columns[] = {
    { "ID", "id" },
    { "STATE", "status.state" },
    { "IMAGE", "image.uri" },
    { "WIDTH", "desktop.width" },
    { "HEIGHT", "desktop.height" },
    { "READY", "desktop.ready" },
    { "CREATED", "createdAt" },
    { "EXPIRES", "expiresAt" },
    { "METADATA", "metadata" },
    { NULL, NULL },
};

/* Appends the items of one page to all. */
static int add_page(struct cli *cli, struct request *request, json_t *all, bool *ret_has_more)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    json_array_extend(all, json_object_get(reply.json, "items"));
    *ret_has_more = json_get_bool(json_object_get(reply.json, "pagination"), "hasNextPage", false);
    reply_deinit(&reply);
    return CLI_OK;
}

static int list_all(struct cli *cli, struct request *request)
{
    auto_json json_t *all = json_array();
    bool has_more = true;
    json_object_set_new(request->query, "pageSize", json_pack("[s]", "200"));
    for (int page = 1; has_more; page++) {
        json_object_set_new(request->query, "page", json_pack("[o]", json_sprintf("%d", page)));
        int status = add_page(cli, request, all, &has_more);
        if (status != CLI_OK)
            return status;
    }
    if (!cli->is_json) {
        output_table(cli, columns, all);
        return CLI_OK;
    }
    auto_json json_t *object = json_pack("{s:O}", "items", all);
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    return CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    if (!json_object_get(request->query, "page") && !json_object_get(request->query, "pageSize"))
        return list_all(cli, request);
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, columns, &reply);
}

const struct verb verb_list = {
    .name = "list",
    .usage = "",
    .operation = "sandbox_list",
    .run = run,
    .text = "Shows all pages unless --page or --page-size is given.\n",
};
