#include "cli/output.h"
#include "cli/picture.h"
#include "cli/stdin.h"
#include "cli/verbs.h"

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    struct error err = { 0 };
    const char *file = request_own(request, "output"), *text = request_own(request, "body");
    if (text && stdin_read_body(request->body, text, NULL, &err) < 0)
        return cli_fail_error(cli, CLI_USAGE, &err);
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (file)
        status = picture_write(cli, file, reply.text.data, reply.text.size);
    else
        output_reply(&reply);
    reply_deinit(&reply);
    return status;
}

static void print_operations(void (*print)(const char *term, const char *text))
{
    for (size_t i = 0; i < API_COUNT; i++) {
        if (!(api_table[i].flags & API_COMPAT))
            print(api_table[i].name, api_table[i].summary);
    }
}

static const struct flag flags[] = {
    { .name = "body",
      .value = "JSON",
      .text = "The body as JSON; @FILE reads a file, - standard input." },
    { .name = "output", .letter = 'o', .value = "FILE", .text = "Write the answer to FILE." },
    { .name = "idempotency-key", .value = "KEY", .text = "Sent as the Idempotency-Key header." },
    { .name = NULL },
};

const struct verb verb_api = {
    .name = "api",
    .usage = "OPERATION [PATH-VALUE…]",
    .is_generic = true,
    .flags = flags,
    .run = run,
    .summary = "Calls any operation of the API by its name and prints the answer.",
    .text = "The values of the operation's path follow its name. Every field of its query and\n"
            "body is an option; `deskfarm help api OPERATION` shows them. Options win over\n"
            "--body.\n",
    .print_more = print_operations,
};
