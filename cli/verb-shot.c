#include "cli/output.h"
#include "cli/picture.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

/* The file's name decides the format when nothing else does. */
static void choose_format(struct request *request, const char *file)
{
    const char *format = picture_format(file);
    if (format && !json_object_get(request->query, "format"))
        json_object_set_new(request->query, "format", json_pack("[s]", format));
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *file = request_own(request, "output");
    if (!file)
        file = "-";
    int status = cli->is_json ? CLI_OK : picture_check(cli, file);
    if (status != CLI_OK)
        return status;
    choose_format(request, file);
    status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else if (json_object_get(reply.json, "image"))
        status = picture_save(cli, reply.json, file);
    else
        /* With if_changed_since: no body, or one that says so. */
        fputs("deskfarm: unchanged\n", stderr);
    reply_deinit(&reply);
    return status;
}

static const char *const operands[] = { "id", NULL };
static const char *const hidden[] = {
    "x", "y", "width", "height", "out_width", "out_height", NULL
};

static const struct flag flags[] = {
    { .name = "output",
      .letter = 'o',
      .value = "FILE",
      .text = "Write the image to FILE and print its name, bytes, size and frame; its ending "
              "(.png, .jpg, .webp) chooses the format. Default: the bytes go to standard output, "
              "unless that is a terminal." },
    { .name = "region",
      .field = "x,y,width,height",
      .value = "X,Y,WIDTH,HEIGHT",
      .text = "Only this part of the screen, in native pixels." },
    { .name = "size",
      .field = "out_width,out_height",
      .value = "WIDTHxHEIGHT",
      .text = "Size of the image." },
    { .name = NULL },
};

const struct verb verb_shot = {
    .name = "shot",
    .usage = "ID",
    .operation = "desktop_screenshot",
    .operands = operands,
    .hidden = hidden,
    .flags = flags,
    .run = run,
    .summary = "Takes a screenshot.",
    .text = "",
};
