#include "web/rerun.h"

#include <string.h>

struct plan {
    json_t *batches, *batch; /* the last of them */
    const char *name;        /* of the batch */
    const json_t *secrets;
    size_t n_secrets;        /* taken */
};

/* The id of an image (display/image-id.h) is f1234-640x400, or f1234-640x400-0,0,320,200 of a region. One of the
 * recorded sandbox is none of the new one: its size says as much. */
static json_t *image_of(const json_t *note)
{
    const char *image = json_get_string(note, "image", ""), *dash = strchr(image, '-');
    return json_string(*image == 'f' && dash ? dash + 1 : image);
}

static bool shows_region(const json_t *note)
{
    const char *dash = strchr(json_get_string(note, "image", ""), '-');
    return dash && strchr(dash + 1, '-');
}

/* Points of an image of a region are put where they were. */
static int make_native(json_t *action, const json_t *note, struct error *err)
{
    const json_t *native = json_object_get(note, "native");
    if (json_object_get(action, "path") || json_object_get(action, "region"))
        return error_set(err, ERROR_UNSUPPORTED, "action %s: a path in an image of a region cannot be done again",
                         json_get_string(note, "id", ""));
    if (native && json_object_get(action, "x")) {
        json_object_set(action, "x", json_array_get(native, 0));
        json_object_set(action, "y", json_array_get(native, 1));
    }
    return 0;
}

static int add_batch(struct plan *self, const json_t *note)
{
    const char *space = json_get_string(note, "space", NULL);
    json_t *request = json_pack("{s[]}", "actions");
    if (space && shows_region(note))
        space = "native";
    else if (json_object_get(note, "image"))
        json_object_set_new(request, "image", image_of(note));
    if (space)
        json_object_set_new(request, "space", json_string(space));
    self->batch = json_pack("{so sI s[] ss si}", "request", request, "at_us", (json_int_t)json_get_int(note, "at_us", 0),
                            "frames", "first", json_get_string(note, "id", ""), "n", 0);
    self->name = json_get_string(note, "batch", "");
    return json_array_append_new(self->batches, self->batch);
}

static int add_secret(struct plan *self, json_t *action, struct error *err)
{
    const json_t *text = json_array_get(self->secrets, self->n_secrets);
    if (!text)
        return error_set(err, ERROR_MISSING_FIELD,
                         "secrets: text number %zu was secret and is not in the recording; give it", self->n_secrets + 1);
    self->n_secrets++;
    json_object_del(action, "redacted");
    return json_object_set(action, "text", (json_t *)(uintptr_t)text);
}

static bool is_wanted(const json_t *note)
{
    const char *type = json_get_string(json_object_get(note, "action"), "type", "");
    bool looks_only = strcmp(type, "screenshot") == 0 || strcmp(type, "zoom") == 0;
    return !looks_only && strcmp(json_get_string(note, "outcome", "done"), "done") == 0;
}

static void add_frame(json_t *batch, const json_t *note, const char *key)
{
    int64_t frame = json_get_int(note, key, 0);
    if (frame > 0)
        json_array_append_new(json_object_get(batch, "frames"), json_integer((json_int_t)frame));
}

static int add_action(struct plan *self, const json_t *note, struct error *err)
{
    if (!self->batch || strcmp(self->name, json_get_string(note, "batch", "")) != 0) {
        if (self->batch)
            add_frame(self->batch, note, "before");
        if (add_batch(self, note) < 0)
            return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    auto_json json_t *action = json_deep_copy(json_object_get(note, "action"));
    int r = json_get_bool(action, "redacted", false) ? add_secret(self, action, err) : 0;
    if (r == 0 && shows_region(note))
        r = make_native(action, note, err);
    json_t *request = json_object_get(self->batch, "request");
    if (r == 0) {
        json_array_append(json_object_get(request, "actions"), action);
        json_object_set_new(self->batch, "n", json_integer(json_get_int(self->batch, "n", 0) + 1));
    }
    return r;
}

json_t *rerun_plan(const json_t *actions, const json_t *secrets, struct error *err)
{
    struct plan self = { .batches = json_array(), .secrets = secrets };
    const json_t *note, *last = NULL;
    size_t i;
    int r = self.batches ? 0 : error_set(err, ERROR_INTERNAL, "out of memory");
    json_array_foreach((json_t *)(uintptr_t)actions, i, note) {
        if (r < 0 || !is_wanted(note))
            continue;
        if (last && strcmp(json_get_string(last, "batch", ""), json_get_string(note, "batch", "")) != 0)
            add_frame(self.batch, last, "after");
        r = add_action(&self, note, err);
        last = note;
    }
    if (r == 0 && !last)
        r = error_set(err, ERROR_CONFLICT, "the recording has no action that could be done again");
    if (r < 0) {
        json_decref(self.batches);
        return NULL;
    }
    add_frame(self.batch, last, "after");
    return self.batches;
}
