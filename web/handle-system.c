/* Health, metrics, the document, information about the host, logging in and out. */
#include "api/openapi.h"
#include "base/clock.h"
#include "input/action.h"
#include "web/route.h"
#include "web/server.h"

#include <string.h>

static void answer_line(struct request *self, int status, const char *line)
{
    auto_buf struct buf text = BUF_INIT;
    buf_printf(&text, "%s\n", line);
    request_answer_text(self, status, "text/plain; charset=utf-8", &text);
}

void handle_healthz(struct request *self)
{
    answer_line(self, 200, "ok");
}

void handle_readyz(struct request *self)
{
    struct error err = { 0 };
    int r = farm_check_ready(self->web->farm, &err);
    answer_line(self, r < 0 ? 503 : 200, r < 0 ? err.message : "ready");
}

void handle_metrics(struct request *self)
{
    auto_buf struct buf text = BUF_INIT;
    metrics_write(&self->web->metrics, self->web->n_conns, self->web->n_requests, &text);
    farm_metrics(self->web->farm, &text);
    request_answer_text(self, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

void handle_openapi(struct request *self)
{
    struct web *web = self->web;
    if (!web->openapi) {
        auto_json json_t *actions = action_schema();
        auto_json json_t *document = api_openapi(actions, "1");
        auto_buf struct buf text = BUF_INIT;
        json_write(document, &text);
        web->openapi = bytes_copy(text.data, text.size);
    }
    request_answer_bytes(self, 200, "application/json", bytes_ref(web->openapi));
}

void handle_info(struct request *self)
{
    request_answer_json(self, 200, farm_info(self->web->farm));
}

void handle_images(struct request *self)
{
    request_answer_json(self, 200, farm_images(self->web->farm));
}

void handle_drain(struct request *self)
{
    farm_drain(self->web->farm);
    request_answer_json(self, 200, json_pack("{s:b}", "draining", 1));
}

/* The key is checked here, not by the router: it comes in the body. */
void handle_login(struct request *self)
{
    struct web *web = self->web;
    struct error err = { 0 };
    struct principal who;
    char id[SESSION_ID_CHARS + 1];
    const char *secret = json_get_string(self->body, "key", "");
    if (keys_authenticate(farm_keys(web->farm), secret, &who) != 0 ||
        sessions_add(web->sessions, secret, clock_now_us(), id) < 0) {
        error_set(&err, ERROR_UNAUTHORIZED, "this key is not known");
        request_answer_error(self, &err);
        return;
    }
    request_add_header(self, "Set-Cookie",
                       SESSION_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d", id,
                       SESSION_HOURS * 3600);
    request_answer_json(self, 200, json_pack("{s:s}", "role", role_name(who.role)));
}

void handle_logout(struct request *self)
{
    sessions_remove(self->web->sessions, self->session);
    request_add_header(self, "Set-Cookie",
                       SESSION_COOKIE "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    request_answer_empty(self, 204);
}
