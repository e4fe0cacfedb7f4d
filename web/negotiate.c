#include "web/negotiate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One element of an Accept list: the media range and its quality in thousandths. */
struct range {
    const char *type;
    size_t size;
    int quality;
};

static int parse_quality(const char *text)
{
    char *end;
    double q = strtod(text, &end);
    return end == text || !(q >= 0 && q <= 1) ? 0 : (int)(q * 1000);
}

/* Reads the element at *at and moves on to the next. False at the end. */
static bool next_range(const char **at, struct range *ret)
{
    *at += strspn(*at, ", \t");
    if (!**at)
        return false;
    ret->type = *at;
    ret->size = strcspn(*at, ",; \t");
    ret->quality = 1000;
    *at += ret->size;
    while (**at && **at != ',') {
        *at += strspn(*at, "; \t");
        if (strncasecmp(*at, "q=", 2) == 0)
            ret->quality = parse_quality(*at + 2);
        *at += strcspn(*at, ",;");
    }
    return true;
}

/* 0: does not match, 1: all types, 2: all of the kind, 3: exactly. */
static int match_range(const struct range *range, const char *type)
{
    size_t kind = strcspn(type, "/") + 1;
    if (range->size == 3 && memcmp(range->type, "*/*", 3) == 0)
        return 1;
    if (range->size == kind + 1 && strncasecmp(range->type, type, kind) == 0 &&
        range->type[kind] == '*')
        return 2;
    return range->size == strlen(type) && strncasecmp(range->type, type, range->size) == 0 ? 3 : 0;
}

/* The most specific range decides; 0 when none matches. */
static int quality_of(const char *accept, const char *type)
{
    int best = 0, quality = 0;
    struct range range;
    while (next_range(&accept, &range)) {
        int match = match_range(&range, type);
        if (match > best) {
            best = match;
            quality = range.quality;
        }
    }
    return quality;
}

enum representation negotiate(const char *accept, const char *content_type,
                              enum representation preset)
{
    if (!*accept)
        return preset;
    int json = quality_of(accept, "application/json"), image = quality_of(accept, content_type);
    if (!json && !image)
        return REPRESENT_NONE;
    return json == image ? preset : json > image ? REPRESENT_JSON : REPRESENT_IMAGE;
}

bool negotiate_etag_matches(const char *if_none_match, const char *etag)
{
    size_t n = strlen(etag);
    if (n == 0)
        return false;
    for (const char *at = if_none_match; *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        if (*at == '*')
            return true;
        if (at[0] == 'W' && at[1] == '/')
            at += 2;
        if (*at == '"' && strncmp(at + 1, etag, n) == 0 && at[n + 1] == '"')
            return true;
    }
    return false;
}
