#include "cli/output.h"
#include "cli/picture.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

/* "settled" when nothing is said. The image comes only when a file is there to take it. */
static void choose(struct request *request, const char *file)
{
    if (!json_object_get(request->body, "for"))
        json_object_set_new(request->body, "for", json_string("settled"));
    if (!file || json_object_get(request->body, "screenshot"))
        return;
    const char *format = picture_format(file);
    json_object_set_new(request->body, "screenshot",
                        json_pack("{s:s}", "format", format ? format : "png"));
}

static int show(struct cli *cli, const struct reply *reply, const char *file)
{
    if (cli->is_json) {
        output_reply(reply);
        return CLI_OK;
    }
    if (!file || strcmp(file, "-") != 0) {
        printf("%s\t", json_get_string(reply->json, "result", "?"));
        output_inline(reply->json, "result");
        putchar('\n');
    }
    return file && json_object_get(reply->json, "image") ? picture_save(cli, reply->json, file)
                                                         : CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *file = request_own(request, "output");
    int status = file && !cli->is_json ? picture_check(cli, file) : CLI_OK;
    if (status != CLI_OK)
        return status;
    choose(request, file);
    status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    status = show(cli, &reply, file);
    reply_deinit(&reply);
    return status;
}

static const char *const operands[] = { "id", "?for", NULL };
static const char *const hidden[] = { "for", NULL };

static const struct flag flags[] = {
    { .name = "output",
      .letter = 'o',
      .value = "FILE",
      .text = "Save a screenshot of the screen at the end." },
    { .name = "mask", .field = "masks" },
    { .name = NULL },
};

const struct verb verb_wait = {
    .name = "wait",
    .usage = "ID [settled|change]",
    .operation = "desktop_wait",
    .operands = operands,
    .hidden = hidden,
    .flags = flags,
    .run = run,
    .text = "Prints what the screen did.\n",
};
