#include "cli/remote.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include <string.h>
#include <unistd.h>

#define OWN_FAILURE 255
#define NO_PROGRAM 127
#define NO_PERMISSION 126

static void add_terminal(json_t *body)
{
    int columns = 80, rows = 24;
    const char *type = getenv("TERM");
    terminal_size(&columns, &rows);
    json_object_set_new(body, "terminal", json_pack("{s:i,s:i}", "columns", columns, "rows", rows));
    json_t *env = json_object_get(body, "env");
    if (!env)
        json_object_set_new(body, "env", env = json_object());
    if (type && *type && !json_object_get(env, "TERM"))
        json_object_set_new(env, "TERM", json_string(type));
}

/* As a shell would tell it. */
static int fail(struct cli *cli, const struct remote_end *end)
{
    int status = strcmp(end->code, "not_found") == 0   ? NO_PROGRAM
                 : strcmp(end->code, "forbidden") == 0 ? NO_PERMISSION
                                                       : OWN_FAILURE;
    return cli_fail(cli, status, end->code, "%s", end->message);
}

static int run(struct cli *cli, struct request *request)
{
    struct remote_end end;
    bool has_terminal = request_own(request, "tty");
    json_t *words = json_object_get(request->own, "words");
    if (words)
        json_object_set(request->body, "argv", words);
    else if (!has_terminal && !json_object_get(request->body, "command"))
        return cli_fail(cli, CLI_USAGE, "missing_field",
                        "the command is missing; -t alone runs a shell");
    if (has_terminal)
        add_terminal(request->body);
    struct remote_io io = {
        .stdin_fd = request_own(request, "no-stdin") ? -1 : STDIN_FILENO,
        .has_terminal = has_terminal,
    };
    int status = remote_run(cli, request, &io, &end);
    if (status != CLI_OK)
        return status == CLI_USAGE ? status : OWN_FAILURE;
    return end.has_exit ? end.exit : fail(cli, &end);
}

static const char *const operands[] = { "id", NULL };
static const char *const hidden[] = { "argv", "terminal", NULL };

static const struct flag flags[] = {
    { .name = "tty", .letter = 't', .text = "Give it a terminal, joined to ours." },
    { .name = "user", .letter = 'u', .field = "user" },
    { .name = "cwd", .letter = 'w', .field = "cwd" },
    { .name = "env", .letter = 'e', .field = "env" },
    { .name = "no-stdin", .letter = 'n', .text = "Do not read standard input." },
    { .name = NULL },
};

const struct verb verb_exec = {
    .name = "exec",
    .usage = "ID [--] COMMAND…",
    .operation = "exec",
    .operands = operands,
    .take = request_take_rest,
    .flags = flags,
    .hidden = hidden,
    .run = run,
    .summary = "Runs a command in a guest.",
    .text = "Standard input, output and error are the command's, byte by byte. What follows the\n"
            "command's name is its own. A signal that would end us goes to the command; the third\n"
            "ends us. Exit status: the command's, or 128 and the signal that ended it; 127 when\n"
            "there is no such program, 126 when it may not be run, 255 when the guest or the\n"
            "daemon is not reached.\n",
};
