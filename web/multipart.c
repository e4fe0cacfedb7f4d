/* The delimiter is CRLF "--" boundary. A CR is its first byte and no other, so after a mismatch
 * a new one can only begin at the byte that did not match: one step per byte. The first boundary
 * may lack the CRLF in front; the parser begins as if it had seen one. */
#include "web/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- Parameters of a header ---------------------------------------------------------------------
 */

/* Finds "; name=value" or "; name="value"" in a header of size bytes. False when it is absent or
 * does not fit. A backslash in quotes is taken as it is, as browsers send it. */
static bool parameter(const char *header, size_t size, const char *name, char *out,
                      size_t out_size)
{
    const char *end = header + size;
    size_t n = strlen(name);
    bool in_quotes = false;
    for (const char *at = header; at < end; at++) {
        in_quotes ^= *at == '"';
        if (*at != ';' || in_quotes)
            continue;
        const char *word = at + 1;
        while (word < end && (*word == ' ' || *word == '\t'))
            word++;
        if ((size_t)(end - word) <= n || strncasecmp(word, name, n) != 0 || word[n] != '=')
            continue;
        const char *value = word + n + 1;
        bool is_quoted = value < end && *value == '"';
        value += is_quoted;
        const char *stop = value;
        while (stop < end && (is_quoted ? *stop != '"' : !strchr("; \t\r\n", *stop)))
            stop++;
        if ((size_t)(stop - value) >= out_size || (is_quoted && stop == end))
            return false;
        memcpy(out, value, (size_t)(stop - value));
        out[stop - value] = 0;
        return true;
    }
    return false;
}

int multipart_init(struct multipart *self, const char *content_type,
                   const struct multipart_ops *ops, void *data)
{
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    if (!parameter(content_type, strlen(content_type), "boundary", boundary, sizeof boundary) ||
        !*boundary || strpbrk(boundary, "\r\n"))
        return -EINVAL;
    *self = (struct multipart){ .ops = ops, .data = data, .matched = 2 };
    self->delimiter_size =
        (size_t)snprintf(self->delimiter, sizeof self->delimiter, "\r\n--%s", boundary);
    return 0;
}

bool multipart_is_complete(const struct multipart *self)
{
    return self->state == MULTIPART_END;
}

/* --- Parts --------------------------------------------------------------------------------------
 */

/* The form field's name, from the headers of the part. */
static void part_name(const struct multipart *self, char name[MULTIPART_NAME_MAX])
{
    static const char disposition[] = "content-disposition:";
    const char *line = self->headers, *end = line + self->n_headers;
    name[0] = 0;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t size = (size_t)((stop ? stop : end) - line);
        if (size >= sizeof disposition - 1 &&
            strncasecmp(line, disposition, sizeof disposition - 1) == 0) {
            if (!parameter(line, size, "name", name, MULTIPART_NAME_MAX))
                name[0] = 0;
            return;
        }
        line += size + 1;
    }
}

static int give(struct multipart *self, const void *bytes, size_t size)
{
    if (size == 0 || self->state != MULTIPART_DATA)
        return 0;
    return self->ops->on_data(self->data, bytes, size);
}

static int end_part(struct multipart *self)
{
    int r = self->state == MULTIPART_DATA ? self->ops->on_part_end(self->data) : 0;
    self->state = MULTIPART_AFTER;
    self->n_after = 0;
    self->is_stopped = r > 0;
    return r;
}

/* Looks for the delimiter in what a part, or the preamble, holds. Returns how many bytes it
 * took. */
static ssize_t take_data(struct multipart *self, const uint8_t *bytes, size_t size)
{
    size_t held = self->matched; /* bytes of earlier pieces that have not been given */
    size_t at = 0;
    int r = 0;
    while (r == 0 && at < size) {
        if (bytes[at] == (uint8_t)self->delimiter[self->matched]) {
            at++;
            if (++self->matched == self->delimiter_size) {
                /* What came before the delimiter in this piece. */
                size_t whole = self->delimiter_size - held;
                r = give(self, bytes, at - whole);
                self->matched = 0;
                r = r < 0 ? r : end_part(self);
                return r < 0 ? r : (ssize_t)at;
            }
            continue;
        }
        if (self->matched == 0) {
            /* On to the next byte that may begin one. */
            const uint8_t *cr = memchr(bytes + at, '\r', size - at);
            at = cr ? (size_t)(cr - bytes) : size;
            continue;
        }
        /* It was none. What is of earlier pieces goes out now. This byte is looked at again. */
        r = give(self, self->delimiter, held);
        held = 0;
        self->matched = 0;
    }
    if (r < 0)
        return r;
    size_t open = self->matched - held;
    r = give(self, bytes, at - open);
    return r < 0 ? r : (ssize_t)at;
}

/* Behind a boundary: CRLF and a part, or "--" and the end. White space may pad it. */
static int take_after(struct multipart *self, uint8_t c)
{
    if (self->n_after == 0 && (c == ' ' || c == '\t'))
        return 0;
    self->after[self->n_after++] = (char)c;
    if (self->n_after < 2)
        return c == '\r' || c == '-' ? 0 : -EPROTO;
    if (memcmp(self->after, "--", 2) == 0) {
        self->state = MULTIPART_END;
        return 0;
    }
    if (memcmp(self->after, "\r\n", 2) != 0 || ++self->n_parts > MULTIPART_PARTS_MAX)
        return -EPROTO;
    self->state = MULTIPART_HEADERS;
    self->n_headers = 0;
    return 0;
}

static int take_header(struct multipart *self, uint8_t c)
{
    char name[MULTIPART_NAME_MAX];
    if (self->n_headers == sizeof self->headers || c == 0)
        return -EPROTO;
    self->headers[self->n_headers++] = (char)c;
    bool is_empty = self->n_headers == 2 && memcmp(self->headers, "\r\n", 2) == 0;
    if (!is_empty && (self->n_headers < 4 ||
                      memcmp(self->headers + self->n_headers - 4, "\r\n\r\n", 4) != 0))
        return 0;
    part_name(self, name);
    self->state = MULTIPART_DATA;
    self->matched = 0;
    return self->ops->on_part(self->data, name);
}

ssize_t multipart_feed(struct multipart *self, const uint8_t *bytes, size_t size)
{
    size_t all = size;
    self->is_stopped = false;
    while (size > 0 && self->state != MULTIPART_END && !self->is_stopped) {
        ssize_t used = 1;
        int r = 0;
        switch (self->state) {
        case MULTIPART_AFTER: r = take_after(self, *bytes); break;
        case MULTIPART_HEADERS: r = take_header(self, *bytes); break;
        default: used = take_data(self, bytes, size); break;
        }
        if (r < 0 || used < 0)
            return r < 0 ? r : (int)used;
        bytes += used;
        size -= (size_t)used;
    }
    return (ssize_t)(self->is_stopped ? all - size : all);
}
