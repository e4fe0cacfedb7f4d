/* Where a port of a sandbox is reached, and links for browsers. */
#include "base/clock.h"
#include "farm/farm.h"
#include "farm/sandbox.h"
#include "web/caller.h"
#include "web/route.h"
#include "web/server.h"
#include "web/target.h"
#include "web/ticket.h"

#include <string.h>

static struct sandbox *find(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), &err);
    if (!sandbox)
        request_answer_error(self, &err);
    return sandbox;
}

/* By what the caller reached us: host, and the port behind it with its colon, or "". */
static const char *split_host(const struct request *self, char name[GUARD_HOST_MAX])
{
    if (!guard_split_host(self->host, name)) {
        strcpy(name, "localhost");
        return "";
    }
    const char *bracket = strchr(self->host, ']');
    const char *colon = strchr(bracket ? bracket : self->host, ':');
    return colon ? colon : "";
}

/* The host of a port's own origin. */
static void put_port_host(const struct request *self, const char *id, int port, struct buf *out)
{
    const struct web *web = self->web;
    char name[GUARD_HOST_MAX];
    const char *behind = split_host(self, name);
    buf_printf(out, "%d-%s.%s%s", port, id, web->proxy_domain ? web->proxy_domain : "localhost",
               behind);
}

static void put_own_host(const struct request *self, struct buf *out)
{
    char name[GUARD_HOST_MAX];
    if (guard_split_host(self->host, name))
        buf_printf(out, "%s", self->host);
    else
        buf_printf(out, "localhost:%d", self->web->port);
}

/* What the caller is to send along: in all modes the key that it showed us, as it may be another
 * program that goes there. */
static json_t *make_headers(const struct request *self, const char *mode, const char *id, int port)
{
    json_t *headers = json_object();
    if (*self->secret)
        json_object_set_new(headers, "OPEN-SANDBOX-API-KEY", json_string(self->secret));
    if (strcmp(mode, "header") == 0)
        json_object_set_new(headers, "OpenSandbox-Ingress-To", json_sprintf("%s-%d", id, port));
    return headers;
}

void handle_sandbox_endpoint(struct request *self)
{
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    const char *id = sandbox_id(sandbox);
    int port = (int)json_get_int(self->path_values, "port", 0);
    bool is_ours = port == PORT_EXECD || port == PORT_EGRESS || port == PORT_DESKTOP;
    const char *mode = is_ours ? "path" : json_get_string(self->query, "mode", "path");
    auto_buf struct buf endpoint = BUF_INIT;
    if (strcmp(mode, "host") == 0)
        put_port_host(self, id, port, &endpoint);
    else
        put_own_host(self, &endpoint);
    if (port == PORT_DESKTOP)
        buf_printf(&endpoint, "/desktops/%s", id);
    else if (strcmp(mode, "path") == 0)
        buf_printf(&endpoint, "/v1/sandboxes/%s/proxy/%d", id, port);
    request_answer_json(self, 200, json_pack("{s:s,s:o}", "endpoint", buf_str(&endpoint), "headers",
                                             make_headers(self, mode, id, port)));
}

/* Percent-encodes what is not plain in a query. */
static void put_encoded(const char *text, struct buf *out)
{
    static const char plain[] = "/-_.~";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                        strchr(plain, c);
        buf_printf(out, is_plain ? "%c" : "%%%02X", c);
    }
}

void handle_sandbox_ticket(struct request *self)
{
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    char id[TICKET_CHARS + 1];
    struct ticket_scope scope = { .port = (int)json_get_int(self->path_values, "port", 0) };
    const char *secret = caller_secret(self);
    strncpy(scope.secret, secret ? secret : "", sizeof scope.secret - 1);
    strncpy(scope.sandbox, sandbox_id(sandbox), sizeof scope.sandbox - 1);
    tickets_add(self->web->tickets, TICKET_LINK, &scope, clock_now_us(), id);
    explicit_bzero(scope.secret, sizeof scope.secret);
    auto_buf struct buf url = BUF_INIT;
    buf_puts(&url, strncmp(self->origin, "https:", 6) == 0 ? "https://" : "http://");
    put_port_host(self, scope.sandbox, scope.port, &url);
    buf_printf(&url, "/.deskfarm/login?ticket=%s&to=", id);
    put_encoded(json_get_string(self->body, "path", "/"), &url);
    request_answer_json(self, 201, json_pack("{s:s,s:i}", "url", buf_str(&url), "expires_in_s",
                                             TICKET_LINK_S));
}
