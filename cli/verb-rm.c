/* rm, keys rm, checkpoint rm, templates rm: several ids, each its own request. One that fails does not keep the others. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <stdio.h>

static int remove_one(struct cli *cli, struct request *request, const char *id)
{
    struct reply reply;
    json_object_set_new(request->path, "id", json_string(id));
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (!cli->is_json)
        printf("%s\n", json_get_string(request->path, "id", ""));
    reply_deinit(&reply);
    return CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    size_t i;
    json_t *word;
    const json_t *words = json_object_get(request->own, "words");
    int status = CLI_OK;
    if (json_array_size(words) == 0)
        return cli_fail(cli, CLI_USAGE, "missing_field", "id is missing");
    json_array_foreach (words, i, word) {
        int r = remove_one(cli, request, json_string_value(word));
        status = MAX(status, r);
        if (r == CLI_UNREACHABLE)
            break;
    }
    return status;
}

const struct verb verb_rm = {
    .name = "rm",
    .usage = "ID…",
    .operation = "sandbox_delete",
    .take = request_take_words,
    .run = run,
    .summary = "Ends sandboxes and forgets them.",
    .text = "Prints the ids of those that were removed.\n",
};

const struct verb verb_keys_rm = {
    .name = "keys rm",
    .usage = "ID…",
    .operation = "key_remove",
    .take = request_take_words,
    .run = run,
    .summary = "Removes API keys.",
    .text = "Prints the ids of those that were removed.\n",
};

const struct verb verb_checkpoint_rm = {
    .name = "checkpoint rm",
    .usage = "CHECKPOINT…",
    .operation = "checkpoint_delete",
    .take = request_take_words,
    .run = run,
    .summary = "Deletes checkpoints.",
    .text = "Sandboxes that came from one go on, and other checkpoints stay whole. Prints the ids of\n"
            "those that were deleted.\n",
};

const struct verb verb_templates_rm = {
    .name = "templates rm",
    .usage = "TEMPLATE…",
    .operation = "checkpoint_delete",
    .take = request_take_words,
    .run = run,
    .summary = "Deletes templates.",
    .text = "Sandboxes that came from one go on. Prints the ids of those that were deleted.\n",
};
