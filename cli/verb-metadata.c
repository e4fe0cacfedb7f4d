#include "cli/output.h"
#include "cli/verbs.h"

#include <string.h>

/* NAME=VALUE sets a label, NAME- removes it. */
static int take(struct request *request, int argc maybe_unused, char *const *argv,
                struct error *err)
{
    const char *text = argv[0], *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    if (!equals && n > 0 && text[n - 1] == '-')
        n--;
    else if (!equals)
        return error_set(err, ERROR_BAD_VALUE, "\"%.60s\" is neither NAME=VALUE nor NAME-", text);
    auto_free char *name = strndup(text, n);
    json_t *value = equals ? json_string(equals + 1) : json_null();
    if (n == 0 || !name || !value || json_object_set_new(request->body, name, value) < 0)
        return error_set(err, ERROR_BAD_VALUE, "\"%.60s\" is no label", text);
    return 1;
}

/* Without a change the labels are shown as they are. */
static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status;
    if (json_object_size(request->body) > 0)
        status = cli_send(cli, request, &reply);
    else
        status =
            cli_call(cli, API_SANDBOX_GET, json_get_string(request->path, "id", ""), NULL, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        output_object(json_object_get(reply.json, "metadata"));
    reply_deinit(&reply);
    return CLI_OK;
}

static const char *const operands[] = { "id", NULL };

const struct verb verb_metadata = {
    .name = "metadata",
    .usage = "ID [NAME=VALUE | NAME-]…",
    .operation = "sandbox_metadata",
    .operands = operands,
    .take = take,
    .run = run,
    .summary = "Shows and changes the labels of a sandbox.",
    .text = "NAME=VALUE sets a label, NAME- removes one; others stay. Prints the labels.\n",
};
