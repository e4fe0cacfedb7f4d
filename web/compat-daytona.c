/* Daytona's sandboxes on ours. Their shape is filled from sandbox_json, so it says what our own API
 * says; what has no counterpart here has the value that means "none".
 *
 *   ours                            theirs
 *   Pending                         creating
 *   Running                         started
 *   Pausing, Paused, Resuming       stopping, stopped, starting
 *   Stopping, (gone)                destroying, 404
 *   Terminated, Failed              stopped, error
 *
 * A create answers when the sandbox has left Pending: SDKs take "started" in the answer as leave to go
 * on at once. The name that a caller gives is a label of ours, which no label of theirs can have. */
#include "web/compat-daytona.h"

#include "api/validate.h"
#include "base/clock.h"
#include "farm/quantity.h"
#include "web/route.h"
#include "web/server.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_SNAPSHOT "debian-xfce"
#define NAME_LABEL "deskfarm/name"
#define DESKTOP_PORT 6080
#define LOOK_US 20000 /* between two looks at a sandbox that starts */
#define START_US ((int64_t)60 * 1000000)

/* --- Errors ----------------------------------------------------------------------------------- */

bool daytona_covers(const struct request *request)
{
    return strncmp(request->path, "/daytona/", 9) == 0;
}

json_t *daytona_error_json(const struct request *request, const struct error *err)
{
    char now[CLOCK_RFC3339_MAX];
    clock_format(clock_wall_us(), now);
    const char *code = error_code_name(err->code);
    bool is_inside = strncmp(request->path, API_DAYTONA_TOOLBOX, strlen(API_DAYTONA_TOOLBOX)) == 0;
    /* A message may have been cut inside a character, and a path hold anything. */
    json_t *message = json_string(err->message), *path = json_string(request->path);
    return json_pack("{s:i,s:o,s:s,s:s,s:s,s:s,s:o,s:s}", "statusCode",
                     error_code_status(err->code), "message",
                     message ? message : json_string("(not UTF-8)"), "error", code, "code", code,
                     "source", is_inside ? "DAYTONA_DAEMON" : "DAYTONA_API", "method",
                     request->method, "path", path ? path : json_string(""), "timestamp", now);
}

void daytona_refuse(struct request *request, const char *what)
{
    struct error err = { 0 };
    error_set(&err, ERROR_UNSUPPORTED, "%s", what);
    request_answer_error(request, &err);
}

/* --- Finding ---------------------------------------------------------------------------------- */

static struct sandbox *find_named(const struct request *request, const char *name,
                                  struct error *err)
{
    auto_json json_t *wanted = json_pack("{s:s}", NAME_LABEL, name);
    struct farm_filter filter = { .metadata = wanted, .page = 1, .page_size = 1 };
    auto_json json_t *page = farm_list(request->web->farm, &request->who, &filter);
    const json_t *first = json_array_get(json_object_get(page, "items"), 0);
    return farm_find(request->web->farm, &request->who, json_get_string(first, "id", ""), err);
}

struct sandbox *daytona_find(const struct request *request, struct error *err)
{
    struct error no_id = { 0 }, no_name = { 0 };
    const char *id = json_get_string(request->path_values, "id", "");
    struct sandbox *sandbox = farm_find(request->web->farm, &request->who, id, &no_id);
    if (!sandbox)
        sandbox = find_named(request, id, &no_name);
    if (!sandbox)
        *err = no_id;
    return sandbox;
}

struct sandbox *daytona_sandbox(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_find(request, &err);
    if (!sandbox)
        request_answer_error(request, &err);
    return sandbox;
}

/* --- Shape ------------------------------------------------------------------------------------ */

static const char *state_name(const char *state)
{
    static const struct {
        const char *ours, *theirs;
    } names[] = {
        { "Pending", "creating" },   { "Running", "started" },   { "Pausing", "stopping" },
        { "Hibernating", "stopping" }, { "Hibernated", "stopped" }, { "Waking", "starting" },
        { "Paused", "stopped" },     { "Resuming", "starting" }, { "Stopping", "destroying" },
        { "Terminated", "stopped" }, { "Failed", "error" },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i].ours, state) == 0)
            return names[i].theirs;
    }
    return "unknown";
}

/* The amount of "4096Mi" in GiB. */
static double gibibytes(const char *text)
{
    double bytes = 0;
    return quantity_parse(text, &bytes) < 0 ? 0 : bytes / (1 << 30);
}

/* The caller reached us under this name; what comes next goes there too. */
static void write_base(const struct request *request, struct buf *out)
{
    char name[GUARD_HOST_MAX];
    if (guard_split_host(request->host, name))
        buf_printf(out, "http://%s", request->host);
    else
        buf_printf(out, "http://localhost:%d", request->web->port);
}

static json_t *toolbox_url(const struct request *request)
{
    auto_buf struct buf url = BUF_INIT;
    write_base(request, &url);
    buf_puts(&url, API_DAYTONA_TOOLBOX);
    return json_string(buf_str(&url));
}

static json_t *shape(const struct request *request, const json_t *ours)
{
    const json_t *status = json_object_get(ours, "status");
    const json_t *held = json_object_get(ours, "resourceLimits");
    const char *id = json_get_string(ours, "id", "");
    const char *state = state_name(json_get_string(status, "state", ""));
    auto_json json_t *labels = json_deep_copy(json_object_get(ours, "metadata"));
    auto_json json_t *name = json_string(json_get_string(labels, NAME_LABEL, id));
    json_object_del(labels, NAME_LABEL);
    json_t *out = json_pack(
        "{s:s,s:O,s:s,s:s,s:s,s:{},s:O,s:b,s:b,s:s}", "id", id, "name", name, "organizationId",
        "deskfarm", "snapshot", json_get_string(json_object_get(ours, "image"), "uri", ""), "user",
        "user", "env", "labels", labels, "public", 0, "networkBlockAll",
        strcmp(json_get_string(ours, "network", ""), "none") == 0, "target", "local");
    json_object_set_new(out, "cpu", json_real(strtod(json_get_string(held, "cpu", "0"), NULL)));
    json_object_set_new(out, "gpu", json_integer(0));
    json_object_set_new(out, "memory", json_real(gibibytes(json_get_string(held, "memory", "0"))));
    json_object_set_new(out, "disk", json_real(gibibytes(json_get_string(held, "disk", "0"))));
    json_object_set_new(out, "state", json_string(state));
    if (strcmp(state, "error") == 0)
        json_object_set(out, "errorReason", json_object_get(status, "message"));
    json_object_set(out, "createdAt", json_object_get(ours, "createdAt"));
    json_object_set(out, "updatedAt", json_object_get(ours, "createdAt"));
    if (json_object_get(ours, "expiresAt"))
        json_object_set(out, "autoDestroyAt", json_object_get(ours, "expiresAt"));
    json_object_set_new(out, "autoStopInterval", json_integer(0));
    json_object_set_new(out, "sandboxClass", json_string("linux-vm"));
    json_object_set_new(out, "toolboxProxyUrl", toolbox_url(request));
    return out;
}

static void answer_sandbox(struct request *request, const struct sandbox *sandbox)
{
    auto_json json_t *ours = sandbox_json(sandbox);
    request_answer_json(request, 200, shape(request, ours));
}

/* --- Creating --------------------------------------------------------------------------------- */

/* What would be ignored silently must be harmless: a wall that is not built is not. */
static int check_create(const json_t *body, struct error *err)
{
    static const char *const texts[] = { "networkAllowList", "domainAllowList", "outboundProxyUrl",
                                         "linkedSandbox" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (*json_get_string(body, texts[i], ""))
            return error_set(err, ERROR_UNSUPPORTED, "%s: not supported here", texts[i]);
    }
    if (json_array_size(json_object_get(body, "volumes")) > 0)
        return error_set(err, ERROR_UNSUPPORTED, "volumes: not supported here");
    if (json_array_size(json_object_get(body, "secrets")) > 0)
        return error_set(err, ERROR_UNSUPPORTED, "secrets: not supported here");
    if (json_get_number(body, "gpu", 0) > 0)
        return error_set(err, ERROR_UNSUPPORTED, "gpu: guests have none");
    return 0;
}

/* "FROM NAME" on a line of its own is how SDKs write an image's name. */
static int read_image(const json_t *body, char out[256], struct error *err)
{
    const char *file = json_get_string(json_object_get(body, "buildInfo"), "dockerfileContent", "");
    const char *name = json_get_string(body, "snapshot", DEFAULT_SNAPSHOT);
    if (!*file) {
        snprintf(out, 256, "%s", *name ? name : DEFAULT_SNAPSHOT);
        return 0;
    }
    char rest[2] = "";
    if (sscanf(file, "FROM %255[^ \t\r\n] %1s", out, rest) != 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "buildInfo: only the name of a guest image is taken, nothing is built");
    return 0;
}

static void set_amount(json_t *limits, const char *name, double amount, const char *unit)
{
    if (amount > 0)
        json_object_set_new(limits, name, json_sprintf("%.6g%s", amount, unit));
}

/* The body of POST /v1/sandboxes that means the same. */
static json_t *translate_create(const json_t *body, struct error *err)
{
    char image[256];
    if (check_create(body, err) < 0 || read_image(body, image, err) < 0)
        return NULL;
    const char *name = json_get_string(body, "name", "");
    json_t *out =
        json_pack("{s:{s:s},s:{},s:{}}", "image", "uri", image, "resourceLimits", "metadata");
    json_t *limits = json_object_get(out, "resourceLimits");
    set_amount(limits, "cpu", json_get_number(body, "cpu", 0), "");
    set_amount(limits, "memory", json_get_number(body, "memory", 0), "Gi");
    set_amount(limits, "disk", json_get_number(body, "disk", 0), "Gi");
    if (json_is_object(json_object_get(body, "labels")))
        json_object_update(json_object_get(out, "metadata"), json_object_get(body, "labels"));
    if (*name)
        json_object_set_new(json_object_get(out, "metadata"), NAME_LABEL, json_string(name));
    if (json_is_object(json_object_get(body, "env")))
        json_object_set(out, "env", json_object_get(body, "env"));
    if (json_get_bool(body, "networkBlockAll", false))
        json_object_set_new(out, "network", json_string("none"));
    if (json_get_int(body, "ttlMinutes", 0) > 0)
        json_object_set_new(out, "timeout", json_integer(json_get_int(body, "ttlMinutes", 0) * 60));
    return out;
}

static int create(struct request *request, struct sandbox **ret, struct error *err)
{
    int ignored = 0;
    auto_json json_t *body = translate_create(request->body, err);
    if (!body || api_check_body(&api_table[API_SANDBOX_CREATE], body, &ignored, err) < 0)
        return -1;
    return farm_create(request->web->farm, &request->who, body, ret, err);
}

/* --- Waiting for a state ---------------------------------------------------------------------- */

/* A request that is answered when its sandbox is no longer on the way. */
struct transit {
    struct request *request;
    struct sandbox *sandbox;
    struct timer *timer;
    int64_t due_us;
};

static void transit_free(struct transit *self)
{
    timer_free(self->timer);
    sandbox_unref(self->sandbox);
    free(self);
}

static void handle_gone(void *data)
{
    transit_free(data);
}

static bool is_on_the_way(const struct sandbox *sandbox)
{
    enum sandbox_state state = sandbox_get_state(sandbox);
    return state == SANDBOX_PENDING || state == SANDBOX_PAUSING || state == SANDBOX_RESUMING ||
           state == SANDBOX_HIBERNATING || state == SANDBOX_WAKING;
}

static void look(void *data)
{
    struct transit *self = data;
    if (is_on_the_way(self->sandbox) && clock_now_us() < self->due_us) {
        timer_start(self->timer, LOOK_US);
        return;
    }
    answer_sandbox(self->request, self->sandbox);
    transit_free(self);
}

static void answer_settled(struct request *request, struct sandbox *sandbox)
{
    struct error err = { 0 };
    struct transit *self = calloc(1, sizeof *self);
    struct timer *timer = self ? timer_new(request->web->loop, look, self) : NULL;
    if (!timer) {
        free(self);
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    *self = (struct transit){ .request = request,
                              .sandbox = sandbox_ref(sandbox),
                              .timer = timer,
                              .due_us = clock_now_us() + START_US };
    request_on_gone(request, handle_gone, self);
    timer_start(timer, LOOK_US);
}

/* --- Handlers --------------------------------------------------------------------------------- */

void handle_daytona_create(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = NULL;
    if (create(request, &sandbox, &err) < 0)
        request_answer_error(request, &err);
    else
        answer_settled(request, sandbox);
}

/* Labels come as the text of a JSON object. */
static int read_filter(const json_t *query, json_t **ret, struct error *err)
{
    const char *labels = json_get_string(query, "labels", "{}");
    const char *name = json_get_string(query, "name", "");
    if (json_parse_object(labels, strlen(labels), ret, err) < 0) {
        error_wrap(err, "labels");
        return -1;
    }
    const char *key;
    json_t *value;
    json_object_foreach (*ret, key, value) {
        if (!json_is_string(value))
            return error_set(err, ERROR_BAD_TYPE, "labels.%.40s: expected a string", key);
    }
    if (*name)
        json_object_set_new(*ret, NAME_LABEL, json_string(name));
    return 0;
}

void handle_daytona_list(struct request *request)
{
    struct error err = { 0 };
    auto_json json_t *wanted = NULL;
    if (read_filter(request->query, &wanted, &err) < 0) {
        request_answer_error(request, &err);
        return;
    }
    struct farm_filter filter = {
        .metadata = wanted,
        .page = (int)json_get_int(request->query, "cursor", 1),
        .page_size = (int)json_get_int(request->query, "limit", 100),
    };
    auto_json json_t *page = farm_list(request->web->farm, &request->who, &filter);
    const char *id = json_get_string(request->query, "id", NULL);
    json_t *items = json_array(), *ours;
    size_t i;
    json_array_foreach (json_object_get(page, "items"), i, ours) {
        if (!id || strcmp(json_get_string(ours, "id", ""), id) == 0)
            json_array_append_new(items, shape(request, ours));
    }
    bool has_more = json_get_bool(json_object_get(page, "pagination"), "hasNextPage", false);
    json_t *next = has_more ? json_sprintf("%d", filter.page + 1) : json_null();
    request_answer_json(request, 200, json_pack("{s:o,s:o}", "items", items, "nextCursor", next));
}

void handle_daytona_get(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (sandbox)
        answer_sandbox(request, sandbox);
}

void handle_daytona_delete(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    sandbox_ref(sandbox);
    sandbox_delete(sandbox, NULL, NULL);
    answer_sandbox(request, sandbox);
    sandbox_unref(sandbox);
}

/* Does it where it changes something; it may be asked for again. */
static void change(struct request *request, enum sandbox_state from,
                   int (*fn)(struct sandbox *sandbox, struct error *err))
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    bool is_asleep = from == SANDBOX_PAUSED && sandbox_get_state(sandbox) == SANDBOX_HIBERNATED;
    if ((is_asleep || sandbox_get_state(sandbox) == from) && fn(sandbox, &err) < 0)
        request_answer_error(request, &err);
    else
        answer_settled(request, sandbox);
}

void handle_daytona_start(struct request *request)
{
    change(request, SANDBOX_PAUSED, sandbox_resume);
}

/* Memory is kept, so a start goes on where this was. */
void handle_daytona_stop(struct request *request)
{
    change(request, SANDBOX_RUNNING, sandbox_pause);
}

void handle_daytona_pause(struct request *request)
{
    change(request, SANDBOX_RUNNING, sandbox_pause);
}

/* What is not given goes; the name stays. */
void handle_daytona_labels(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    json_t *labels = json_object_get(request->body, "labels");
    auto_json json_t *ours = sandbox_json(sandbox), *patch = json_object();
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get(ours, "metadata"), name, value) {
        if (strcmp(name, NAME_LABEL) != 0)
            json_object_set_new(patch, name, json_null());
    }
    json_object_update(patch, labels);
    json_object_del(patch, NAME_LABEL);
    if (sandbox_patch_metadata(sandbox, patch, &err) < 0)
        request_answer_error(request, &err);
    else
        request_answer_json(request, 200, json_pack("{s:O}", "labels", labels));
}

void handle_daytona_preview(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    if (json_get_int(request->path_values, "port", 0) != DESKTOP_PORT) {
        daytona_refuse(request, "only port 6080, the page of the desktop, is reached from outside");
        return;
    }
    auto_buf struct buf url = BUF_INIT;
    write_base(request, &url);
    buf_printf(&url, "/desktops/%s", sandbox_id(sandbox));
    request_answer_json(request, 200,
                        json_pack("{s:s,s:s,s:s}", "sandboxId", sandbox_id(sandbox), "url",
                                  buf_str(&url), "token", ""));
}

void handle_daytona_proxy_url(struct request *request)
{
    if (daytona_sandbox(request))
        request_answer_json(request, 200, json_pack("{s:o}", "url", toolbox_url(request)));
}
