#include "web/proxy-head.h"

#include "web/guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Never allow-same-origin: that would be our origin. */
#define SANDBOX_ALLOWS "allow-scripts allow-forms allow-downloads"

static bool is_one_of(struct span name, const char *const *list)
{
    for (; *list; list++) {
        if (span_is(name, *list))
            return true;
    }
    return false;
}

/* RFC 9110 section 7.6.1, and what Connection names. Transfer-Encoding stays: the body passes as it
 * is. */
static bool is_hop_by_hop(const struct head *head, const struct head_field *field)
{
    static const char *const names[] = { "connection", "keep-alive", "proxy-connection",
                                         "proxy-authenticate", "proxy-authorization", "te",
                                         "trailer", "upgrade", NULL };
    char name[64];
    if (is_one_of(field->name, names))
        return true;
    if (span_is(field->name, "transfer-encoding") || span_is(field->name, "content-length"))
        return false;
    return span_copy(field->name, name, sizeof name) && head_lists(head, "connection", name);
}

static void put_field(struct buf *out, struct span name, struct span value)
{
    buf_append(out, name.at, name.size);
    buf_puts(out, ": ");
    buf_append(out, value.at, value.size);
    buf_puts(out, "\r\n");
}

static bool is_plain(const struct proxy_way *way)
{
    return way->to.mode != PORT_HOST;
}

/* --- To the guest ----------------------------------------------------------------------------- */

/* The guest's own path; of an absolute target what follows the host. */
static void put_target(const struct head *head, const struct proxy_way *way, struct buf *out)
{
    struct span target = head->target;
    size_t skip = way->to.mode == PORT_PATH ? way->to.prefix : 0;
    target.at += skip, target.size -= skip;
    if (target.size == 0 || *target.at == '?')
        buf_puts(out, "/");
    buf_append(out, target.at, target.size);
}

/* All but our own cookie. */
static void put_cookies(struct span value, struct buf *out)
{
    bool is_first = true;
    while (value.size > 0) {
        struct span one = target_before(value, ';');
        size_t taken = MIN(one.size + 1, value.size);
        value.at += taken, value.size -= taken;
        while (one.size > 0 && *one.at == ' ')
            one.at++, one.size--;
        if (one.size == 0 || span_is(target_before(one, '='), PROXY_COOKIE))
            continue;
        buf_puts(out, is_first ? "Cookie: " : "; ");
        buf_append(out, one.at, one.size);
        is_first = false;
    }
    if (!is_first)
        buf_puts(out, "\r\n");
}

/* Fields that say who the caller is to us, or that we say ourselves. */
static bool is_ours(struct span name)
{
    static const char *const names[] = {
        "host", "cookie", "authorization", "origin", "open-sandbox-api-key",
        "x-execd-access-token", "opensandbox-ingress-to", "open-sandbox-ingress",
        "opensandbox-access-renew", "opensandbox-secure-access", "forwarded", "x-real-ip", NULL,
    };
    return is_one_of(name, names) ||
           (name.size > 12 && strncasecmp(name.at, "x-forwarded-", 12) == 0);
}

/* In path mode the guest is asked for by the name that it has for itself: programs that look at
 * Host, such as a browser's debugging port, then know themselves whatever we are called. */
static void put_names(const struct head *head, const struct proxy_way *way, struct buf *out)
{
    struct span origin = head_find(head, "origin");
    char own[32];
    snprintf(own, sizeof own, "localhost:%d", way->to.port);
    bool is_path = way->to.mode == PORT_PATH;
    buf_printf(out, "Host: %s\r\n", is_path ? own : way->host);
    if (origin.size && is_path)
        buf_printf(out, "Origin: http://%s\r\n", own);
    else if (origin.size)
        put_field(out, (struct span){ "Origin", 6 }, origin);
    buf_printf(out, "X-Forwarded-Host: %s\r\nX-Forwarded-Proto: %s\r\n", way->host,
               way->is_https ? "https" : "http");
    if (*way->peer)
        buf_printf(out, "X-Forwarded-For: %s\r\n", way->peer);
    if (is_path)
        buf_printf(out, "X-Forwarded-Prefix: %.*s\r\n", (int)way->to.prefix, head->target.at);
}

void proxy_write_request(const struct head *head, const struct proxy_way *way, struct buf *out)
{
    buf_append(out, head->method.at, head->method.size);
    buf_puts(out, " ");
    put_target(head, way, out);
    buf_puts(out, " HTTP/1.1\r\n");
    put_names(head, way, out);
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct head_field *field = &head->fields[i];
        bool may_keep = !is_plain(way) && !way->has_own_secret;
        if (span_is(field->name, "cookie") && !is_plain(way))
            put_cookies(field->value, out);
        else if ((span_is(field->name, "authorization") && may_keep) ||
                 (!is_ours(field->name) && !is_hop_by_hop(head, field)))
            put_field(out, field->name, field->value);
    }
    if (way->is_upgrade) {
        buf_puts(out, "Connection: Upgrade\r\n");
        put_field(out, (struct span){ "Upgrade", 7 }, head_find(head, "upgrade"));
    } else {
        buf_puts(out, "Connection: close\r\n");
    }
    buf_puts(out, "\r\n");
}

/* --- From the guest --------------------------------------------------------------------------- */

/* What a guest may not say for our origin. */
static bool is_refused(struct span name)
{
    static const char *const names[] = {
        "set-cookie", "set-cookie2", "clear-site-data", "strict-transport-security",
        "service-worker-allowed", "public-key-pins", "nel", "report-to", "reporting-endpoints",
        "x-content-type-options", "cross-origin-resource-policy",
        "referrer-policy", "origin-agent-cluster", "speculation-rules", "link", NULL,
    };
    return is_one_of(name, names) ||
           (name.size > 15 && strncasecmp(name.at, "access-control-", 15) == 0);
}

/* A cookie without its Domain: it stays with the host that set it. */
static void put_set_cookie(struct span value, struct buf *out)
{
    buf_puts(out, "Set-Cookie: ");
    for (bool is_first = true; value.size > 0; is_first = false) {
        struct span one = target_before(value, ';');
        size_t taken = MIN(one.size + 1, value.size);
        value.at += taken, value.size -= taken;
        while (one.size > 0 && (*one.at == ' ' || *one.at == '\t'))
            one.at++, one.size--;
        struct span name = target_before(one, '=');
        while (name.size > 0 && (name.at[name.size - 1] == ' ' || name.at[name.size - 1] == '\t'))
            name.size--;
        if (!is_first && span_is(name, "domain"))
            continue;
        buf_puts(out, is_first ? "" : "; ");
        buf_append(out, one.at, one.size);
    }
    buf_puts(out, "\r\n");
}

/* In path mode a redirect within the guest stays below its prefix. */
static void put_location(struct span value, const struct proxy_way *way, struct buf *out)
{
    char own[48];
    int n = snprintf(own, sizeof own, "http://localhost:%d/", way->to.port);
    if (span_starts(value, own))
        value.at += n - 1, value.size -= (size_t)n - 1;
    bool is_path = value.size > 0 && *value.at == '/' && !(value.size > 1 && value.at[1] == '/');
    buf_puts(out, "Location: ");
    if (is_path)
        buf_printf(out, "/v1/sandboxes/%s/proxy/%d", way->to.id, way->to.port);
    buf_append(out, value.at, value.size);
    buf_puts(out, "\r\n");
}

static void put_answer_field(const struct head_field *field, const struct proxy_way *way,
                             struct buf *out)
{
    if (!is_plain(way) && span_is(field->name, "set-cookie"))
        put_set_cookie(field->value, out);
    else if (way->to.mode == PORT_PATH && span_is(field->name, "location"))
        put_location(field->value, way, out);
    else if (!is_plain(way) || !is_refused(field->name))
        put_field(out, field->name, field->value);
}

void proxy_write_answer(const struct head *head, const struct proxy_way *way, bool keeps_open,
                        struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d ", head->status);
    buf_append(out, head->reason.at, head->reason.size);
    buf_puts(out, "\r\n");
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct head_field *field = &head->fields[i];
        if (!is_hop_by_hop(head, field) && !span_is(field->name, "alt-svc"))
            put_answer_field(field, way, out);
    }
    if (is_plain(way) && head->status >= 200)
        buf_printf(out, "Content-Security-Policy: sandbox %s\r\n%s", SANDBOX_ALLOWS, guard_headers);
    if (head->status == 101) {
        buf_puts(out, "Connection: Upgrade\r\n");
        put_field(out, (struct span){ "Upgrade", 7 }, head_find(head, "upgrade"));
    } else if (head->status >= 200 && !keeps_open) {
        buf_puts(out, "Connection: close\r\n");
    }
    buf_puts(out, "\r\n");
}
