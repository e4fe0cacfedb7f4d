#include "cli/output.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPEAT_US 10000000

/* A cell is one line without tabs, whatever a guest or another user put into the value. */
static void put_cell(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 127 ? ' ' : *text);
}

static void put_value(const json_t *value)
{
    char number[40];
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING: put_cell(json_string_value(value)); break;
    case JSON_INTEGER: printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
    case JSON_TRUE: fputs("yes", stdout); break;
    case JSON_FALSE: fputs("no", stdout); break;
    case JSON_NULL: putchar('-'); break;
    case JSON_REAL:
        snprintf(number, sizeof number, "%.10g", json_real_value(value));
        fputs(number, stdout);
        break;
    default: {
        auto_buf struct buf text = BUF_INIT;
        json_write(value, &text);
        put_cell(buf_str(&text));
    }
    }
}

static const json_t *look_up(const json_t *object, const char *path)
{
    while (object) {
        char name[64];
        size_t size = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)size, path);
        object = json_object_get(object, name);
        if (!path[size])
            return object;
        path += size + 1;
    }
    return NULL;
}

static void put_heads(const struct cli *cli, const struct column *columns)
{
    if (!cli->has_header)
        return;
    for (size_t i = 0; columns[i].head; i++)
        printf("%s%s", i ? "\t" : "", columns[i].head);
    putchar('\n');
}

static void put_row(const struct column *columns, const json_t *item)
{
    for (size_t i = 0; columns[i].head; i++) {
        if (i)
            putchar('\t');
        put_value(look_up(item, columns[i].path));
    }
    putchar('\n');
}

void output_table(struct cli *cli, const struct column *columns, const json_t *items)
{
    size_t i;
    json_t *item;
    put_heads(cli, columns);
    json_array_foreach (items, i, item)
        put_row(columns, item);
}

void output_row(struct cli *cli, const struct column *columns, const json_t *item)
{
    put_heads(cli, columns);
    put_row(columns, item);
}

static void put_object(const json_t *object, const char *prefix)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        char path[256];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", name);
        if (json_is_object(value)) {
            put_object(value, path);
            continue;
        }
        put_cell(path);
        putchar('\t');
        put_value(value);
        putchar('\n');
    }
}

void output_object(const json_t *object)
{
    put_object(object, "");
}

void output_inline(const json_t *object, const char *skip)
{
    const char *name;
    json_t *value;
    bool is_first = true;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        if (strcmp(name, skip) == 0 || json_is_object(value) || json_is_array(value))
            continue;
        printf("%s%s=", is_first ? "" : "\t", name);
        put_value(value);
        is_first = false;
    }
}

void output_reply(const struct reply *reply)
{
    fwrite(reply->text.data, 1, reply->text.size, stdout);
    if (reply->text.size && reply->text.data[reply->text.size - 1] != '\n')
        putchar('\n');
}

int output_answer(struct cli *cli, const struct column *columns, struct reply *reply)
{
    const json_t *items = json_object_get(reply->json, "items");
    if (cli->is_json)
        output_reply(reply);
    else if (!columns)
        output_object(reply->json);
    else if (items)
        output_table(cli, columns, items);
    else
        output_row(cli, columns, reply->json);
    reply_deinit(reply);
    return CLI_OK;
}

void progress_show(struct cli *cli, const char *format, ...)
{
    if (!cli->has_progress)
        return;
    bool is_terminal = isatty(STDERR_FILENO);
    int64_t now = clock_now_us();
    if (!is_terminal && format == cli->progress_format && now - cli->progress_us < REPEAT_US)
        return;
    cli->progress_format = format;
    cli->progress_us = now;
    va_list ap;
    va_start(ap, format);
    if (is_terminal)
        fputs("\r\033[K", stderr);
    vfprintf(stderr, format, ap);
    if (!is_terminal)
        fputc('\n', stderr);
    va_end(ap);
    cli->has_progress_line = is_terminal;
}

void progress_end(struct cli *cli)
{
    if (cli->has_progress_line)
        fputs("\r\033[K", stderr);
    cli->has_progress_line = false;
}
