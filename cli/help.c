#include "cli/help.h"

#include "base/buf.h"
#include "cli/field.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TERM_COLUMNS 28
#define LINE_COLUMNS 100
#define PATH_BYTES 128

const char *help_summary(const struct verb *verb, const struct api_operation *op)
{
    if (verb->is_generic && op)
        return op->summary;
    return verb->summary ? verb->summary : api_find(verb->operation)->summary;
}

const char *help_text(const struct verb *verb, const struct api_operation *op)
{
    if (verb->is_generic && op)
        return op->text;
    if (verb->text || !verb->operation)
        return verb->text;
    return api_find(verb->operation)->text;
}

/* --- One option ------------------------------------------------------------------------------- */

static void put_upper(struct buf *out, const char *name)
{
    for (; *name; name++)
        buf_printf(out, "%c", toupper((unsigned char)*name));
}

/* What the value is called: "png|jpeg|webp", "N", "X,Y,WIDTH,HEIGHT". */
static void put_value_name(struct buf *out, const struct api_field *row)
{
    for (size_t i = 0; row->values && row->values[i]; i++)
        buf_printf(out, "%s%s", i ? "|" : "", row->values[i]);
    if (row->values)
        return;
    switch (row->type) {
    case API_INTEGER: buf_puts(out, "N"); break;
    case API_NUMBER: buf_puts(out, "X"); break;
    case API_STRING: buf_puts(out, "TEXT"); break;
    case API_STRING_MAP: buf_puts(out, "NAME=VALUE"); break;
    case API_RECTS: buf_puts(out, "X,Y,WIDTH,HEIGHT"); break;
    case API_ARRAY: put_value_name(out, row->element); break;
    default:
        for (const struct api_field *field = row->fields; field && field->name; field++) {
            if (field->type == API_OBJECT || field->type == API_ARRAY) {
                buf_puts(out, ",…");
                return;
            }
            buf_puts(out, field == row->fields ? "" : ",");
            put_upper(out, field->name);
        }
        if (!row->fields)
            buf_puts(out, "JSON");
    }
}

static void put_note(struct buf *out, bool *has_note, const char *text)
{
    buf_printf(out, "%s%s", *has_note ? "; " : " (", text);
    *has_note = true;
}

static void put_row_text(struct buf *out, const struct api_field *row)
{
    bool has_note = false;
    char note[96];
    bool is_counted = row->type == API_INTEGER || row->type == API_NUMBER;
    size_t n_text = row->text ? strlen(row->text) : 0;
    bool has_stop = n_text > 0 && row->text[n_text - 1] == '.';
    buf_append(out, row->text, n_text - has_stop);
    if (is_counted && row->max != 0 && row->max < 1e15) {
        snprintf(note, sizeof note, "%.15g to %.15g", row->min, row->max);
        put_note(out, &has_note, note);
    }
    if (row->fallback) {
        size_t n = strlen(row->fallback);
        bool is_quoted = n >= 2 && row->fallback[0] == '"';
        snprintf(note, sizeof note, "default %.*s", (int)(is_quoted ? n - 2 : n),
                 row->fallback + is_quoted);
        put_note(out, &has_note, note);
    }
    if (row->is_required)
        put_note(out, &has_note, "required");
    bool can_repeat =
        row->type == API_ARRAY || row->type == API_STRING_MAP || row->type == API_RECTS;
    if (can_repeat && !strcasestr(row->text ? row->text : "", "repeatable"))
        put_note(out, &has_note, "repeatable");
    buf_printf(out, "%s%s", has_note ? ")" : "", has_stop ? "." : "");
}

static const struct api_field *row_of(const struct api_operation *op, const char *path)
{
    const struct api_field *row = op ? field_find(op->query, path) : NULL;
    return row || !op ? row : field_find(request_rows(op), path);
}

static void tell_flag(const struct flag *flag, const struct api_operation *op, help_option_fn fn,
                      void *data)
{
    auto_buf struct buf term = BUF_INIT, text = BUF_INIT;
    const struct api_field *row = flag->field ? row_of(op, flag->field) : NULL;
    if (flag->letter)
        buf_printf(&term, "-%c, ", flag->letter);
    buf_printf(&term, "--%s", flag->name);
    if (flag->value || row)
        buf_puts(&term, " ");
    if (flag->value)
        buf_puts(&term, flag->value);
    else if (row)
        put_value_name(&term, row);
    if (flag->text)
        buf_puts(&text, flag->text);
    else if (row)
        put_row_text(&text, row);
    fn(data, buf_str(&term), buf_str(&text));
}

/* As it is typed: pageSize and page_size become page-size. */
static void put_option_name(struct buf *out, const char *path)
{
    for (; *path; path++) {
        if (isupper((unsigned char)*path))
            buf_puts(out, "-");
        buf_printf(out, "%c", *path == '_' ? '-' : tolower((unsigned char)*path));
    }
}

/* is_branch: its fields are options of their own, so only turning it off is left. */
static void tell_row(const struct api_field *row, const char *path, bool is_branch,
                     help_option_fn fn, void *data)
{
    auto_buf struct buf term = BUF_INIT, text = BUF_INIT;
    buf_puts(&term, field_is_switch(row) ? "--[no-]" : is_branch ? "--no-" : "--");
    put_option_name(&term, path);
    if (!field_is_switch(row) && !is_branch) {
        buf_puts(&term, " ");
        put_value_name(&term, row);
    }
    put_row_text(&text, row);
    fn(data, buf_str(&term), buf_str(&text));
}

/* --- All options ------------------------------------------------------------------------------ */

static bool is_hidden(const struct verb *verb, const char *path)
{
    for (size_t i = 0; verb->hidden && verb->hidden[i]; i++)
        if (strcmp(verb->hidden[i], path) == 0)
            return true;
    for (const struct flag *flag = verb->flags; flag && flag->name; flag++)
        if (flag->field && strcmp(flag->field, path) == 0)
            return true;
    return false;
}

static bool has_name(const struct verb *verb, const char *name)
{
    for (const struct flag *flag = verb->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, name) == 0)
            return true;
    return false;
}

/* prefix ends with '.' or is empty. An object that takes its fields in one value needs no line
 * for each. */
static void tell_rows(const struct verb *verb, const struct api_field *rows, const char *prefix,
                      help_option_fn fn, void *data)
{
    for (; rows && rows->name; rows++) {
        char path[PATH_BYTES];
        bool is_rect = rows->type == API_OBJECT && rows->fields && rows->fields->is_required;
        snprintf(path, sizeof path, "%s%s", prefix, rows->name);
        if (is_hidden(verb, path))
            continue;
        bool is_branch = rows->type == API_OBJECT && rows->fields && !is_rect;
        if (!has_name(verb, path) && (!is_branch || rows->or_false))
            tell_row(rows, path, is_branch, fn, data);
        if (!is_branch)
            continue;
        snprintf(path, sizeof path, "%s%s.", prefix, rows->name);
        tell_rows(verb, rows->fields, path, fn, data);
    }
}

void help_each_option(const struct verb *verb, const struct api_operation *op, help_option_fn fn,
                      void *data)
{
    if (!op && verb->operation)
        op = api_find(verb->operation);
    for (const struct flag *flag = verb->flags; flag && flag->name; flag++)
        tell_flag(flag, op, fn, data);
    if (op) {
        tell_rows(verb, op->query, "", fn, data);
        tell_rows(verb, request_rows(op), "", fn, data);
    }
}

void help_each_global(help_option_fn fn, void *data)
{
    for (const struct flag *flag = request_globals; flag->name; flag++)
        tell_flag(flag, NULL, fn, data);
}

/* --- On the terminal -------------------------------------------------------------------------- */

/* Columns of UTF-8 text; nothing here is wider than one. */
static int width_of(const char *text, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n; i++)
        width += (text[i] & 0xc0) != 0x80;
    return width;
}

static void put_wrapped(const char *text, int column, int indent)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        int width = width_of(text, n);
        if (column > indent && column + 1 + width > LINE_COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)n, text);
        column += width;
        text += n + strspn(text + n, " ");
    }
    putchar('\n');
}

static void print_term(const char *term, const char *text)
{
    int width = 2 + width_of(term, strlen(term));
    printf("  %s", term);
    if (width + 2 > TERM_COLUMNS) {
        putchar('\n');
        width = 0;
    }
    printf("%*s", TERM_COLUMNS - width, "");
    put_wrapped(text, TERM_COLUMNS, TERM_COLUMNS);
}

static void print_option(void *data, const char *term, const char *text)
{
    bool *has_any = data;
    if (!*has_any)
        puts("\nOptions:");
    *has_any = true;
    print_term(term, text);
}

static void print_path_fields(const struct api_operation *op)
{
    for (const struct api_field *row = op->path_fields; row && row->name; row++)
        print_term(row->name, row->text);
}

static void print_usage(const struct verb *verb, const struct api_operation *op)
{
    printf("Usage: deskfarm %s", verb->name);
    if (verb->is_generic && op) {
        printf(" %s", op->name);
        for (const struct api_field *row = op->path_fields; row && row->name; row++)
            printf(" %s", row->name);
    } else if (*verb->usage) {
        printf(" %s", verb->usage);
    }
    puts(" [OPTIONS]\n");
}

void help_print_verb(const struct verb *verb, const struct api_operation *op)
{
    bool has_any = false;
    print_usage(verb, op);
    puts(help_summary(verb, op));
    const char *text = help_text(verb, op);
    if (text && *text) {
        putchar('\n');
        if (strchr(text, '\n'))
            fputs(text, stdout);
        else
            put_wrapped(text, 0, 0);
    }
    if (verb->is_generic && op && op->path_fields) {
        putchar('\n');
        print_path_fields(op);
    }
    if (verb->print_more && !op) {
        putchar('\n');
        verb->print_more(print_term);
    }
    help_each_option(verb, op, print_option, &has_any);
    puts("\nOptions of every verb: see `deskfarm help`.");
}

void help_print_overview(void)
{
    bool has_any = false;
    puts("Usage: deskfarm VERB [OPERANDS] [OPTIONS]\n\n"
         "Drives a farm of sandboxed desktops over the API of deskfarmd.\n\nVerbs:");
    for (size_t i = 0; verbs[i]; i++) {
        char term[128];
        snprintf(term, sizeof term, "%s%s%s", verbs[i]->name, *verbs[i]->usage ? " " : "",
                 verbs[i]->usage);
        print_term(term, help_summary(verbs[i], NULL));
    }
    help_each_global(print_option, &has_any);
    puts("\nAn ID may be shortened as long as it is clear. `deskfarm help VERB` tells more.\n"
         "Exit status: 0 done, 1 an error of the daemon, 2 wrong usage, 3 no answer from the "
         "daemon.");
}
