/* A scanner with one token of look-ahead, the text itself. Bounded by the text, by PYCALL_MAX calls and by
 * PYCALL_DEPTH_MAX nested lists. */
#include "dialect/pycall.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *text, *at;
    struct error *err;
};

static int line_of(const struct scan *s)
{
    int line = 1;
    for (const char *p = s->text; p < s->at; p++)
        line += *p == '\n';
    return line;
}

static int bad(struct scan *s, const char *what)
{
    int size = (int)MIN(strcspn(s->at, "\n"), 60);
    return error_set(s->err, ERROR_BAD_VALUE, "line %d: expected %s at \"%.*s\"; only calls with literal arguments "
                     "are understood, and nothing is executed as Python", line_of(s), what, size, s->at);
}

/* Inside brackets line ends are space. */
static void skip(struct scan *s)
{
    for (;;) {
        s->at += strspn(s->at, " \t\r\n\f");
        if (*s->at != '#')
            return;
        s->at += strcspn(s->at, "\n");
    }
}

/* --- Literals ---------------------------------------------------------------------------------- */

static void append_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80)
        buf_printf(out, "%c", (int)c);
    else if (c < 0x800)
        buf_printf(out, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 63)));
    else if (c < 0x10000)
        buf_printf(out, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
    else
        buf_printf(out, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 63)),
                   (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
}

/* \xhh, \uhhhh, \Uhhhhhhhh: exactly n digits. */
static int parse_code(struct scan *s, int n, struct buf *out)
{
    uint32_t c = 0;
    for (int i = 0; i < n; i++) {
        char digit = s->at[i];
        if (!isxdigit((unsigned char)digit))
            return bad(s, "hexadecimal digits");
        c = c * 16 + (uint32_t)(isdigit((unsigned char)digit) ? digit - '0' : tolower(digit) - 'a' + 10);
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return bad(s, "a character");
    s->at += n;
    append_utf8(out, c);
    return 0;
}

static int parse_escape(struct scan *s, struct buf *out)
{
    static const char from[] = "nrtabfv\\'\"", to[] = "\n\r\t\a\b\f\v\\'\"";
    char c = *s->at;
    const char *known = c ? strchr(from, c) : NULL;
    if (!c)
        return bad(s, "the end of a string");
    s->at++;
    if (known)
        return buf_append(out, &to[known - from], 1);
    switch (c) {
    case '\n': return 0; /* a line that goes on */
    case 'x': return parse_code(s, 2, out);
    case 'u': return parse_code(s, 4, out);
    case 'U': return parse_code(s, 8, out);
    default: return buf_printf(out, "\\%c", c); /* Python keeps what it does not know */
    }
}

static int parse_quoted(struct scan *s, bool is_raw, struct buf *out)
{
    char quote = *s->at;
    bool is_triple = s->at[1] == quote && s->at[2] == quote;
    size_t n_quotes = is_triple ? 3 : 1;
    s->at += n_quotes;
    for (;;) {
        bool is_end = *s->at == quote && (!is_triple || (s->at[1] == quote && s->at[2] == quote));
        if (is_end) {
            s->at += n_quotes;
            return 0;
        }
        if (!*s->at || (*s->at == '\n' && !is_triple))
            return bad(s, "the end of a string");
        if (*s->at == '\\' && !is_raw) {
            s->at++;
            if (parse_escape(s, out) < 0)
                return -EINVAL;
        } else {
            if (*s->at == '\\' && s->at[1] == quote) /* even a raw string's quote is kept from ending it */
                buf_append(out, s->at++, 1);
            buf_append(out, s->at++, 1);
        }
    }
}

static bool is_string(const struct scan *s, size_t *prefix, bool *is_raw)
{
    *prefix = strspn(s->at, "rRuU");
    *is_raw = *prefix > 0 && tolower(*s->at) == 'r';
    return *prefix < 2 && (s->at[*prefix] == '"' || s->at[*prefix] == '\'');
}

/* Strings beside each other are one. */
static int parse_string(struct scan *s, json_t **ret)
{
    auto_buf struct buf text = { .limit = (size_t)1 << 20 };
    size_t prefix;
    bool is_raw;
    while (is_string(s, &prefix, &is_raw)) {
        s->at += prefix;
        if (parse_quoted(s, is_raw, &text) < 0)
            return -EINVAL;
        skip(s);
    }
    *ret = text.failed ? NULL : json_string(buf_str(&text));
    return *ret ? 0 : error_set(s->err, ERROR_BAD_VALUE, "line %d: a string that is no valid text", line_of(s));
}

static int parse_number(struct scan *s, json_t **ret)
{
    char *end = NULL;
    size_t sign = *s->at == '-' || *s->at == '+';
    size_t digits = strspn(s->at + sign, "0123456789_");
    char next = s->at[sign + digits];
    bool is_integer = digits > 0 && next != '.' && next != 'e' && next != 'E';
    if (digits == 0 && next != '.')
        return bad(s, "a value");
    errno = 0;
    double v = strtod(s->at, &end);
    if (end == s->at || (is_integer && end != s->at + sign + digits) || !(v > -1e15 && v < 1e15))
        return bad(s, "a number");
    s->at = end;
    *ret = is_integer ? json_integer((json_int_t)v) : json_real(v);
    return *ret ? 0 : error_errno(s->err, ENOMEM, "reading a number");
}

static size_t name_size(const char *at)
{
    size_t n = 0;
    while (isalpha((unsigned char)at[n]) || at[n] == '_' || (n && (isdigit((unsigned char)at[n]) || at[n] == '.')))
        n++;
    return n;
}

/* True, False, None, or a constant by name: its last part in small letters. */
static int parse_name(struct scan *s, json_t **ret)
{
    size_t n = name_size(s->at);
    auto_free char *name = strndup(s->at, n);
    if (!name)
        return error_errno(s->err, ENOMEM, "reading a name");
    if (s->at[n] == '(')
        return bad(s, "a literal");
    s->at += n;
    if (strcmp(name, "True") == 0 || strcmp(name, "False") == 0) {
        *ret = json_boolean(name[0] == 'T');
    } else if (strcmp(name, "None") == 0) {
        *ret = json_null();
    } else {
        const char *last = strrchr(name, '.');
        for (char *p = name; *p; p++)
            *p = (char)tolower(*p);
        *ret = json_string(last ? last + 1 : name);
    }
    return *ret ? 0 : bad(s, "a value");
}

static int parse_value(struct scan *s, int depth, json_t **ret);

static int parse_list(struct scan *s, int depth, json_t **ret)
{
    char close = *s->at++ == '[' ? ']' : ')';
    auto_json json_t *list = json_array();
    for (skip(s); *s->at != close; skip(s)) {
        json_t *value = NULL;
        if (parse_value(s, depth + 1, &value) < 0)
            return -EINVAL;
        json_array_append_new(list, value);
        skip(s);
        if (*s->at == ',')
            s->at++;
        else if (*s->at != close)
            return bad(s, "',' or the end of a list");
    }
    s->at++;
    *ret = steal_ptr(&list);
    return 0;
}

static int parse_value(struct scan *s, int depth, json_t **ret)
{
    size_t prefix;
    bool is_raw;
    if (depth > PYCALL_DEPTH_MAX)
        return error_set(s->err, ERROR_BAD_VALUE, "line %d: lists nested too deep", line_of(s));
    if (is_string(s, &prefix, &is_raw))
        return parse_string(s, ret);
    if (*s->at == '[' || *s->at == '(')
        return parse_list(s, depth, ret);
    if (name_size(s->at) > 0)
        return parse_name(s, ret);
    return parse_number(s, ret);
}

/* --- Statements -------------------------------------------------------------------------------- */

/* The name of a keyword argument before '=', or 0. */
static size_t keyword_size(const char *at)
{
    size_t n = name_size(at);
    size_t end = n + strspn(at + n, " \t");
    return n && at[end] == '=' && at[end + 1] != '=' ? n : 0;
}

static int parse_argument(struct scan *s, json_t *args, json_t *kwargs)
{
    size_t n = keyword_size(s->at);
    auto_free char *name = n ? strndup(s->at, n) : NULL;
    json_t *value = NULL;
    if (n) {
        s->at = strchr(s->at + n, '=') + 1;
        skip(s);
    }
    if (parse_value(s, 0, &value) < 0)
        return -EINVAL;
    if (n)
        json_object_set_new(kwargs, name ? name : "", value);
    else
        json_array_append_new(args, value);
    return 0;
}

static int parse_call(struct scan *s, size_t n, json_t *calls)
{
    auto_json json_t *args = json_array(), *kwargs = json_object();
    json_t *name = json_stringn(s->at, n);
    if (json_array_size(calls) == PYCALL_MAX) {
        json_decref(name);
        return error_set(s->err, ERROR_TOO_LARGE, "more than %d calls", PYCALL_MAX);
    }
    json_t *call = json_pack("{so sO sO}", "name", name, "args", args, "kwargs", kwargs);
    json_array_append_new(calls, call);
    s->at += n;
    s->at += strspn(s->at, " \t") + 1; /* the bracket */
    for (skip(s); *s->at != ')'; skip(s)) {
        if (parse_argument(s, args, kwargs) < 0)
            return -EINVAL;
        skip(s);
        if (*s->at == ',')
            s->at++;
        else if (*s->at != ')')
            return bad(s, "',' or ')'");
    }
    s->at++;
    return 0;
}

static bool is_passed_over(const char *at)
{
    static const char *const starts[] = { "import ", "from ", "```", "pass\n" };
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (strncmp(at, starts[i], strlen(starts[i])) == 0)
            return true;
    size_t n = name_size(at), end = n + strspn(at + n, " \t");
    return n && memchr(at, '.', n) && at[end] == '=' && at[end + 1] != '=';
}

static int parse_statement(struct scan *s, json_t *calls)
{
    size_t n = name_size(s->at), end = n + strspn(s->at + n, " \t");
    if (is_passed_over(s->at)) {
        s->at += strcspn(s->at, "\n;");
        return 0;
    }
    if (!n || s->at[end] != '(')
        return bad(s, "a call");
    if (parse_call(s, n, calls) < 0)
        return -EINVAL;
    s->at += strspn(s->at, " \t\r");
    if (*s->at && !strchr("\n;#", *s->at))
        return bad(s, "the end of the line");
    return 0;
}

int pycall_parse(const char *text, json_t **ret, struct error *err)
{
    struct scan s = { text, text, err };
    auto_json json_t *calls = json_array();
    if (!calls)
        return error_errno(err, ENOMEM, "reading calls");
    for (;;) {
        skip(&s);
        if (*s.at == ';') {
            s.at++;
            continue;
        }
        if (!*s.at)
            break;
        int r = parse_statement(&s, calls);
        if (r < 0)
            return r;
    }
    *ret = steal_ptr(&calls);
    return 0;
}

const json_t *pycall_arg(const json_t *call, int place, const char *name)
{
    const json_t *value = name ? json_object_get(json_object_get(call, "kwargs"), name) : NULL;
    if (!value && place >= 0)
        value = json_array_get(json_object_get(call, "args"), (size_t)place);
    return json_is_null(value) ? NULL : value;
}
