/* The parser knows three kinds of flags, in this order: those of the verb's own short table, the
 * rows of its operation by their dotted names, and the global ones. So the verb wins where a
 * name means two things: after `create`, --timeout is the lease. */
#include "cli/request.h"

#include "api/validate.h"
#include "cli/field.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 128

const struct flag request_globals[] = {
    { .name = "url",
      .value = "URL",
      .text = "http://HOST:PORT or unix:PATH of the daemon. Default: $DESKFARM_URL, else the "
              "socket in the "
              "default state directory if it can be opened, else http://127.0.0.1:7070." },
    { .name = "key",
      .value = "KEY",
      .text = "API key; @FILE reads it from a file. Default: $DESKFARM_API_KEY, else "
              "$XDG_CONFIG_HOME/deskfarm/key." },
    { .name = "timeout", .value = "SECONDS", .text = "How long to wait for an answer (660)." },
    { .name = "json", .text = "Print the daemon's JSON." },
    { .name = "no-header", .text = "Print tables without their first line." },
    { .name = "progress", .text = "Show progress although standard error is no terminal." },
    { .name = "help", .letter = 'h', .text = "Describe the verb." },
    { .name = NULL },
};

const struct api_field *request_rows(const struct api_operation *op)
{
    return op->first ? op->first : op->body;
}

const char *request_own(const struct request *self, const char *name)
{
    return json_string_value(json_object_get(self->own, name));
}

/* --- Flags ------------------------------------------------------------------------------------ */

/* An option as it stands on the command line. */
struct option {
    const char *shown;         /* for messages */
    char name[PATH_MAX_BYTES]; /* without dashes; "" for a letter */
    char letter;
    const char *value; /* after '=', or NULL */
    const char *next;  /* the argument after it, or NULL */
};

static int read_option(struct option *ret, int argc, char *const *argv, struct error *err)
{
    const char *text = argv[0];
    *ret = (struct option){ .shown = text, .next = argc > 1 ? argv[1] : NULL };
    if (text[1] != '-') {
        ret->letter = text[1];
        ret->value = text[2] ? text + 2 : NULL;
        return 0;
    }
    size_t size = strcspn(text + 2, "=");
    if (size >= sizeof ret->name)
        return error_set(err, ERROR_UNKNOWN_FIELD, "unknown option %.60s…", text);
    memcpy(ret->name, text + 2, size);
    ret->value = text[2 + size] ? text + 2 + size + 1 : NULL;
    return 0;
}

static const struct flag *find_flag(const struct flag *flags, const struct option *option)
{
    for (; flags && flags->name; flags++)
        if (option->letter ? flags->letter == option->letter
                           : strcmp(flags->name, option->name) == 0)
            return flags;
    return NULL;
}

/* The option's value: what follows '=', else the next argument. Returns the number of arguments
 * used. */
static int take_value(const struct option *option, const char **ret, struct error *err)
{
    *ret = option->value ? option->value : option->next;
    if (!*ret)
        return error_set(err, ERROR_MISSING_FIELD, "%s needs a value", option->shown);
    return option->value ? 1 : 2;
}

static int set_own(json_t *own, const struct flag *flag, const struct option *option,
                   struct error *err)
{
    const char *value = "";
    int used = 1;
    if (flag->value)
        used = take_value(option, &value, err);
    else if (option->value)
        return error_set(err, ERROR_BAD_VALUE, "%s takes no value", option->shown);
    if (used > 0 && json_object_set_new(own, flag->name, json_string(value)) < 0)
        return error_set(err, ERROR_BAD_VALUE, "%s: the value is not UTF-8", option->shown);
    return used;
}

/* Where a row of the operation is set. */
static const struct api_field *find_row(const struct request *self, const char *path,
                                        bool *ret_is_query)
{
    const struct api_field *row = self->op ? field_find(self->op->query, path) : NULL;
    *ret_is_query = row;
    return row || !self->op ? row : field_find(request_rows(self->op), path);
}

static int set_one(struct request *self, const char *path, const char *text, struct error *err)
{
    bool is_query;
    const struct api_field *row = find_row(self, path, &is_query);
    if (row)
        return is_query ? field_set_query(self->op->query, self->query, path, text, err)
                        : field_set(request_rows(self->op), self->body, path, text, err);
    if (self->op && field_find(self->op->path_fields, path))
        return json_object_set_new(self->path, path, json_string(text)) < 0
                   ? error_set(err, ERROR_BAD_VALUE, "%s is not UTF-8", path)
                   : 0;
    return error_set(err, ERROR_UNKNOWN_FIELD, "%s is no field of the operation", path);
}

/* Several fields, "width,height", take the parts of one text, "1280x800". */
static int set_fields(struct request *self, const char *fields, const char *text, struct error *err)
{
    if (!strchr(fields, ','))
        return set_one(self, fields, text, err);
    int r = 0;
    for (const char *value = text; r == 0; fields++) {
        char path[PATH_MAX_BYTES], part[PATH_MAX_BYTES];
        size_t n_path = strcspn(fields, ","), n_part = strcspn(value, ",x");
        bool is_last = !fields[n_path], has_more = value[n_part];
        if (is_last == has_more || n_part == 0)
            return error_set(err, ERROR_BAD_VALUE, "\"%.60s\" has not one part for each of %s",
                             text, fields);
        snprintf(path, sizeof path, "%.*s", (int)n_path, fields);
        snprintf(part, sizeof part, "%.*s", (int)n_part, value);
        r = set_one(self, path, part, err);
        if (is_last)
            return r;
        fields += n_path;
        value += n_part + 1;
    }
    return r;
}

/* --NAME of a row. 0: there is no such row. */
static int set_row(struct request *self, const struct option *option, struct error *err)
{
    bool is_query;
    const struct api_field *row = find_row(self, option->name, &is_query);
    if (!row)
        return 0;
    const char *value = option->value ? option->value : "true";
    int used = field_is_switch(row) ? 1 : take_value(option, &value, err);
    if (used < 0)
        return used;
    int r = set_one(self, option->name, value, err);
    return r < 0 ? r : used;
}

/* --no-NAME. 0: there is no row that could be turned off. */
static int set_row_off(struct request *self, const struct option *option, struct error *err)
{
    bool is_query;
    const char *path = option->name + 3;
    const struct api_field *row =
        strncmp(option->name, "no-", 3) == 0 ? find_row(self, path, &is_query) : NULL;
    if (!row || !field_can_be_off(row) || option->value)
        return 0;
    int r = is_query ? field_set_query(self->op->query, self->query, path, "false", err)
                     : field_set_off(request_rows(self->op), self->body, path, err);
    return r < 0 ? r : 1;
}

static int parse_option(struct request *self, int argc, char *const *argv, struct error *err)
{
    struct option option;
    int r = read_option(&option, argc, argv, err);
    if (r < 0)
        return r;
    const struct flag *flag = find_flag(self->verb->flags, &option);
    const char *value;
    if (flag && flag->field) {
        int used = take_value(&option, &value, err);
        r = used < 0 ? used : set_fields(self, flag->field, value, err);
        return r < 0 ? r : used;
    }
    if (flag)
        return set_own(self->own, flag, &option, err);
    r = set_row(self, &option, err);
    if (r == 0)
        r = set_row_off(self, &option, err);
    if (r != 0)
        return r;
    flag = find_flag(request_globals, &option);
    if (flag)
        return set_own(self->own, flag, &option, err);
    return error_set(err, ERROR_UNKNOWN_FIELD, "unknown option %.60s", argv[0]);
}

/* --- Operands --------------------------------------------------------------------------------- */

static const char *operand_at(const struct request *self, size_t index)
{
    if (self->verb->is_generic) {
        const struct api_field *rows = self->op ? self->op->path_fields : NULL;
        for (size_t i = 1; rows && rows->name; rows++, i++)
            if (i == index)
                return rows->name;
        return NULL;
    }
    for (size_t i = 0; self->verb->operands && self->verb->operands[i]; i++)
        if (i == index)
            return self->verb->operands[i];
    return NULL;
}

static int choose_operation(struct request *self, const char *name, struct error *err)
{
    self->op = api_find(name);
    self->n_operands++;
    return self->op ? 1 : error_set(err, ERROR_NOT_FOUND, "there is no operation \"%.60s\"", name);
}

static int parse_operand(struct request *self, int argc, char *const *argv, struct error *err)
{
    if (self->verb->is_generic && !self->op)
        return choose_operation(self, argv[0], err);
    const char *field = operand_at(self, self->n_operands);
    if (!field && self->verb->take)
        return self->verb->take(self, argc, argv, err);
    if (!field)
        return error_set(err, ERROR_BAD_VALUE, "unexpected argument \"%.60s\"", argv[0]);
    self->n_operands++;
    int r = set_fields(self, field + (*field == '?'), argv[0], err);
    return r < 0 ? r : 1;
}

int request_take_rest(struct request *self, int argc, char *const *argv, struct error *err)
{
    for (int i = 0; i < argc; i++) {
        int r = request_take_words(self, argc, argv + i, err);
        if (r < 0)
            return r;
    }
    return argc;
}

int request_take_words(struct request *self, int argc maybe_unused, char *const *argv,
                       struct error *err)
{
    json_t *words = json_object_get(self->own, "words");
    if (!words)
        json_object_set_new(self->own, "words", words = json_array());
    return json_array_append_new(words, json_string(argv[0])) < 0
               ? error_set(err, ERROR_BAD_VALUE, "\"%.60s\" is not UTF-8", argv[0])
               : 1;
}

bool request_is_option(const char *text)
{
    return text[0] == '-' && (isalpha((unsigned char)text[1]) || (text[1] == '-' && text[2]));
}

/* --- Whole command lines ---------------------------------------------------------------------- */

int request_parse_globals(json_t *own, int argc, char *const *argv, struct error *err)
{
    int i = 0;
    while (i < argc && request_is_option(argv[i])) {
        struct option option;
        int used = read_option(&option, argc - i, argv + i, err);
        const struct flag *flag = used < 0 ? NULL : find_flag(request_globals, &option);
        if (used == 0)
            used = flag ? set_own(own, flag, &option, err)
                        : error_set(err, ERROR_UNKNOWN_FIELD, "unknown option %.60s", argv[i]);
        if (used < 0)
            return used;
        i += used;
    }
    return i;
}

int request_parse(struct request *ret, const struct verb *verb, json_t *own, int argc,
                  char *const *argv, struct error *err)
{
    *ret = (struct request){
        .verb = verb,
        .op = verb->operation ? api_find(verb->operation) : NULL,
        .path = json_object(),
        .query = json_object(),
        .body = json_object(),
        .own = json_incref(own),
    };
    bool is_literal = false;
    for (int i = 0; i < argc;) {
        if (!is_literal && strcmp(argv[i], "--") == 0) {
            is_literal = true;
            i++;
            continue;
        }
        int used = !is_literal && request_is_option(argv[i])
                       ? parse_option(ret, argc - i, argv + i, err)
                       : parse_operand(ret, argc - i, argv + i, err);
        if (used < 0)
            return used;
        i += used;
    }
    const char *missing = operand_at(ret, ret->n_operands);
    if (request_own(ret, "help"))
        return 0;
    if (verb->is_generic && !ret->op)
        return error_set(err, ERROR_MISSING_FIELD, "the name of an operation is missing");
    if (missing && *missing != '?')
        return error_set(err, ERROR_MISSING_FIELD, "%s is missing", missing);
    return 0;
}

void request_deinit(struct request *self)
{
    json_decref(self->path);
    json_decref(self->query);
    json_decref(self->body);
    json_decref(self->own);
    *self = (struct request){ 0 };
}

/* --- On the wire ------------------------------------------------------------------------------ */

static void append_encoded(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,:";
    for (; *text; text++) {
        if (strchr(plain, *text))
            buf_append(out, text, 1);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

static void append_path(const struct request *self, struct buf *out)
{
    const char *at = self->op->path;
    for (const char *open; (open = strchr(at, '{')); at = strchr(open, '}') + 1) {
        char name[PATH_MAX_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)(strchr(open, '}') - open - 1), open + 1);
        buf_append(out, at, (size_t)(open - at));
        append_encoded(out, json_get_string(self->path, name, ""));
    }
    buf_puts(out, at);
}

char *request_target(const struct request *self)
{
    auto_buf struct buf out = BUF_INIT;
    append_path(self, &out);
    char separator = '?';
    const char *name;
    json_t *values;
    json_object_foreach (self->query, name, values) {
        for (size_t i = 0; i < json_array_size(values); i++) {
            buf_printf(&out, "%c%s=", separator, name);
            append_encoded(&out, json_string_value(json_array_get(values, i)));
            separator = '&';
        }
    }
    return strdup(buf_str(&out));
}

static int check_query(const struct request *self, struct error *err)
{
    struct api_pair pairs[API_QUERY_MAX + 1];
    size_t n = 0;
    const char *name;
    json_t *values;
    json_object_foreach (self->query, name, values)
        for (size_t i = 0; i < json_array_size(values) && n < ARRAY_LEN(pairs); i++)
            pairs[n++] = (struct api_pair){ name, json_string_value(json_array_get(values, i)) };
    auto_json json_t *checked = NULL;
    int ignored = 0;
    return api_check_query(self->op, pairs, n, &checked, &ignored, err);
}

int request_check(const struct request *self, struct error *err)
{
    int ignored = 0;
    int r = check_query(self, err);
    if (r == 0 && self->op->first)
        return api_check_first(self->op, self->body, err);
    return r < 0 ? r : api_check_body(self->op, self->body, &ignored, err);
}
