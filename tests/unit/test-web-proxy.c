/* web/: requests for ports of guests, and heads on their way there and back. */
#include "web/proxy-head.h"
#include "web/ticket.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID "sb-aaaaaaaaaaaaaaaa"

static struct head parse(const char *text)
{
    struct head head;
    cr_assert(eq(int, head_parse_request(&head, text, strlen(text)), 0), "%s", text);
    return head;
}

static struct head parse_answer(const char *text)
{
    struct head head;
    cr_assert(eq(int, head_parse_answer(&head, text, strlen(text)), 0), "%s", text);
    return head;
}

/* --- Addresses -------------------------------------------------------------------------------- */

Test(target, names_a_port)
{
    static const struct {
        const char *target, *fields;
        int result;
        enum port_mode mode;
        int port;
        size_t prefix;
    } rows[] = {
        { "/", "", 0, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID, "", 0, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/8080/a/b?c", "", 0, PORT_PATH, 8080, 45 },
        { "/v1/sandboxes/" ID "/proxy/8080", "", 0, PORT_PATH, 8080, 45 },
        { "/v1/sandboxes/" ID "/proxy/8080?a/b", "", 0, PORT_PATH, 8080, 45 },
        { "/v1/sandboxes/" ID "/proxy/44772/ping", "", 0, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/18080/policy", "", 0, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/0/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/080/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/65536/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/123456/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/%38/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/../proxy/80/", "", -EINVAL, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/tcp/22", "", 0, PORT_TUNNEL, 22, 0 },
        { "/x", "Host: 8080-" ID ".localhost:7070\r\n", 0, PORT_HOST, 8080, 0 },
        { "/x", "Host: 8080-" ID ".LocalHost\r\n", 0, PORT_HOST, 8080, 0 },
        { "/x", "Host: 8080-" ID ".ports.example\r\n", 0, PORT_HOST, 8080, 0 },
        { "/x", "Host: 8080-" ID ".ports.example.evil\r\n", 0, PORT_NONE, 0, 0 },
        { "/x", "Host: a.8080-" ID ".localhost\r\n", 0, PORT_NONE, 0, 0 },
        { "/x", "Host: 8080-.localhost\r\n", 0, PORT_NONE, 0, 0 },
        { "/x", "Host: localhost\r\n", 0, PORT_NONE, 0, 0 },
        { "/x", "Host: .localhost\r\n", 0, PORT_NONE, 0, 0 },
        { "/v1/sandboxes/" ID "/proxy/80/", "Host: 8080-" ID ".localhost\r\n", 0, PORT_HOST, 8080, 0 },
        { "/x", "OpenSandbox-Ingress-To: " ID "-9222\r\n", 0, PORT_HEADER, 9222, 0 },
        { "/x", "OPEN-SANDBOX-INGRESS: " ID "-9222\r\n", 0, PORT_HEADER, 9222, 0 },
        { "/x", "OpenSandbox-Ingress-To: " ID "\r\n", -EINVAL, PORT_NONE, 0, 0 },
        { "/x", "OpenSandbox-Ingress-To: -80\r\n", -EINVAL, PORT_NONE, 0, 0 },
        { "/x", "OpenSandbox-Ingress-To: a b-80\r\n", -EINVAL, PORT_NONE, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        struct port_address to;
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s\r\n", rows[i].target, rows[i].fields);
        struct head head = parse(text);
        cr_assert(eq(int, target_port(&head, "ports.example", &to), rows[i].result), "%s", text);
        cr_assert(eq(int, to.mode, rows[i].mode), "%s", text);
        if (to.mode != PORT_NONE) {
            cr_assert(eq(int, to.port, rows[i].port), "%s", text);
            cr_assert(eq(str, to.id, ID), "%s", text);
        }
        if (to.mode == PORT_PATH)
            cr_assert(eq(sz, to.prefix, rows[i].prefix - 45 + strlen("/v1/sandboxes/" ID "/proxy/8080")));
    }
}

/* --- To the guest ----------------------------------------------------------------------------- */

static const char *rewrite(const char *text, struct proxy_way *way)
{
    static struct buf out;
    struct head head = parse(text);
    cr_assert(eq(int, target_port(&head, NULL, &way->to), 0));
    strcpy(way->host, "localhost:7070");
    buf_deinit(&out);
    proxy_write_request(&head, way, &out);
    return buf_str(&out);
}

Test(proxy_head, request_by_path)
{
    struct proxy_way way = { .peer = "192.0.2.1" };
    const char *out = rewrite("POST /v1/sandboxes/" ID "/proxy/80?q HTTP/1.1\r\nHost: localhost:7070\r\n"
                              "Cookie: deskfarm=x\r\nAuthorization: Basic y\r\nContent-Length: 3\r\n"
                              "Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Stays: 2\r\n"
                              "Origin: http://localhost:7070\r\n\r\n", &way);
    cr_assert(eq(str, (char *)out,
                 "POST /?q HTTP/1.1\r\nHost: localhost:80\r\nOrigin: http://localhost:80\r\n"
                 "X-Forwarded-Host: localhost:7070\r\nX-Forwarded-Proto: http\r\n"
                 "X-Forwarded-For: 192.0.2.1\r\n"
                 "X-Forwarded-Prefix: /v1/sandboxes/" ID "/proxy/80\r\n"
                 "Content-Length: 3\r\nX-Stays: 2\r\nConnection: close\r\n\r\n"));
}

Test(proxy_head, upgrade_by_host)
{
    struct proxy_way way = { .is_upgrade = true };
    const char *out = rewrite("GET /ws HTTP/1.1\r\nHost: 80-" ID ".localhost\r\nUpgrade: websocket\r\n"
                              "Cookie: a=1; deskfarm-port=x; b=2\r\nConnection: Upgrade\r\n"
                              "Authorization: Basic y\r\nSec-WebSocket-Key: k\r\n\r\n", &way);
    cr_assert(eq(str, (char *)out,
                 "GET /ws HTTP/1.1\r\nHost: localhost:7070\r\nX-Forwarded-Host: localhost:7070\r\n"
                 "X-Forwarded-Proto: http\r\nCookie: a=1; b=2\r\nAuthorization: Basic y\r\n"
                 "Sec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
}

Test(proxy_head, a_hop_cannot_name_the_length)
{
    struct proxy_way way = { 0 };
    const char *out = rewrite("POST /v1/sandboxes/" ID "/proxy/80/ HTTP/1.1\r\nHost: x\r\n"
                              "Connection: content-length, transfer-encoding\r\n"
                              "Content-Length: 3\r\n\r\n", &way);
    cr_assert_not_null(strstr(out, "Content-Length: 3\r\n"));
}

/* --- From the guest --------------------------------------------------------------------------- */

static const char *rewrite_answer(const char *text, enum port_mode mode)
{
    static struct buf out;
    struct head head = parse_answer(text);
    struct proxy_way way = { .to = { .mode = mode, .id = ID, .port = 80 } };
    buf_deinit(&out);
    proxy_write_answer(&head, &way, false, &out);
    return buf_str(&out);
}

Test(proxy_head, answer_by_path_is_a_sandboxed_document)
{
    const char *out = rewrite_answer("HTTP/1.0 302 Found\nSet-Cookie: a=b\nLocation: http://localhost:80/x\n"
                                     "Access-Control-Allow-Origin: *\nKeep-Alive: 1\nX: y\n\n", PORT_PATH);
    cr_assert(eq(str, (char *)out,
                 "HTTP/1.1 302 Found\r\nLocation: /v1/sandboxes/" ID "/proxy/80/x\r\nX: y\r\n"
                 "Content-Security-Policy: sandbox allow-scripts allow-forms allow-downloads\r\n"
                 "X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n"
                 "Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"));
}

Test(proxy_head, locations)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "/a", "/v1/sandboxes/" ID "/proxy/80/a" }, { "//evil.example/", "//evil.example/" },
        { "a/b", "a/b" }, { "http://localhost:80/", "/v1/sandboxes/" ID "/proxy/80/" },
        { "http://localhost:8080/", "http://localhost:8080/" }, { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[128], want[128];
        snprintf(text, sizeof text, "HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n", rows[i].from);
        snprintf(want, sizeof want, "Location: %s\r\n", rows[i].to);
        const char *out = rewrite_answer(text, PORT_PATH);
        cr_assert_not_null(strstr(out, want), "%s: %s", rows[i].from, out);
    }
}

Test(proxy_head, cookies_of_a_host_stay_there)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "a=b", "a=b" }, { "a=b; Domain=localhost; Path=/", "a=b; Path=/" },
        { "a=b;DOMAIN =x;Secure", "a=b; Secure" }, { "domain=b; Path=/", "domain=b; Path=/" },
        { "a=b; Domain", "a=b" }, { "", "" }, { "a=b;\tdomain=.localhost", "a=b" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[128], want[128];
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nSet-Cookie: %s\r\n\r\n", rows[i].from);
        snprintf(want, sizeof want, "Set-Cookie: %s\r\n", rows[i].to);
        const char *out = rewrite_answer(text, PORT_HOST);
        cr_assert_not_null(strstr(out, want), "%s: %s", rows[i].from, out);
    }
}

/* --- Tickets ---------------------------------------------------------------------------------- */

Test(ticket, works_once_at_its_port_and_soon)
{
    struct tickets *all = tickets_new();
    struct ticket_scope scope = { .secret = "df_secret", .sandbox = ID, .port = 80 };
    char link[TICKET_CHARS + 1], late[TICKET_CHARS + 1], cookie[TICKET_CHARS + 1];
    tickets_add(all, TICKET_LINK, &scope, 1, link);
    tickets_add(all, TICKET_LINK, &scope, 1, late);
    tickets_add(all, TICKET_COOKIE, &scope, 1, cookie);
    cr_assert_null(tickets_use(all, TICKET_COOKIE, link, ID, 80, 2));
    const struct ticket_scope *got = tickets_use(all, TICKET_LINK, link, ID, 80, 2);
    cr_assert_not_null(got);
    cr_assert(eq(str, (char *)got->secret, "df_secret"));
    cr_assert_null(tickets_use(all, TICKET_LINK, link, ID, 80, 3));
    cr_assert_null(tickets_use(all, TICKET_LINK, late, ID, 80, 61 * 1000000));
    cr_assert_null(tickets_use(all, TICKET_COOKIE, cookie, ID, 81, 2));
    cr_assert_null(tickets_use(all, TICKET_COOKIE, cookie, "sb-other", 80, 2));
    cr_assert_not_null(tickets_use(all, TICKET_COOKIE, cookie, ID, 80, 11 * 3600 * (int64_t)1000000));
    cr_assert_null(tickets_use(all, TICKET_COOKIE, cookie, ID, 80, 13 * 3600 * (int64_t)1000000));
    cr_assert_null(tickets_use(all, TICKET_COOKIE, "", ID, 80, 2));
    tickets_free(all);
}

Test(ticket, the_oldest_goes_when_there_are_too_many)
{
    struct tickets *all = tickets_new();
    struct ticket_scope scope = { .sandbox = ID, .port = 80 };
    char first[TICKET_CHARS + 1], id[TICKET_CHARS + 1];
    tickets_add(all, TICKET_COOKIE, &scope, 1, first);
    for (int i = 0; i < TICKETS_MAX; i++)
        tickets_add(all, TICKET_COOKIE, &scope, 2 + i, id);
    cr_assert_null(tickets_use(all, TICKET_COOKIE, first, ID, 80, 5000));
    cr_assert_not_null(tickets_use(all, TICKET_COOKIE, id, ID, 80, 5000));
    tickets_free(all);
}
