/* A form with files (multipart/form-data, RFC 7578), taken apart as the bytes come. What a part
 * holds is handed out where it lies; only its headers and what may be the beginning of a
 * boundary are kept. Nested multiparts and transfer encodings are not understood (RFC 7578
 * forbids them). */
#pragma once

#include "base/util.h"

#define MULTIPART_BOUNDARY_MAX 70  /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEADERS_MAX 8192 /* of one part */
#define MULTIPART_NAME_MAX 128
#define MULTIPART_PARTS_MAX 2048

/* In the order of the bytes. */
enum multipart_state {
    MULTIPART_PREAMBLE, /* before the first boundary; dropped */
    MULTIPART_AFTER,    /* behind a boundary: a line end, or "--" */
    MULTIPART_HEADERS,
    MULTIPART_DATA,     /* of a part */
    MULTIPART_END,      /* behind the last boundary; dropped */
};

/* Negative from any of them ends the parsing, and is passed on. 1 from on_part_end stops it
 * there: the rest is fed later. */
struct multipart_ops {
    /* A part begins. name is that of its form field, "" when it has none. */
    int (*on_part)(void *data, const char *name);
    int (*on_data)(void *data, const uint8_t *bytes, size_t size);
    int (*on_part_end)(void *data);
};

struct multipart {
    const struct multipart_ops *ops;
    void *data;
    enum multipart_state state;
    char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CRLF, "--", boundary */
    size_t delimiter_size;
    size_t matched;      /* bytes of the delimiter that the last bytes were */
    char after[2];
    size_t n_after;
    char headers[MULTIPART_HEADERS_MAX];
    size_t n_headers;
    unsigned n_parts;
    bool is_stopped;
};

/* content_type: the request's header. -EINVAL when it names no boundary or a bad one. */
int multipart_init(struct multipart *self, const char *content_type,
                   const struct multipart_ops *ops, void *data);
/* Returns how many bytes it took: fewer than size only when on_part_end stopped it. -EPROTO:
 * this is no such form, or a limit is exceeded. */
ssize_t multipart_feed(struct multipart *self, const uint8_t *bytes, size_t size);
/* Whether the last boundary has come. */
bool multipart_is_complete(const struct multipart *self);
