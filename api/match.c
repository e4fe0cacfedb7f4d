/* Path to row. A path is compared with each row's, segment by segment; no tree, no allocation: the
 * table is short and a request does far more than this. */
#include "api/table.h"

#include <stdio.h>
#include <string.h>

static size_t segment_size(const char *at)
{
    return strcspn(at, "/");
}

static bool match_path(const char *pattern, const char *path, struct api_match *match)
{
    size_t n = 0;
    while (*pattern && *path) {
        if (*pattern++ != '/' || *path++ != '/')
            return false;
        size_t want = segment_size(pattern), have = segment_size(path);
        if (*pattern == '{') {
            if (!have || n == API_PATH_PARAMS_MAX)
                return false;
            match->values[n] = path;
            match->sizes[n++] = have;
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

static void allow_method(char allow[64], const char *method)
{
    size_t used = strlen(allow);
    snprintf(allow + used, 64 - used, "%s%s%s", used ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int api_match(const char *method, const char *path, struct api_match *ret, char allow[64])
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    allow[0] = 0;
    for (enum api_id id = 0; id < API_COUNT; id++) {
        struct api_match match = { .id = id };
        if (!match_path(api_table[id].path, path, &match))
            continue;
        if (strcmp(api_table[id].method, method) == 0) {
            *ret = match;
            return 0;
        }
        allow_method(allow, api_table[id].method);
    }
    return allow[0] ? API_NO_METHOD : API_NO_PATH;
}

const struct api_operation *api_find(const char *name)
{
    for (enum api_id id = 0; id < API_COUNT; id++) {
        if (strcmp(api_table[id].name, name) == 0)
            return &api_table[id];
    }
    return NULL;
}
