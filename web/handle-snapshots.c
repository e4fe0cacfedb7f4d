/* OpenSandbox's snapshots are checkpoints, and its pools are templates.
 *
 * A snapshot is answered when it is stored: it is `Ready` then, or the request has failed. There is no
 * time in which it is `Creating`, for the sandbox stands still for milliseconds only.
 *
 * A pool is named by extensions.poolRef: the id of a template, or an image that one was baked from. Its
 * QEMUs that wait in advance are what the protocol means by a pool. */
#include "farm/fork.h"
#include "farm/sandbox.h"
#include "web/route.h"
#include "web/server.h"
#include "web/snapshots.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    return json_get_string(object, key, "");
}

static json_t *snapshot_json(const json_t *checkpoint)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:s}", "id", text_of(checkpoint, "id"), "sandboxId",
                     text_of(checkpoint, "sandbox"), "name", text_of(checkpoint, "name"), "status", "state",
                     "Ready", "reason", "snapshot_ready", "lastTransitionAt",
                     text_of(checkpoint, "created_at"), "createdAt", text_of(checkpoint, "created_at"));
}

/* --- Creating ------------------------------------------------------------------------------------ */

/* Who waits for a snapshot; freed by what it waits for. */
struct wait {
    struct request *request; /* NULL once the caller has gone */
};

static void handle_gone(void *data)
{
    ((struct wait *)data)->request = NULL;
}

static void handle_stored(void *data, const json_t *result, const struct error *err)
{
    auto_free struct wait *self = data;
    if (self->request && err)
        request_answer_error(self->request, err);
    if (!self->request || err)
        return;
    request_add_header(self->request, "Location", "/v1/snapshots/%s", text_of(result, "id"));
    request_answer_json(self->request, 202, snapshot_json(result));
}

void handle_snapshot_create(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, text_of(self->path_values, "id"), &err);
    auto_free struct wait *wait = sandbox ? calloc(1, sizeof *wait) : NULL;
    if (sandbox && !wait)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    if (wait)
        wait->request = self;
    if (!wait || sandbox_checkpoint(sandbox, self->body, handle_stored, wait, &err) < 0) {
        request_answer_error(self, &err);
        return;
    }
    request_on_gone(self, handle_gone, steal_ptr(&wait));
}

/* --- Looking ------------------------------------------------------------------------------------- */

static bool is_wanted(const json_t *query, const json_t *checkpoint)
{
    const char *sandbox = json_get_string(query, "sandboxId", NULL);
    const char *name = json_get_string(query, "name", NULL);
    const json_t *states = json_object_get(query, "state");
    bool has_state = json_array_size(states) == 0;
    for (size_t i = 0; i < json_array_size(states); i++)
        has_state |= strcmp(json_string_value(json_array_get(states, i)), "Ready") == 0;
    return has_state && (!sandbox || strcmp(sandbox, text_of(checkpoint, "sandbox")) == 0) &&
           (!name || strcmp(name, text_of(checkpoint, "name")) == 0);
}

void handle_snapshot_list(struct request *self)
{
    auto_json json_t *all = farm_checkpoints(self->web->farm, &self->who, NULL, false);
    const json_t *list = json_object_get(all, "items");
    json_int_t page = json_get_int(self->query, "page", 1), n = 0;
    json_int_t size = json_get_int(self->query, "pageSize", 20);
    json_t *items = json_array();
    for (size_t i = json_array_size(list); i-- > 0;) { /* newest first, as sandboxes */
        const json_t *one = json_array_get(list, i);
        if (!is_wanted(self->query, one))
            continue;
        if (n >= (page - 1) * size && n < page * size)
            json_array_append_new(items, snapshot_json(one));
        n++;
    }
    json_int_t pages = (n + size - 1) / size;
    request_answer_json(self, 200,
                        json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:b}}", "items", items, "pagination",
                                  "page", page, "pageSize", size, "totalItems", n, "totalPages", pages,
                                  "hasNextPage", page < pages));
}

/* The checkpoint of that id, when it is no template. New reference, or NULL with err. */
static json_t *find(struct request *request, const char *id, struct error *err)
{
    json_t *found = farm_checkpoint(request->web->farm, &request->who, id, err);
    if (found && json_get_bool(found, "template", false)) {
        json_decref(found);
        found = NULL;
        error_set(err, ERROR_NOT_FOUND, "no snapshot %.40s", id);
    }
    return found;
}

void handle_snapshot_get(struct request *self)
{
    struct error err = { 0 };
    auto_json json_t *found = find(self, text_of(self->path_values, "id"), &err);
    if (found)
        request_answer_json(self, 200, snapshot_json(found));
    else
        request_answer_error(self, &err);
}

void handle_snapshot_delete(struct request *self)
{
    struct error err = { 0 };
    const char *id = text_of(self->path_values, "id");
    auto_json json_t *found = find(self, id, &err);
    if (!found || farm_delete_checkpoint(self->web->farm, &self->who, id, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_empty(self, 204);
}

/* --- Sandboxes out of them ----------------------------------------------------------------------- */

/* The newest template of that id or image. New reference. */
static json_t *find_pool(struct request *request, const char *name, struct error *err)
{
    auto_json json_t *all = farm_checkpoints(request->web->farm, &request->who, NULL, true);
    json_t *list = json_object_get(all, "items");
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *one = json_array_get(list, i);
        if (strcmp(text_of(one, "id"), name) == 0 || strcmp(text_of(one, "image"), name) == 0)
            return json_incref(one);
    }
    error_set(err, ERROR_NOT_FOUND,
              "extensions.poolRef: no template %.40s; bake one with POST /v1/templates", name);
    return NULL;
}

/* A machine that stood still has the network and the screen that it had. */
static int check_rest(const json_t *body, const json_t *checkpoint, struct error *err)
{
    const char *network = text_of(checkpoint, "network");
    const json_t *policy = json_object_get(body, "networkPolicy"), *display = json_object_get(body, "display");
    const char *wanted = json_get_string(body, "network", NULL);
    if (strcmp(json_get_string(policy, "defaultAction", "allow"), "deny") == 0)
        wanted = "none";
    if (wanted && strcmp(wanted, network) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "network: what was saved has network %s, not %s", network, wanted);
    if (display && (json_get_int(display, "width", 0) != json_get_int(checkpoint, "width", 0) ||
                    json_get_int(display, "height", 0) != json_get_int(checkpoint, "height", 0)))
        return error_set(err, ERROR_UNSUPPORTED, "display: what was saved has a screen of its own; resize it later");
    if (json_object_get(body, "keyboard"))
        return error_set(err, ERROR_UNSUPPORTED, "keyboard: what was saved has a layout of its own; set it later");
    return 0;
}

int snapshots_choose(struct request *request, struct error *err)
{
    json_t *body = request->body;
    const char *snapshot = json_get_string(body, "snapshotId", NULL);
    const char *image = json_get_string(json_object_get(body, "image"), "uri", NULL);
    const char *pool = json_get_string(json_object_get(body, "extensions"), "poolRef", NULL);
    if (snapshot && (image || pool))
        return error_set(err, ERROR_BAD_VALUE, "snapshotId: give either it or %s", image ? "image" : "a pool");
    if (!snapshot && !pool)
        return 0;
    auto_json json_t *found = pool ? find_pool(request, pool, err) : find(request, snapshot, err);
    if (!found)
        return -1;
    if (image && strcmp(image, text_of(found, "image")) != 0)
        return error_set(err, ERROR_BAD_VALUE, "image: the pool %.40s is of image %s", pool, text_of(found, "image"));
    json_object_set(body, "snapshotId", json_object_get(found, "id"));
    return check_rest(body, found, err);
}
