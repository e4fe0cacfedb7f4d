/* Requests against the API table: a line "METHOD PATH?QUERY", then the body. */
#include "api/table.h"
#include "api/validate.h"

#include <string.h>

#define LINE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const struct api_operation *op, char *query)
{
    struct api_pair pairs[API_QUERY_MAX];
    size_t n = 0;
    for (char *part; query && n < API_QUERY_MAX && (part = strsep(&query, "&"));) {
        char *value = strchr(part, '=');
        if (value)
            *value++ = 0;
        pairs[n++] = (struct api_pair){ part, value ? value : "" };
    }
    auto_json json_t *values = NULL;
    int ignored = 0;
    struct error err = { 0 };
    api_check_query(op, pairs, n, &values, &ignored, &err);
}

static void check_body(const struct api_operation *op, const char *text, size_t size)
{
    auto_json json_t *body = NULL;
    int ignored = 0;
    struct error err = { 0 };
    if (json_parse_object(text, size, &body, NULL) == 0)
        api_check_body(op, body, &ignored, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LINE_MAX], allow[64];
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t length = end ? (size_t)(end - data) : size;
    if (length >= sizeof line)
        return 0;
    memcpy(line, data, length);
    line[length] = 0;
    char *query = line, *method = strsep(&query, " "), *path = query ? strsep(&query, "?") : NULL;
    struct api_match match;
    if (!path || api_match(method, path, &match, allow) != 0)
        return 0;
    const struct api_operation *op = &api_table[match.id];
    auto_json json_t *values = NULL;
    api_check_path(op, &match, &values, NULL);
    check_query(op, query);
    if (end)
        check_body(op, (const char *)end + 1, size - length - 1);
    return 0;
}
