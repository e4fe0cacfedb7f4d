#include "cli/output.h"
#include "cli/verbs.h"

/* Without a size it only looks. */
static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    if (json_object_size(request->body) == 0)
        request->op = &api_table[API_DESKTOP_DISPLAY];
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, NULL, &reply);
}

static const char *const operands[] = { "id", "?width,height", NULL };
static const char *const hidden[] = { "width", "height", NULL };

const struct verb verb_display = {
    .name = "display",
    .usage = "ID [WIDTHxHEIGHT]",
    .operation = "desktop_resize",
    .operands = operands,
    .hidden = hidden,
    .run = run,
    .summary = "Shows the size and state of the screen, or changes its size.",
    .text = "With a size, waits until the guest has taken it.\n",
};
