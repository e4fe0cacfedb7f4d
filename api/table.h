/* The API as a table: one row per operation, one row per field.
 *
 * Routing, validation, the OpenAPI document, docs/api.md and the help of the command line all come
 * from these rows, so a name, a limit or a default is written once. The table is constant data. */
#pragma once

#include "base/util.h"

/* X(symbol, name): the order of the document. A name is the operationId, and the verb of the CLI.
 */
#define API_OPERATIONS(X)                                                                          \
    X(HEALTHZ, healthz)                                                                            \
    X(READYZ, readyz)                                                                              \
    X(METRICS, metrics)                                                                            \
    X(OPENAPI, openapi)                                                                            \
    X(INFO, info)                                                                                  \
    X(IMAGES, images)                                                                              \
    X(SANDBOX_CREATE, sandbox_create)                                                              \
    X(SANDBOX_LIST, sandbox_list)                                                                  \
    X(SANDBOX_GET, sandbox_get)                                                                    \
    X(SANDBOX_DELETE, sandbox_delete)                                                              \
    X(SANDBOX_RENEW, sandbox_renew)                                                                \
    X(SANDBOX_ENDPOINT, sandbox_endpoint)                                                          \
    X(DESKTOP_ACTIONS, desktop_actions)                                                            \
    X(DESKTOP_SCREENSHOT, desktop_screenshot)                                                      \
    X(DESKTOP_WAIT, desktop_wait)                                                                  \
    X(DESKTOP_DISPLAY, desktop_display)                                                            \
    X(DESKTOP_RESIZE, desktop_resize)                                                              \
    X(DESKTOP_KEYBOARD, desktop_keyboard)                                                          \
    X(KEY_LIST, key_list)                                                                          \
    X(KEY_ADD, key_add)                                                                            \
    X(KEY_REMOVE, key_remove)                                                                      \
    X(DRAIN, drain)                                                                                \
    X(LOGIN, login)                                                                                \
    X(LOGOUT, logout)

enum api_id {
#define API_ENUM(sym, name) API_##sym,
    API_OPERATIONS(API_ENUM)
#undef API_ENUM
        API_COUNT
};

/* Least role that may call. Same order as the roles of keys: each may do what the ones before may.
 */
enum api_role { API_ROLE_NONE, API_ROLE_VIEWER, API_ROLE_OPERATOR, API_ROLE_ADMIN };

enum api_flags {
    API_OPENSANDBOX =
        1 << 0,              /* unknown fields are ignored and counted; elsewhere they are errors */
    API_IDEMPOTENT = 1 << 1, /* takes an Idempotency-Key header */
    API_IMAGE = 1 << 2,      /* may answer image bytes (see Accept) */
    API_TEXT = 1 << 3,       /* answers plain text, not JSON */
    API_LARGE_BODY = 1 << 4, /* the large body limit applies */
};

enum api_type {
    API_STRING,  /* min, max: length in bytes; values: the only ones allowed */
    API_INTEGER, /* min, max: value */
    API_NUMBER,  /* min, max: value; an integer is a number too */
    API_BOOLEAN,
    API_OBJECT,     /* fields: its rows; without rows any object */
    API_ARRAY,      /* element: what it holds; min, max: count. A query may repeat the name */
    API_STRING_MAP, /* strings by name; max: entries. In a query: "name=value", repeatable or joined
                       by '&' */
    API_RECTS, /* query only: "x,y,width,height;…"; becomes an array of rectangles; max: count */
    API_ANY,
};

/* One field of a body or a result, one query or path parameter. Rows end with a NULL name. */
struct api_field {
    const char *name;
    enum api_type type;
    bool is_required;
    bool is_nullable; /* null is allowed and means the same as leaving it out, unless text says more
                       */
    bool or_false;    /* false is allowed in its place and turns it off */
    double min, max;  /* both 0: no limit beyond that of the body */
    const char *const *values;
    const struct api_field *fields;
    const struct api_field *element;
    const char *fallback; /* the default as JSON text; documentation, never injected */
    const char *text;
};

struct api_operation {
    const char *name, *method, *path; /* path has {parameters} */
    enum api_role role;
    unsigned flags;
    int status;                                                  /* on success */
    const struct api_field *path_fields, *query, *body, *result; /* NULL: none */
    const char *summary;                                         /* one line */
    const char *text;                                            /* the rest; NULL: none */
};

extern const struct api_operation api_table[API_COUNT];

#define API_PATH_PARAMS_MAX 2

/* What a path means. Values point into the given path. */
struct api_match {
    enum api_id id;
    const char *values[API_PATH_PARAMS_MAX]; /* of {parameters}, in order */
    size_t sizes[API_PATH_PARAMS_MAX];
};

enum { API_NO_PATH = 1, API_NO_METHOD = 2 };

/* Finds the row of a method and a path (without query). HEAD finds the row of GET. Returns 0,
 * API_NO_PATH, or API_NO_METHOD when only the method is wrong: methods that fit are then written to
 * allow (of at least 64 bytes) as "GET, HEAD, POST". Linear in the table: two dozen comparisons. */
int api_match(const char *method, const char *path, struct api_match *ret, char allow[64]);

/* The row of a name, or NULL. */
const struct api_operation *api_find(const char *name);
