/* The lifecycle of sandboxes, in the OpenSandbox shapes. */
#include "base/clock.h"
#include "farm/sandbox.h"
#include "web/route.h"
#include "web/server.h"
#include "web/snapshots.h"

#include <string.h>

#define STATES_MAX 16

/* NULL when the caller may not see it: the request is answered then. */
static struct sandbox *find(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), &err);
    if (!sandbox)
        request_answer_error(self, &err);
    return sandbox;
}

static int check_create(const json_t *body, struct error *err)
{
    if (!json_object_get(body, "image") && !json_object_get(body, "snapshotId"))
        return error_set(err, ERROR_MISSING_FIELD, "image: it is required, or a snapshotId");
    const char *os = json_get_string(json_object_get(body, "platform"), "os", "linux");
    const char *arch = json_get_string(json_object_get(body, "platform"), "arch", "amd64");
    if (strcmp(os, "linux") != 0 && strcmp(os, "windows") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "platform.os: only linux and windows guests run here");
    if (strcmp(arch, "amd64") != 0 && strcmp(arch, "x86_64") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "platform.arch: only amd64 guests run here");
    return 0;
}

void handle_sandbox_create(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = NULL;
    int r = snapshots_choose(self, &err);
    if (r == 0)
        r = check_create(self->body, &err);
    if (r == 0)
        r = farm_create(self->web->farm, &self->who, self->body, &sandbox, &err);
    if (r < 0) {
        request_answer_error(self, &err);
        return;
    }
    request_add_header(self, "Location", "/v1/sandboxes/%s", sandbox_id(sandbox));
    request_answer_json(self, 202, sandbox_json(sandbox));
}

void handle_sandbox_list(struct request *self)
{
    const json_t *wanted = json_object_get(self->query, "state");
    const char *states[STATES_MAX + 1] = { NULL };
    for (size_t i = 0; i < json_array_size(wanted) && i < STATES_MAX; i++)
        states[i] = json_string_value(json_array_get(wanted, i));
    struct farm_filter filter = {
        .states = states[0] ? states : NULL,
        .metadata = json_object_get(self->query, "metadata"),
        .page = (int)json_get_int(self->query, "page", 1),
        .page_size = (int)json_get_int(self->query, "pageSize", 20),
    };
    request_answer_json(self, 200, farm_list(self->web->farm, &self->who, &filter));
}

void handle_sandbox_get(struct request *self)
{
    struct sandbox *sandbox = find(self);
    if (sandbox)
        request_answer_json(self, 200, sandbox_json(sandbox));
}

/* Answers at once: the guest is being ended and the sandbox can no longer be used. */
void handle_sandbox_delete(struct request *self)
{
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    sandbox_delete(sandbox, NULL, NULL);
    request_answer_empty(self, 204);
}

void handle_sandbox_renew(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    int64_t expires_us = 0;
    const char *text = json_get_string(self->body, "expiresAt", "");
    int r = clock_parse(text, &expires_us);
    if (r < 0)
        error_set(&err, ERROR_BAD_VALUE,
                  "expiresAt: is no RFC 3339 time, such as 2030-01-02T03:04:05Z");
    else
        r = sandbox_renew(sandbox, expires_us, &err);
    if (r < 0) {
        request_answer_error(self, &err);
        return;
    }
    char out[CLOCK_RFC3339_MAX];
    clock_format(expires_us, out);
    request_answer_json(self, 200, json_pack("{s:s}", "expiresAt", out));
}

static void change(struct request *self, int status,
                   int (*fn)(struct sandbox *sandbox, struct error *err))
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    if (fn(sandbox, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, status, sandbox_json(sandbox));
}

void handle_sandbox_pause(struct request *self)
{
    change(self, 202, sandbox_pause);
}

void handle_sandbox_resume(struct request *self)
{
    change(self, 202, sandbox_resume);
}

void handle_sandbox_hibernate(struct request *self)
{
    change(self, 202, sandbox_hibernate);
}

/* It has been woken on the way here (web/route.c). */
void handle_sandbox_wake(struct request *self)
{
    struct sandbox *sandbox = find(self);
    if (sandbox)
        request_answer_json(self, 200, sandbox_json(sandbox));
}

void handle_sandbox_idle(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    if (sandbox_set_idle(sandbox, json_object_get(self->body, "idle"), &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 200, sandbox_json(sandbox));
}

void handle_sandbox_metadata(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self);
    if (!sandbox)
        return;
    if (sandbox_patch_metadata(sandbox, self->body, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 200, sandbox_json(sandbox));
}
