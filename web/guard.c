#include "web/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GUARD_PARAMETERS_MAX 128

const char guard_headers[] = "X-Content-Type-Options: nosniff\r\n"
                             "Cross-Origin-Resource-Policy: same-origin\r\n"
                             "Referrer-Policy: no-referrer\r\n";

const char guard_page_headers[] =
    "Content-Security-Policy: default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'\r\n"
    "X-Frame-Options: DENY\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n";

static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n >= 1 && n <= 5 && !text[n] && atoi(text) <= 65535;
}

bool guard_split_host(const char *host, char out[GUARD_HOST_MAX])
{
    bool has_bracket = host[0] == '[';
    const char *start = has_bracket ? host + 1 : host;
    size_t n = strcspn(start, has_bracket ? "]" : ":");
    const char *rest = start + n;
    if (n == 0 || n >= GUARD_HOST_MAX || (has_bracket && *rest++ != ']'))
        return false;
    if (*rest && (*rest != ':' || !is_port(rest + 1)))
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = (char)tolower((unsigned char)start[i]);
        if (!isalnum((unsigned char)c) && !strchr(has_bracket ? ":." : ".-_", c))
            return false;
        out[i] = c;
    }
    out[n] = 0;
    return true;
}

static bool is_listed(const char *const *list, const char *name)
{
    for (; list && *list; list++) {
        if (strcasecmp(*list, name) == 0)
            return true;
    }
    return false;
}

static bool is_address(const char *name)
{
    unsigned char out[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, out) == 1 || inet_pton(AF_INET6, name, out) == 1;
}

bool guard_host_is_ours(const struct guard_hosts *hosts, const char *host)
{
    static const char *const loopback[] = { "localhost", "127.0.0.1", "::1", NULL };
    char name[GUARD_HOST_MAX];
    if (!guard_split_host(host, name))
        return false;
    return is_listed(loopback, name) || is_listed(hosts->names, name) ||
           is_listed(hosts->addresses, name) || (hosts->any_address && is_address(name));
}

bool guard_origin_is_own(const char *origin, const char *host)
{
    const char *rest = strncasecmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncasecmp(origin, "https://", 8) == 0 ? origin + 8
                                                                 : NULL;
    return rest && *host && strcasecmp(rest, host) == 0;
}

static int check_site(const struct guard_facts *facts, struct error *err)
{
    /* A link from elsewhere to a page is how people arrive; the page then is an origin of ours. */
    if (facts->is_page && !facts->is_upgrade)
        return 0;
    if (*facts->origin && !guard_origin_is_own(facts->origin, facts->host))
        return error_set(err, ERROR_BAD_ORIGIN, "the Origin header names another site");
    if (*facts->fetch_site && strcmp(facts->fetch_site, "same-origin") != 0 &&
        strcmp(facts->fetch_site, "none") != 0)
        return error_set(err, ERROR_BAD_ORIGIN, "a page of another site sent this request");
    return 0;
}

static bool is_type(const char *type, const char *wanted)
{
    size_t n = strlen(wanted);
    return strncasecmp(type, wanted, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' ');
}

int guard_check(const struct guard_hosts *hosts, const struct guard_facts *facts, struct error *err)
{
    if (!facts->is_unix && !guard_host_is_ours(hosts, facts->host))
        return error_set(
            err, ERROR_BAD_HOST,
            "the Host header names no host of this daemon; add the name to its configuration");
    int r = check_site(facts, err);
    const char *wanted = facts->wanted_type ? facts->wanted_type : "application/json";
    if (r == 0 && facts->has_body && strcmp(wanted, "*") != 0 &&
        !is_type(facts->content_type, wanted))
        r = error_set(err, ERROR_MEDIA_TYPE, "the body must have Content-Type: %s", wanted);
    return r;
}

int guard_check_head(const char *head, size_t size, struct error *err)
{
    const char *end = memchr(head, '\n', size);
    size_t line = end ? (size_t)(end - head) : size;
    size_t parameters = 0;
    for (size_t i = 0; i < line; i++)
        parameters += head[i] == '&';
    if (memmem(head, line, "%00", 3))
        return error_set(err, ERROR_BAD_VALUE, "the address contains %%00");
    if (parameters > GUARD_PARAMETERS_MAX)
        return error_set(err, ERROR_TOO_LARGE, "more than %d query parameters",
                         GUARD_PARAMETERS_MAX);
    if (size >= GUARD_HEAD_MAX && !memmem(head, size, "\r\n\r\n", 4))
        return error_set(err, ERROR_TOO_LARGE, "the headers are longer than %d bytes",
                         GUARD_HEAD_MAX);
    return 0;
}

/* The value of Content-Length in a header block; 0 when there is none. */
static size_t content_length(const char *head, size_t size)
{
    static const char name[] = "\ncontent-length:";
    const size_t n = sizeof name - 1;
    for (size_t i = 0; i + n < size; i++) {
        if (head[i] == '\n' && strncasecmp(head + i, name, n) == 0)
            return strtoul(head + i + n, NULL, 10);
    }
    return 0;
}

size_t guard_request_size(const char *head, size_t size)
{
    const char *end = memmem(head, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t block = (size_t)(end - head) + 4;
    /* The block ends with a line end, so the number in it is followed by something else. */
    return block + content_length(head, block);
}

bool guard_is_loopback(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return address->s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(address);
}

bool guard_cookie(const char *header, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    for (const char *at = header; *at; at += strcspn(at, ";"), at += *at == ';') {
        at += strspn(at, " ");
        if (strncmp(at, name, n) != 0 || at[n] != '=')
            continue;
        size_t length = strcspn(at + n + 1, "; ");
        if (length == 0 || length >= size)
            return false;
        memcpy(out, at + n + 1, length);
        out[length] = 0;
        return true;
    }
    return false;
}
