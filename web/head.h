/* The head of an HTTP/1 message: first line and fields, without the body. Strict for requests (what
 * is unclear is refused, so that no two readers can disagree), forgiving towards line ends in
 * answers. RFC 9112. Pure: nothing is copied or allocated, a head points into the parsed bytes. */
#pragma once

#include "base/util.h"

#define HEAD_FIELDS_MAX 128

/* Bytes of somebody else; no terminator. */
struct span {
    const char *at;
    size_t size;
};

struct head_field {
    struct span name, value; /* value without the white space around it */
};

struct head {
    struct span method, target; /* of a request */
    int status;                 /* of an answer, 100 to 599 */
    struct span reason;         /* of an answer; may be empty */
    int minor;                  /* HTTP/1.minor */
    size_t size;                /* with the empty line at its end */
    size_t n_fields;
    struct head_field fields[HEAD_FIELDS_MAX];
};

enum { HEAD_MORE = 1 }; /* the empty line has not come */

/* 0, HEAD_MORE, or -EPROTO when it is malformed or has too many fields. */
int head_parse_request(struct head *ret, const char *data, size_t size);
int head_parse_answer(struct head *ret, const char *data, size_t size);

bool span_is(struct span span, const char *text);      /* equal, whatever the case */
bool span_starts(struct span span, const char *text);  /* begins with it; case counts */
/* Copies it as a string; false (and "") when it does not fit. */
bool span_copy(struct span span, char *out, size_t size);

/* The first field of that name, or one of size 0. */
struct span head_find(const struct head *self, const char *name);
/* How many fields have that name. */
size_t head_count(const struct head *self, const char *name);
/* Whether a list such as Connection names the token, in any of its fields. */
bool head_lists(const struct head *self, const char *name, const char *token);

/* Where the body ends. */
enum head_body { HEAD_BODY_NONE, HEAD_BODY_LENGTH, HEAD_BODY_CHUNKED, HEAD_BODY_UNTIL_CLOSE };

/* Of a request, or of an answer to one (is_head: to HEAD). -EPROTO: Content-Length and
 * Transfer-Encoding contradict each other or themselves. */
int head_body(const struct head *self, bool is_answer, bool is_head, enum head_body *ret,
              uint64_t *ret_length);
