#include "web/head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define LENGTH_MAX ((uint64_t)1 << 53)

/* --- Spans ------------------------------------------------------------------------------------ */

bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.size && strncasecmp(span.at, text, span.size) == 0;
}

bool span_starts(struct span span, const char *text)
{
    size_t n = strlen(text);
    return span.size >= n && memcmp(span.at, text, n) == 0;
}

bool span_copy(struct span span, char *out, size_t size)
{
    bool fits = span.size < size;
    if (fits && span.size > 0)
        memcpy(out, span.at, span.size);
    out[fits ? span.size : 0] = 0;
    return fits;
}

static struct span trim(struct span span)
{
    while (span.size > 0 && (*span.at == ' ' || *span.at == '\t'))
        span.at++, span.size--;
    while (span.size > 0 && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t'))
        span.size--;
    return span;
}

/* Cuts what is before the first c off; all of it when there is none. */
static struct span cut(struct span *rest, char c)
{
    const char *at = rest->size ? memchr(rest->at, c, rest->size) : NULL;
    struct span first = { rest->at, at ? (size_t)(at - rest->at) : rest->size };
    size_t taken = first.size + (at != NULL);
    rest->at += taken;
    rest->size -= taken;
    return first;
}

/* --- Lines ------------------------------------------------------------------------------------ */

static bool is_token(struct span span)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < span.size; i++) {
        char c = span.at[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && (c == 0 || !strchr(others, c)))
            return false;
    }
    return span.size > 0;
}

/* No control characters but the tab; bytes above ASCII pass. */
static bool is_text(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        unsigned char c = (unsigned char)span.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_visible(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        if (span.at[i] <= ' ' || span.at[i] == 0x7f)
            return false;
    }
    return span.size > 0;
}

static bool parse_version(struct span span, int *minor)
{
    if (span.size != 8 || memcmp(span.at, "HTTP/1.", 7) != 0 ||
        (span.at[7] != '0' && span.at[7] != '1'))
        return false;
    *minor = span.at[7] - '0';
    return true;
}

static bool parse_request_line(struct head *head, struct span line)
{
    head->method = cut(&line, ' ');
    head->target = cut(&line, ' ');
    return is_token(head->method) && is_visible(head->target) &&
           parse_version(line, &head->minor);
}

static bool parse_status_line(struct head *head, struct span line)
{
    struct span version = cut(&line, ' '), status = cut(&line, ' ');
    if (!parse_version(version, &head->minor) || status.size != 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (status.at[i] < '0' || status.at[i] > '9')
            return false;
        head->status = head->status * 10 + (status.at[i] - '0');
    }
    head->reason = line;
    return head->status >= 100 && head->status < 600 && is_text(line);
}

static bool parse_field(struct head *head, struct span line)
{
    if (head->n_fields == HEAD_FIELDS_MAX || !memchr(line.at, ':', line.size))
        return false;
    struct head_field *field = &head->fields[head->n_fields++];
    field->name = cut(&line, ':');
    field->value = trim(line);
    return is_token(field->name) && is_text(field->value);
}

/* Takes a line off; HEAD_MORE when its end has not come. */
static int next_line(struct span *rest, bool is_strict, struct span *line)
{
    if (rest->size == 0 || !memchr(rest->at, '\n', rest->size))
        return HEAD_MORE;
    *line = cut(rest, '\n');
    bool has_cr = line->size > 0 && line->at[line->size - 1] == '\r';
    line->size -= has_cr;
    return has_cr || !is_strict ? 0 : -EPROTO;
}

static int parse(struct head *head, const char *data, size_t size, bool is_answer)
{
    struct span rest = { data, size }, line;
    head->n_fields = 0;
    head->status = 0;
    int r = next_line(&rest, !is_answer, &line);
    if (r != 0)
        return r;
    if (!(is_answer ? parse_status_line(head, line) : parse_request_line(head, line)))
        return -EPROTO;
    while ((r = next_line(&rest, !is_answer, &line)) == 0 && line.size > 0) {
        if (!parse_field(head, line))
            return -EPROTO;
    }
    head->size = size - rest.size;
    return r;
}

int head_parse_request(struct head *ret, const char *data, size_t size)
{
    return parse(ret, data, size, false);
}

int head_parse_answer(struct head *ret, const char *data, size_t size)
{
    return parse(ret, data, size, true);
}

/* --- Fields ----------------------------------------------------------------------------------- */

struct span head_find(const struct head *self, const char *name)
{
    for (size_t i = 0; i < self->n_fields; i++) {
        if (span_is(self->fields[i].name, name))
            return self->fields[i].value;
    }
    return (struct span){ "", 0 };
}

size_t head_count(const struct head *self, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n_fields; i++)
        n += span_is(self->fields[i].name, name);
    return n;
}

bool head_lists(const struct head *self, const char *name, const char *token)
{
    for (size_t i = 0; i < self->n_fields; i++) {
        if (!span_is(self->fields[i].name, name))
            continue;
        struct span rest = self->fields[i].value;
        while (rest.size > 0) {
            if (span_is(trim(cut(&rest, ',')), token))
                return true;
        }
    }
    return false;
}

/* --- The body's end --------------------------------------------------------------------------- */

static int parse_length(struct span text, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || *ret > LENGTH_MAX)
            return -EPROTO;
        *ret = *ret * 10 + (uint64_t)(text.at[i] - '0');
    }
    return text.size > 0 ? 0 : -EPROTO;
}

int head_body(const struct head *self, bool is_answer, bool is_head, enum head_body *ret,
              uint64_t *ret_length)
{
    size_t n_lengths = head_count(self, "content-length");
    size_t n_codings = head_count(self, "transfer-encoding");
    *ret_length = 0;
    *ret = is_answer ? HEAD_BODY_UNTIL_CLOSE : HEAD_BODY_NONE;
    if (n_lengths > 1 || n_codings > 1 || (n_lengths && n_codings))
        return -EPROTO;
    if (n_codings && !span_is(head_find(self, "transfer-encoding"), "chunked"))
        return -EPROTO;
    if (n_lengths && parse_length(head_find(self, "content-length"), ret_length) < 0)
        return -EPROTO;
    if (is_answer && (is_head || self->status < 200 || self->status == 204 || self->status == 304))
        *ret = HEAD_BODY_NONE;
    else if (n_codings)
        *ret = HEAD_BODY_CHUNKED;
    else if (n_lengths)
        *ret = HEAD_BODY_LENGTH;
    return 0;
}
