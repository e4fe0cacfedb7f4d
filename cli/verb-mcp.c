/* deskfarm mcp: the Model Context Protocol over standard input and output. Each line is a message that goes to the
 * daemon's /mcp as it is, and what is answered is a line; of a long call that wants to hear of its progress each
 * notification is one too, before the answer. */
#include "cli/verbs.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)

/* What the client is told when the daemon does not answer; it knows the request by its id. */
static void print_failure(const json_t *message)
{
    json_t *id = json_object_get(message, "id");
    if (!id)
        return;
    auto_json json_t *answer = json_pack("{ss sO s{si ss}}", "jsonrpc", "2.0", "id", id, "error", "code", -32000,
                                         "message", "the daemon did not answer; see standard error");
    json_dumpf(answer, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
}

static void print_line(const char *text, size_t size)
{
    fwrite(text, 1, size, stdout);
    putchar('\n');
    fflush(stdout);
}

static void handle_line(struct cli *cli, const char *line, size_t size)
{
    struct reply reply;
    auto_json json_t *message = NULL;
    if (json_parse_object(line, size, &message, NULL) < 0) {
        puts("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"no JSON object\"}}");
        fflush(stdout);
        return;
    }
    if (cli_call(cli, API_MCP, NULL, message, &reply) != CLI_OK) {
        print_failure(message);
        return;
    }
    size_t n = reply.text.size;
    while (n > 0 && strchr("\r\n", reply.text.data[n - 1]))
        n--;
    if (n > 0)
        print_line((const char *)reply.text.data, n);
    reply_deinit(&reply);
}

static int run(struct cli *cli, struct request *request maybe_unused)
{
    cli->on_event = print_line;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    while ((n = getline(&line, &capacity, stdin)) > 0) {
        while (n > 0 && strchr("\r\n", line[n - 1]))
            n--;
        if (n > 0 && (size_t)n <= LINE_MAX_BYTES)
            handle_line(cli, line, (size_t)n);
    }
    free(line);
    return CLI_OK;
}

const struct verb verb_mcp = {
    .name = "mcp",
    .usage = "",
    .run = run,
    .summary = "Speaks the Model Context Protocol over standard input and output.",
    .text = "For programs that start their servers themselves: give them the command `deskfarm mcp`, with --url and\n"
            "--key, or DESKFARM_URL and DESKFARM_KEY, where the daemon is not on this machine.\n",
};
