#include "cli/output.h"
#include "cli/picture.h"
#include "cli/stdin.h"
#include "cli/verbs.h"
#include "cli/words.h"

#include <stdio.h>
#include <string.h>

/* Operands after the id are actions, or "-" for JSON on standard input. */
static int take(struct request *request, int argc, char *const *argv, struct error *err)
{
    if (strcmp(argv[0], "-") == 0) {
        json_object_set_new(request->own, "body", json_string("-"));
        return 1;
    }
    json_t *actions = json_object_get(request->body, "actions");
    if (!actions)
        json_object_set_new(request->body, "actions", actions = json_array());
    return words_parse(actions, argc, argv, err);
}

/* Without a file the image would be thrown away; an explicit wish for it stays. */
static void choose_image(struct request *request, const char *file, bool is_json)
{
    json_t *shot = json_object_get(request->body, "screenshot");
    if (!file && !is_json && !shot) {
        json_object_set_new(request->body, "screenshot", json_false());
        return;
    }
    const char *format = file ? picture_format(file) : NULL;
    if (!format || json_is_false(shot) || json_object_get(shot, "format"))
        return;
    if (!shot)
        json_object_set_new(request->body, "screenshot", shot = json_object());
    json_object_set_new(shot, "format", json_string(format));
}

static void print_results(const json_t *answer)
{
    size_t i;
    json_t *result;
    json_array_foreach (json_object_get(answer, "results"), i, result) {
        printf("%lld\t%s\t", (long long)json_get_int(result, "index", (int64_t)i) + 1,
               json_get_string(result, "type", "?"));
        json_object_del(result, "index");
        json_object_del(result, "queued_us");
        output_inline(result, "type");
        putchar('\n');
    }
    const json_t *settle = json_object_get(answer, "settle");
    if (!settle)
        return;
    printf("screen\t%s\t", json_get_string(settle, "result", "?"));
    output_inline(settle, "result");
    putchar('\n');
}

static int show(struct cli *cli, const struct reply *reply, const char *file)
{
    if (cli->is_json) {
        output_reply(reply);
        return CLI_OK;
    }
    bool is_piped = file && strcmp(file, "-") == 0;
    if (!is_piped)
        print_results(reply->json);
    if (!file)
        return CLI_OK;
    if (json_object_get(reply->json, "image"))
        return picture_save(cli, reply->json, file);
    fputs("deskfarm: no image: the screen is unchanged\n", stderr);
    return CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    struct error err = { 0 };
    struct reply reply;
    const char *file = request_own(request, "output"), *text = request_own(request, "body");
    int status = file && !cli->is_json ? picture_check(cli, file) : CLI_OK;
    if (status != CLI_OK)
        return status;
    if (text && stdin_read_body(request->body, text, "actions", &err) < 0)
        return cli_fail_error(cli, CLI_USAGE, &err);
    choose_image(request, file, cli->is_json);
    status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    status = show(cli, &reply, file);
    reply_deinit(&reply);
    return status;
}

static const char *const operands[] = { "id", NULL };
static const char *const hidden[] = { "actions", NULL };

static const struct flag flags[] = {
    { .name = "output",
      .letter = 'o',
      .value = "FILE",
      .text = "Save the settled screenshot; the ending (.png, .jpg, .webp) chooses the format." },
    { .name = "body",
      .value = "JSON",
      .text =
          "A list of actions, or a whole request, as JSON; @FILE reads a file, - standard input." },
    { .name = "format", .field = "screenshot.format" },
    { .name = "quality", .field = "screenshot.quality" },
    { .name = "scale", .field = "screenshot.scale" },
    { .name = "region", .field = "screenshot.region" },
    { .name = "first-ms", .field = "settle.first_ms" },
    { .name = "quiet-ms", .field = "settle.quiet_ms" },
    { .name = "max-ms", .field = "settle.max_ms" },
    { .name = "mask", .field = "settle.masks" },
    { .name = "idempotency-key",
      .value = "KEY",
      .text = "A repetition with the same key acts once." },
    { .name = NULL },
};

const struct verb verb_act = {
    .name = "act",
    .usage = "ID ACTION… [, ACTION…]…",
    .operation = "desktop_actions",
    .operands = operands,
    .take = take,
    .hidden = hidden,
    .flags = flags,
    .run = run,
    .text = "Actions are words, separated by a lone \",\":\n"
            "\n"
            "    deskfarm act ID click 100,200 , type \"hello\" , key Return -o after.png\n"
            "\n"
            "What follows type and the key words is taken as it is, so `type ,` types a comma. An\n"
            "action's further fields follow as NAME=VALUE: `click 5,5 button=right\n"
            "keys=ctrl+shift`. Instead of words, --body or - gives JSON: `deskfarm act ID --body\n"
            "'[{\"type\":\"click\",\"x\":100,\"y\":200}]'`.\n"
            "\n"
            "Prints a line per action and one about the screen: settled, no_effect or timed_out,\n"
            "with the times of the first and last change in milliseconds after the input.\n",
    .print_more = words_print,
};
