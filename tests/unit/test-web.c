/* web/: who is let in, what is answered, what is remembered. The server itself is tested from outside by
 * the integration tests. */
#include "base/json.h"
#include "web/guard.h"
#include "web/idempotency.h"
#include "web/metrics.h"
#include "web/negotiate.h"
#include "web/session.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#define HOUR_US ((int64_t)3600 * 1000000)

/* --- Guard ---------------------------------------------------------------------------------------- */

static const char *const names[] = { "farm.example", NULL };
static const char *const addresses[] = { "192.0.2.7", "2001:db8::7", NULL };
static const struct guard_hosts ours = { .names = names, .addresses = addresses };

Test(guard, knows_its_hosts)
{
    static const struct {
        const char *host;
        bool is_ours;
    } rows[] = {
        { "localhost", true },          { "localhost:7070", true },       { "LOCALHOST:1", true },
        { "127.0.0.1:7070", true },     { "[::1]:7070", true },           { "[::1]", true },
        { "farm.example:443", true },   { "Farm.Example", true },         { "192.0.2.7", true },
        { "[2001:db8::7]:7070", true }, { "", false },                    { "evil.example", false },
        { "localhost.evil.example", false }, { "evil.localhost", false }, { "7070-sb-1.localhost:7070", false },
        { "192.0.2.8", false },         { "127.0.0.1.evil.example", false }, { "localhost:", false },
        { "localhost:70700", false },   { "localhost:80x", false },       { "localhost:7070:1", false },
        { "[::1", false },              { "[::1]x", false },              { "::1", false },
        { "local host", false },        { "localhost,evil.example", false }, { "user@localhost", false },
        { "localhost/", false },        { "?", false },                   { "0x7f000001", false },
        { "2130706433", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, guard_host_is_ours(&ours, rows[i].host), rows[i].is_ours), "%s", rows[i].host);
}

Test(guard, a_wildcard_takes_any_address_but_no_name)
{
    struct guard_hosts any = { .any_address = true };
    cr_assert(guard_host_is_ours(&any, "198.51.100.9:7070"));
    cr_assert(guard_host_is_ours(&any, "[2001:db8::1]:7070"));
    cr_assert(not(guard_host_is_ours(&any, "evil.example:7070")));
}

/* Absent headers are filled in below: our own host, and "" for the others. */
#define FACTS(...) { __VA_ARGS__ }

static struct guard_facts fill_facts(struct guard_facts facts)
{
    facts.host = facts.host ? facts.host : "localhost:7070";
    facts.origin = facts.origin ? facts.origin : "";
    facts.fetch_site = facts.fetch_site ? facts.fetch_site : "";
    facts.content_type = facts.content_type ? facts.content_type : "";
    return facts;
}

Test(guard, refuses_other_sites)
{
    const struct {
        const char *what;
        struct guard_facts facts;
        int code; /* -1: let in */
    } rows[] = {
        { "a program", FACTS(.is_page = false), -1 },
        { "our page", FACTS(.origin = "http://localhost:7070", .fetch_site = "same-origin"), -1 },
        { "our page behind TLS", FACTS(.origin = "https://localhost:7070"), -1 },
        { "typed into the address bar", FACTS(.fetch_site = "none"), -1 },
        { "a link from elsewhere to a page", FACTS(.is_page = true, .fetch_site = "cross-site"), -1 },
        { "rebound name", FACTS(.host = "evil.example:7070"), ERROR_BAD_HOST },
        { "rebound name, its own origin", FACTS(.host = "evil.example:7070", .origin = "http://evil.example:7070"), ERROR_BAD_HOST },
        { "rebound name asks for a page", FACTS(.is_page = true, .host = "evil.example:7070"), ERROR_BAD_HOST },
        { "no host", FACTS(.host = ""), ERROR_BAD_HOST },
        { "any host over the unix socket", FACTS(.is_unix = true, .host = "x"), -1 },
        { "fetch from another site", FACTS(.origin = "http://evil.example"), ERROR_BAD_ORIGIN },
        { "a sandboxed frame", FACTS(.origin = "null"), ERROR_BAD_ORIGIN },
        { "another port is another origin", FACTS(.origin = "http://localhost:3000"), ERROR_BAD_ORIGIN },
        { "our name as a prefix", FACTS(.origin = "http://localhost:7070.evil.example"), ERROR_BAD_ORIGIN },
        { "an image of another site", FACTS(.fetch_site = "cross-site"), ERROR_BAD_ORIGIN },
        { "an image of another port", FACTS(.fetch_site = "same-site"), ERROR_BAD_ORIGIN },
        { "WebSocket from another site", FACTS(.is_upgrade = true, .origin = "http://evil.example"), ERROR_BAD_ORIGIN },
        { "WebSocket to a page from another site", FACTS(.is_page = true, .is_upgrade = true, .origin = "http://evil.example"), ERROR_BAD_ORIGIN },
        { "JSON", FACTS(.has_body = true, .content_type = "application/json"), -1 },
        { "JSON with a charset", FACTS(.has_body = true, .content_type = "Application/JSON; charset=utf-8"), -1 },
        { "a form", FACTS(.has_body = true, .content_type = "application/x-www-form-urlencoded"), ERROR_MEDIA_TYPE },
        { "a form of plain text", FACTS(.has_body = true, .content_type = "text/plain"), ERROR_MEDIA_TYPE },
        { "a body without a type", FACTS(.has_body = true), ERROR_MEDIA_TYPE },
        { "nearly JSON", FACTS(.has_body = true, .content_type = "application/jsonp"), ERROR_MEDIA_TYPE },
        { "a form from another site over the unix socket", FACTS(.is_unix = true, .origin = "http://evil.example"), ERROR_BAD_ORIGIN },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        struct guard_facts facts = fill_facts(rows[i].facts);
        int r = guard_check(&ours, &facts, &err);
        cr_assert(eq(int, r < 0 ? (int)err.code : -1, rows[i].code), "%s: %s", rows[i].what, err.message);
    }
}

Test(guard, answers_never_carry_cors_headers)
{
    cr_assert_null(strcasestr(guard_headers, "Access-Control"));
    cr_assert_null(strcasestr(guard_page_headers, "Access-Control"));
    cr_assert_null(strcasestr(guard_page_headers, "unsafe"));
}

Test(guard, finds_its_cookie)
{
    static const struct {
        const char *header, *value;
    } rows[] = {
        { "deskfarm=abc", "abc" },
        { "a=b; deskfarm=abc; c=d", "abc" },
        { "xdeskfarm=no; deskfarm=abc", "abc" },
        { "deskfarm2=no", NULL },
        { "deskfarm=", NULL },
        { "deskfarm", NULL },
        { "", NULL },
        { ";;; ;", NULL },
        { "deskfarm=a-value-that-is-longer-than-fits-in", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[16] = "";
        bool found = guard_cookie(rows[i].header, "deskfarm", out, sizeof out);
        cr_assert(eq(int, found, rows[i].value != NULL), "%s", rows[i].header);
        if (found)
            cr_assert(eq(str, out, (char *)rows[i].value));
    }
}

Test(guard, knows_where_a_request_ends)
{
    static const struct {
        const char *text;
        size_t size;
    } rows[] = {
        { "GET / HTTP/1.1\r\n\r\n", 18 },
        { "GET / HTTP/1.1\r\nHost: x\r\n", 0 },
        { "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 18 },
        { "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 40 },
        { "POST / HTTP/1.1\r\ncontent-length:2\r\n\r\n{", 39 },
        { "POST / HTTP/1.1\r\nCONTENT-LENGTH: 100\r\n\r\n", 140 },
        { "", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(sz, guard_request_size(rows[i].text, strlen(rows[i].text)), rows[i].size), "%s",
                  rows[i].text);
}

Test(guard, refuses_heads_that_the_parser_drops)
{
    struct error err = { 0 };
    static char long_head[GUARD_HEAD_MAX];
    static const char good[] = "GET /?a=%01&b=2 HTTP/1.1\r\nX: %00\r\n\r\n";
    static const char nul[] = "GET /?a=%00 HTTP/1.1\r\n\r\n";
    cr_assert(eq(int, guard_check_head(good, sizeof good - 1, &err), 0));
    cr_assert(lt(int, guard_check_head(nul, sizeof nul - 1, &err), 0));
    cr_assert(eq(int, err.code, ERROR_BAD_VALUE));
    memset(long_head, 'a', sizeof long_head);
    cr_assert(lt(int, guard_check_head(long_head, sizeof long_head, &err), 0));
    cr_assert(eq(int, err.code, ERROR_TOO_LARGE));
    memset(long_head, '&', 1000);
    cr_assert(lt(int, guard_check_head(long_head, 1000, &err), 0));
    cr_assert(eq(int, err.code, ERROR_TOO_LARGE));
}

Test(guard, knows_loopback)
{
    static const struct {
        const char *address;
        bool is_loopback;
    } rows[] = {
        { "::1", true }, { "::ffff:127.0.0.1", true }, { "::ffff:127.9.9.9", true }, { "::", false },
        { "::ffff:128.0.0.1", false }, { "::ffff:10.0.0.1", false }, { "fe80::1", false }, { "::127.0.0.1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct in6_addr address;
        inet_pton(AF_INET6, rows[i].address, &address);
        cr_assert(eq(int, guard_is_loopback(&address), rows[i].is_loopback), "%s", rows[i].address);
    }
}

/* --- Negotiation ---------------------------------------------------------------------------------- */

Test(negotiate, picks_a_representation)
{
    static const struct {
        const char *accept;
        enum representation preset, want;
    } rows[] = {
        { "", REPRESENT_IMAGE, REPRESENT_IMAGE },
        { "", REPRESENT_JSON, REPRESENT_JSON },
        { "*/*", REPRESENT_IMAGE, REPRESENT_IMAGE },
        { "*/*", REPRESENT_JSON, REPRESENT_JSON },
        { "application/json", REPRESENT_IMAGE, REPRESENT_JSON },
        { "image/*", REPRESENT_JSON, REPRESENT_IMAGE },
        { "image/png", REPRESENT_JSON, REPRESENT_IMAGE },
        { "image/webp", REPRESENT_IMAGE, REPRESENT_NONE },
        { "image/webp, application/json;q=0.1", REPRESENT_IMAGE, REPRESENT_JSON },
        { "application/json;q=0.5, image/*;q=0.9", REPRESENT_JSON, REPRESENT_IMAGE },
        { "image/*;q=0, */*", REPRESENT_IMAGE, REPRESENT_JSON },
        { "image/avif,image/webp,*/*;q=0.8", REPRESENT_IMAGE, REPRESENT_IMAGE },
        { "text/html", REPRESENT_JSON, REPRESENT_NONE },
        { "APPLICATION/JSON", REPRESENT_IMAGE, REPRESENT_JSON },
        { ",,; ;q=,", REPRESENT_JSON, REPRESENT_NONE },
        { "image/png;q=abc", REPRESENT_JSON, REPRESENT_NONE },
        { "?", REPRESENT_JSON, REPRESENT_NONE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, (int)negotiate(rows[i].accept, "image/png", rows[i].preset), (int)rows[i].want), "%s",
                  rows[i].accept);
}

Test(negotiate, compares_etags)
{
    static const struct {
        const char *header;
        bool matches;
    } rows[] = {
        { "\"e7\"", true },  { "W/\"e7\"", true },     { "\"e6\", \"e7\"", true }, { "*", true },
        { "\"e77\"", false }, { "e7", false },         { "", false },              { "\"e7", false },
        { "W/", false },      { ",,,", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, negotiate_etag_matches(rows[i].header, "e7"), rows[i].matches), "%s", rows[i].header);
    cr_assert(not(negotiate_etag_matches("*", "")));
}

/* --- Sessions ------------------------------------------------------------------------------------- */

Test(session, lasts_half_a_day)
{
    struct sessions *all = sessions_new();
    char id[SESSION_ID_CHARS + 1], other[SESSION_ID_CHARS + 1];
    cr_assert(eq(int, sessions_add(all, "df_secret", 1, id), 0));
    cr_assert(eq(int, sessions_add(all, "df_other", 1, other), 0));
    cr_assert(ne(str, id, other));
    cr_assert(eq(str, (char *)sessions_find(all, id, 11 * HOUR_US), "df_secret"));
    cr_assert_null(sessions_find(all, id, 13 * HOUR_US));
    cr_assert_null(sessions_find(all, "", 1));
    cr_assert_null(sessions_find(all, "0000000000000000000000000000000000000000", 1));
    sessions_remove(all, other);
    cr_assert_null(sessions_find(all, other, 1));
    sessions_free(all);
}

Test(session, the_oldest_goes_when_there_are_too_many)
{
    struct sessions *all = sessions_new();
    char first[SESSION_ID_CHARS + 1], second[SESSION_ID_CHARS + 1], id[SESSION_ID_CHARS + 1];
    sessions_add(all, "first", 1, first);
    sessions_add(all, "second", 2, second);
    for (int i = 2; i <= SESSIONS_MAX; i++)
        sessions_add(all, "more", 1 + i, id);
    cr_assert_null(sessions_find(all, first, 10));
    cr_assert_not_null(sessions_find(all, second, 10));
    cr_assert_not_null(sessions_find(all, id, 10));
    sessions_free(all);
}

Test(session, a_secret_that_is_too_long_is_no_key)
{
    struct sessions *all = sessions_new();
    char id[SESSION_ID_CHARS + 1], secret[SESSION_SECRET_MAX + 1];
    memset(secret, 'a', sizeof secret);
    secret[SESSION_SECRET_MAX] = 0;
    cr_assert(lt(int, sessions_add(all, secret, 1, id), 0));
    sessions_free(all);
}

/* --- Idempotency ---------------------------------------------------------------------------------- */

struct keeper {
    struct idempotency *all;
    struct idempotency_entry *entry;
    const struct kept_answer *answer;
};

static int begin(struct keeper *self, const char *owner, const char *key, const char *request, int64_t now_us)
{
    return idempotency_begin(self->all, owner, key, request, strlen(request), now_us, &self->entry, &self->answer);
}

static void keep(struct keeper *self, const char *text)
{
    auto_bytes struct bytes *payload = bytes_copy(text, strlen(text));
    idempotency_keep(self->all, self->entry, 202, "Location: /x\r\n", payload);
}

Test(idempotency, gives_the_first_answer_again)
{
    struct keeper self = { .all = idempotency_new() };
    cr_assert(eq(int, begin(&self, "k1", "one", "POST /a {}", 1), IDEMPOTENCY_NEW));
    cr_assert(eq(int, begin(&self, "k1", "one", "POST /a {}", 2), IDEMPOTENCY_RUNNING));
    keep(&self, "answer");
    cr_assert(eq(int, begin(&self, "k1", "one", "POST /a {}", 3), IDEMPOTENCY_REPLAY));
    cr_assert(eq(int, self.answer->status, 202));
    cr_assert(eq(str, self.answer->headers, "Location: /x\r\n"));
    cr_assert(eq(int, memcmp(self.answer->payload->data, "answer", 6), 0));
    cr_assert(eq(int, begin(&self, "k1", "one", "POST /a {\"x\":1}", 4), IDEMPOTENCY_MISMATCH));
    cr_assert(eq(int, begin(&self, "k2", "one", "POST /b {}", 5), IDEMPOTENCY_NEW), "keys belong to their caller");
    idempotency_drop(self.all, self.entry);
    cr_assert(eq(int, begin(&self, "k2", "one", "POST /c {}", 6), IDEMPOTENCY_NEW), "what was not done may be asked anew");
    cr_assert(eq(int, begin(&self, "k1", "one", "POST /b {}", 25 * HOUR_US), IDEMPOTENCY_NEW), "a day later it is forgotten");
    idempotency_free(self.all);
}

Test(idempotency, is_bounded_by_number_and_never_drops_what_runs)
{
    struct keeper self = { .all = idempotency_new() };
    char key[32];
    cr_assert(eq(int, begin(&self, "k", "running", "r", 1), IDEMPOTENCY_NEW));
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        cr_assert(eq(int, begin(&self, "k", key, "r", 2 + i), IDEMPOTENCY_NEW));
        keep(&self, "x");
    }
    cr_assert(eq(int, begin(&self, "k", "running", "r", 4000), IDEMPOTENCY_RUNNING));
    cr_assert(eq(int, begin(&self, "k", "key-2999", "r", 4000), IDEMPOTENCY_REPLAY));
    cr_assert(eq(int, begin(&self, "k", "key-0", "r", 4000), IDEMPOTENCY_NEW));
    idempotency_free(self.all);
}

Test(idempotency, refuses_more_than_it_may_hold_when_all_run)
{
    struct keeper self = { .all = idempotency_new() };
    char key[32];
    int r = IDEMPOTENCY_NEW, n = 0;
    for (; r == IDEMPOTENCY_NEW && n < 5000; n++) {
        snprintf(key, sizeof key, "key-%d", n);
        r = begin(&self, "k", key, "r", n + 1);
    }
    cr_assert(lt(int, r, 0));
    cr_assert(eq(int, n, 1025));
    idempotency_free(self.all);
}

Test(idempotency, is_bounded_by_bytes)
{
    struct keeper self = { .all = idempotency_new() };
    char key[32];
    auto_bytes struct bytes *large = bytes_new((size_t)7 << 20), *huge = bytes_new((size_t)9 << 20);
    begin(&self, "k", "huge", "r", 1);
    idempotency_keep(self.all, self.entry, 200, "", huge);
    cr_assert(eq(int, huge->refs, 1), "an answer that is too large is not kept");
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        begin(&self, "k", key, "r", 2 + i);
        idempotency_keep(self.all, self.entry, 200, "", large);
    }
    cr_assert(eq(int, large->refs, 10), "64 MiB hold nine answers of 7 MiB");
    idempotency_free(self.all);
    cr_assert(eq(int, large->refs, 1));
}

/* --- Metrics -------------------------------------------------------------------------------------- */

Test(metrics, count_by_route_status_and_duration)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    auto_buf struct buf text = BUF_INIT;
    metrics_count(metrics, API_HEALTHZ, 200, 500);
    metrics_count(metrics, API_HEALTHZ, 200, 1500);
    metrics_count(metrics, ROUTE_UNKNOWN, 404, 90000000);
    metrics_count(metrics, 10000, 99999, -5);
    metrics_write(metrics, 3, 2, &text);
    static const char *const lines[] = {
        "deskfarm_http_requests_total{route=\"healthz\",status=\"200\"} 2\n",
        "deskfarm_http_requests_total{route=\"unknown\",status=\"404\"} 1\n",
        "deskfarm_http_request_duration_seconds_bucket{le=\"0.001\"} 2\n",
        "deskfarm_http_request_duration_seconds_bucket{le=\"0.002\"} 3\n",
        "deskfarm_http_request_duration_seconds_bucket{le=\"+Inf\"} 4\n",
        "deskfarm_http_connections 3\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        cr_assert_not_null(strstr(buf_str(&text), lines[i]), "%s", lines[i]);
    free(metrics);
}
