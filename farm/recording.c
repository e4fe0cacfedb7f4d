/* The journal has a document per recording; what is on disk is the truth about its bytes. Sizes are
 * looked at by a worker (recording-sweep.c) once a minute and when a segment is complete. */
#define LOG_MODULE "recording"
#include "farm/recording.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/control.h"
#include "farm/recording-impl.h"
#include "stream/index.h"
#include "stream/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KIND "recording"

static const char *const state_names[] = {
    [RECORDING_RUNNING] = "recording", [RECORDING_STALLED] = "stalled", [RECORDING_ENDED] = "ended",
};

static char *dir_of(const struct recordings *self, const char *id)
{
    return farm_path(self->farm, "recordings", id, "");
}

/* --- The journal ------------------------------------------------------------------------------ */

static void store(struct recordings *self, struct recording *recording)
{
    struct error err = { 0 };
    auto_json json_t *doc = json_pack(
        "{ss ss ss ss ss ss sO sO sI sI}", "sandbox", recording->sandbox_id, "owner", recording->owner,
        "image", recording->image, "parent", recording->parent, "checkpoint", recording->checkpoint,
        "reason", recording->reason, "metadata", recording->metadata, "machine", recording->machine, "created_us",
        (json_int_t)recording->created_us, "ended_us", (json_int_t)recording->ended_us);
    if (!doc || journal_put(farm_journal(self->farm), KIND, recording->id, doc, &err) < 0)
        log_warn("%s: %s", recording->id, doc ? err.message : "out of memory");
}

static struct recording *recording_new(struct recordings *self, const char *id)
{
    struct recording *recording = calloc(1, sizeof *recording);
    if (!recording)
        return NULL;
    snprintf(recording->id, sizeof recording->id, "%s", id);
    recording->owner_list = self;
    recording->metadata = json_object();
    recording->machine = json_object();
    list_init(&recording->link);
    list_append(&self->all, &recording->link);
    return recording;
}

static void recording_free(struct recording *recording)
{
    if (recording->sandbox)
        recording->sandbox->recording = NULL;
    list_remove(&recording->link);
    json_decref(recording->metadata);
    json_decref(recording->machine);
    free(recording);
}

static void adopt(void *data, const char *id, const json_t *doc)
{
    struct recording *it = recording_new(data, id);
    if (!it)
        return;
    snprintf(it->sandbox_id, sizeof it->sandbox_id, "%s", json_get_string(doc, "sandbox", ""));
    snprintf(it->owner, sizeof it->owner, "%s", json_get_string(doc, "owner", ""));
    snprintf(it->image, sizeof it->image, "%s", json_get_string(doc, "image", ""));
    snprintf(it->parent, sizeof it->parent, "%s", json_get_string(doc, "parent", ""));
    snprintf(it->checkpoint, sizeof it->checkpoint, "%s", json_get_string(doc, "checkpoint", ""));
    snprintf(it->reason, sizeof it->reason, "%s", json_get_string(doc, "reason", ""));
    json_object_update(it->metadata, json_object_get(doc, "metadata"));
    json_object_update(it->machine, json_object_get(doc, "machine"));
    it->created_us = json_get_int(doc, "created_us", 0);
    it->ended_us = json_get_int(doc, "ended_us", 0);
}

int recordings_new(struct recordings **ret, struct farm *farm, const struct recording_limits *limits,
                   struct error *err)
{
    struct recordings *self = calloc(1, sizeof *self);
    auto_free char *dir = farm_path(farm, "recordings", "", "");
    if (!self || !dir) {
        free(self);
        return error_errno(err, ENOMEM, "opening the recordings");
    }
    self->farm = farm;
    self->limits = *limits;
    list_init(&self->all);
    int r = fs_mkdirs(dir, 0700, err);
    if (r == 0)
        r = journal_each(farm_journal(farm), KIND, adopt, self, err);
    if (r == 0)
        r = sweep_recordings_begin(self, err);
    if (r < 0) {
        recordings_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

struct recordings *recordings_free(struct recordings *self)
{
    if (!self)
        return NULL;
    sweep_recordings_end(self);
    while (!list_empty(&self->all))
        recording_free(list_first(&self->all, struct recording, link));
    free(self);
    return NULL;
}

void recordings_forget(struct recordings *self, struct recording *recording)
{
    journal_remove(farm_journal(self->farm), KIND, recording->id, NULL);
    recording_free(recording);
}

/* --- Running ---------------------------------------------------------------------------------- */

static void handle_state(void *data, enum recorder_state state, const struct error *why)
{
    struct recording *self = data;
    if (state == RECORDER_FULL)
        log_warn("%s: stalled: %s", self->id, why->message);
    else if (state == RECORDER_ON && self->sandbox)
        recording_event(self->sandbox, "resumed", NULL);
    snprintf(self->reason, sizeof self->reason, "%s", state == RECORDER_FULL ? why->message : "");
    sweep_recordings_request(self->owner_list);
}

static void handle_segment(void *data, int number maybe_unused)
{
    struct recording *self = data;
    sweep_recordings_request(self->owner_list);
}

static struct recording *find_of(struct recordings *self, const char *sandbox)
{
    struct recording *it;
    list_for_each(it, &self->all, link)
        if (strcmp(it->sandbox_id, sandbox) == 0)
            return it;
    return NULL;
}

static void note_machine(struct recording *self, const struct sandbox *sandbox)
{
    static const char *const kept[] = { "env", "entrypoint" };
    char cpu[32], memory[32];
    snprintf(cpu, sizeof cpu, "%g", (double)sandbox->charge.cpus);
    snprintf(memory, sizeof memory, "%lldMi", (long long)sandbox->charge.memory_mib);
    auto_json json_t *machine =
        json_pack("{s{ss} s{ss ss} s{si si} ss s{ss}}", "image", "uri", sandbox->image_name, "resourceLimits", "cpu",
                  cpu, "memory", memory, "display", "width", sandbox->width, "height", sandbox->height, "network",
                  machine_network_name(sandbox->network), "keyboard", "layout", sandbox->layout.name);
    json_object_update(self->machine, machine);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_object_set(self->machine, kept[i], json_object_get(sandbox->request, kept[i]));
}

static struct recording *make(struct recordings *self, struct sandbox *sandbox)
{
    char id[ID_MAX];
    id_new("rc-", id);
    struct recording *it = recording_new(self, id);
    if (!it)
        return NULL;
    snprintf(it->sandbox_id, sizeof it->sandbox_id, "%s", sandbox->id);
    snprintf(it->owner, sizeof it->owner, "%s", sandbox->owner);
    snprintf(it->image, sizeof it->image, "%s", sandbox->image_name);
    snprintf(it->parent, sizeof it->parent, "%s", sandbox->lineage.parent);
    snprintf(it->checkpoint, sizeof it->checkpoint, "%s", sandbox->lineage.checkpoint);
    json_object_update(it->metadata, json_object_get(sandbox->request, "metadata"));
    note_machine(it, sandbox);
    it->created_us = clock_wall_us();
    return it;
}

/* The number after the last segment that is there. */
static int next_segment(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int last = 0;
    while (dir && (entry = readdir(dir)))
        if (strstr(entry->d_name, SEGMENT_SUFFIX))
            last = MAX(last, atoi(entry->d_name));
    if (dir)
        closedir(dir);
    return last + 1;
}

static int start(struct recording *self, struct sandbox *sandbox, struct error *err)
{
    static const struct recorder_ops ops = { .state = handle_state, .segment = handle_segment };
    struct farm *farm = sandbox->farm;
    auto_free char *dir = dir_of(self->owner_list, self->id);
    auto_buf struct buf meta = BUF_INIT;
    struct hub *hub = sandbox_hub(sandbox, err);
    int r = hub ? 0 : -1;
    if (r == 0)
        r = dir ? fs_mkdirs(dir, 0700, err) : error_errno(err, ENOMEM, "recording");
    if (r < 0)
        return r;
    buf_printf(&meta, "\"recording\":\"%s\",\"sandbox\":\"%s\",\"image\":\"%s\",\"parent\":\"%s\"", self->id,
               sandbox->id, sandbox->image_name, sandbox->lineage.parent);
    struct recorder_config config = {
        .loop = farm_loop(farm), .pool = farm_pool(farm), .display = sandbox->display, .hub = hub,
        .dir = dir, .first = next_segment(dir), .meta = buf_str(&meta), .ops = &ops, .data = self,
    };
    sandbox->recorder = recorder_new(&config);
    return sandbox->recorder ? 0 : error_errno(err, ENOMEM, "recording");
}

void recording_begin(struct sandbox *sandbox)
{
    struct recordings *self = farm_recordings_of(sandbox->farm);
    struct error err = { 0 };
    if (!self || sandbox->recorder || sandbox->is_hidden || !sandbox->display ||
        !json_get_bool(sandbox->request, "recording", self->limits.is_on))
        return;
    struct recording *it = find_of(self, sandbox->id);
    bool is_new = !it;
    if (!it)
        it = make(self, sandbox);
    if (!it || start(it, sandbox, &err) < 0) {
        log_warn("%s: not recorded: %s", sandbox->id, it ? err.message : "out of memory");
        if (it && is_new)
            recording_free(it);
        return;
    }
    it->sandbox = sandbox;
    sandbox->recording = it;
    it->ended_us = 0;
    it->reason[0] = 0;
    store(self, it);
    json_t *detail = is_new ? json_pack("{ss ss ss}", "image", sandbox->image_name, "parent",
                                        sandbox->lineage.parent, "checkpoint", sandbox->lineage.checkpoint)
                            : NULL;
    recording_event(sandbox, is_new ? "created" : "continued", detail);
}

void recording_leave(struct sandbox *sandbox)
{
    sandbox->recorder = recorder_free(sandbox->recorder);
    if (sandbox->recording)
        sandbox->recording->sandbox = NULL;
    sandbox->recording = NULL;
}

void recording_end(struct sandbox *sandbox, const char *event)
{
    struct recording *it = sandbox->recording;
    if (!it)
        return;
    recording_event(sandbox, event, NULL);
    recording_leave(sandbox);
    it->ended_us = clock_wall_us();
    store(it->owner_list, it);
    sweep_recordings_request(it->owner_list);
}

static void write_json(struct sandbox *sandbox, enum record_type type, const json_t *value)
{
    auto_buf struct buf text = BUF_INIT;
    if (json_write(value, &text) == 0)
        recorder_write(sandbox->recorder, type, 0, text.data, text.size);
}

void recording_event(struct sandbox *sandbox, const char *event, json_t *detail)
{
    auto_json json_t *note = detail ? detail : json_object();
    if (!sandbox->recorder || !note)
        return;
    json_object_set_new(note, "event", json_string(event));
    write_json(sandbox, RECORD_EVENT, note);
}

void recording_exec(struct sandbox *sandbox, const json_t *request)
{
    static const char *const kept[] = { "command", "argv", "user", "cwd" };
    json_t *detail = json_object();
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_object_set(detail, kept[i], json_object_get(request, kept[i]));
    json_object_set_new(detail, "terminal", json_boolean(json_is_object(json_object_get(request, "terminal"))));
    recording_event(sandbox, "exec", detail);
}

void recording_exec_ended(struct sandbox *sandbox, const json_t *result)
{
    json_t *detail = json_object();
    json_object_set(detail, "exit", json_object_get(result, "exit"));
    json_object_set(detail, "signal", json_object_get(result, "signal"));
    recording_event(sandbox, "exec_ended", detail);
}

/* As the client's record of docs/stream.md. */
void recording_live(struct sandbox *sandbox, const struct live_event *event)
{
    uint8_t payload[16], *at = record_put_u64(payload, event->id);
    enum record_type type = RECORD_MOVE;
    if (!sandbox->recorder)
        return;
    if (event->kind == LIVE_KEY) {
        type = RECORD_KEY;
        at = record_put_u16(at, event->code);
    } else {
        at = record_put_u16(record_put_u16(at, (unsigned)event->fx), (unsigned)event->fy);
    }
    if (event->kind == LIVE_BUTTON) {
        static const uint8_t numbers[] = { [BUTTON_LEFT] = 0, [BUTTON_MIDDLE] = 1, [BUTTON_RIGHT] = 2,
                                           [BUTTON_BACK] = 3, [BUTTON_FORWARD] = 4 };
        type = RECORD_BUTTON;
        *at++ = event->code < ARRAY_LEN(numbers) ? numbers[event->code] : 0;
    } else if (event->kind == LIVE_WHEEL) {
        bool is_x = event->code == WHEEL_HORIZONTAL;
        type = RECORD_WHEEL;
        at = record_put_u16(at, (unsigned)(is_x ? event->notches * 120 : 0) & 0xffff);
        at = record_put_u16(at, (unsigned)(is_x ? 0 : event->notches * 120) & 0xffff);
    }
    recorder_write(sandbox->recorder, type, event->is_down ? RECORD_DOWN : 0, payload,
                   (size_t)(at - payload));
}

/* --- Looking ---------------------------------------------------------------------------------- */

static enum recording_state state_of(const struct recording *self)
{
    if (!self->sandbox)
        return self->ended_us ? RECORDING_ENDED : RECORDING_STALLED;
    return recorder_state(self->sandbox->recorder) == RECORDER_ON ? RECORDING_RUNNING : RECORDING_STALLED;
}

/* A daemon that died left it; its sandbox is not there any more. */
static void settle_orphan(struct recording *self)
{
    struct recordings *owner = self->owner_list;
    struct sandbox *sandbox;
    if (self->sandbox || self->ended_us)
        return;
    list_for_each(sandbox, farm_sandboxes(owner->farm), link)
        if (strcmp(sandbox->id, self->sandbox_id) == 0 && sandbox->state != SANDBOX_STOPPING &&
            sandbox->state != SANDBOX_TERMINATED && sandbox->state != SANDBOX_FAILED)
            return;
    self->ended_us = clock_wall_us();
    store(owner, self);
}

static json_t *to_json(struct recording *self)
{
    char created[CLOCK_RFC3339_MAX], ended[CLOCK_RFC3339_MAX] = "";
    int64_t bytes = self->bytes, current = 0;
    settle_orphan(self);
    if (self->sandbox)
        recorder_segment(self->sandbox->recorder, &current);
    clock_format(self->created_us, created);
    json_t *out = json_pack("{ss ss ss ss ss ss ss sO ss sI}", "id", self->id, "sandbox", self->sandbox_id,
                            "image", self->image, "state", state_names[state_of(self)], "reason", self->reason,
                            "parent", self->parent, "checkpoint", self->checkpoint, "metadata", self->metadata,
                            "created_at", created, "bytes", (json_int_t)(bytes + current));
    struct recording *parent = *self->parent ? find_of(self->owner_list, self->parent) : NULL;
    if (parent)
        json_object_set_new(out, "parent_recording", json_string(parent->id));
    if (self->ended_us && !self->sandbox) {
        clock_format(self->ended_us, ended);
        json_object_set_new(out, "ended_at", json_string(ended));
    }
    return out;
}

json_t *recording_json_of(const struct sandbox *sandbox)
{
    const struct recording *it = sandbox->recording;
    return it ? json_pack("{ss ss}", "id", it->id, "state", state_names[state_of(it)]) : json_null();
}

static bool may_see(const struct principal *who, const struct recording *self)
{
    return who->role == ROLE_ADMIN || strcmp(self->owner, who->key_id) == 0;
}

static bool matches(struct recording *self, const struct recording_filter *filter)
{
    const char *key;
    json_t *want;
    settle_orphan(self);
    if ((filter->sandbox && strcmp(filter->sandbox, self->sandbox_id) != 0) ||
        (filter->image && strcmp(filter->image, self->image) != 0) ||
        (filter->state && strcmp(filter->state, state_names[state_of(self)]) != 0) ||
        (filter->until_us && self->created_us > filter->until_us) ||
        (filter->since_us && self->ended_us && self->ended_us < filter->since_us))
        return false;
    json_object_foreach((json_t *)(uintptr_t)filter->metadata, key, want)
        if (!json_equal(json_object_get(self->metadata, key), want))
            return false;
    return true;
}

json_t *farm_recordings(struct farm *farm, const struct principal *who, const struct recording_filter *filter)
{
    struct recordings *self = farm_recordings_of(farm);
    json_t *items = json_array();
    int64_t total = 0, first = (int64_t)(filter->page - 1) * filter->page_size;
    for (struct list *at = self->all.prev; at != &self->all; at = at->prev) {
        struct recording *it = list_entry(at, struct recording, link);
        if (!may_see(who, it) || !matches(it, filter))
            continue;
        if (total >= first && total < first + filter->page_size)
            json_array_append_new(items, to_json(it));
        total++;
    }
    int64_t pages = (total + filter->page_size - 1) / filter->page_size;
    return json_pack("{so s{si si sI sI sb}}", "items", items, "pagination", "page", filter->page,
                     "pageSize", filter->page_size, "totalItems", (json_int_t)total, "totalPages",
                     (json_int_t)pages, "hasNextPage", filter->page < pages);
}

static struct recording *find(struct farm *farm, const struct principal *who, const char *id,
                              struct error *err)
{
    struct recording *it;
    list_for_each(it, &farm_recordings_of(farm)->all, link)
        if (strcmp(it->id, id) == 0 && may_see(who, it))
            return it;
    error_set(err, ERROR_NOT_FOUND, "no recording %.40s", id);
    return NULL;
}

json_t *farm_recording(struct farm *farm, const struct principal *who, const char *id, struct error *err)
{
    struct recording *it = find(farm, who, id, err);
    return it ? to_json(it) : NULL;
}

char *farm_recording_dir(struct farm *farm, const struct principal *who, const char *id, struct error *err)
{
    struct recording *it = find(farm, who, id, err);
    char *dir = it ? dir_of(it->owner_list, it->id) : NULL;
    if (it && !dir)
        error_errno(err, ENOMEM, "opening a recording");
    return dir;
}

json_t *farm_recording_again(struct farm *farm, const struct principal *who, const char *id, struct error *err)
{
    struct recording *it = find(farm, who, id, err);
    if (!it)
        return NULL;
    if (!*it->checkpoint && json_object_size(it->machine) == 0) {
        error_set(err, ERROR_UNSUPPORTED, "recording %s does not say how its sandbox was made", id);
        return NULL;
    }
    json_t *request = json_deep_copy(it->machine);
    if (*it->checkpoint)
        json_object_set_new(request, "snapshotId", json_string(it->checkpoint));
    else
        json_object_set_new(request, "boot", json_string("cold"));
    return request;
}

/* --- Changing --------------------------------------------------------------------------------- */

struct mark {
    json_t *note;
    recording_fn done;
    void *data;
};

static void handle_marked(void *data, bool is_written)
{
    struct mark *self = data;
    struct error err = { 0 };
    if (is_written)
        self->done(self->data, self->note, NULL);
    else {
        error_set(&err, ERROR_DISK_FULL, "the mark could not be written");
        self->done(self->data, NULL, &err);
    }
    json_decref(self->note);
    free(self);
}

int farm_recording_mark(struct farm *farm, const struct principal *who, const char *id, const json_t *note,
                        recording_fn done, void *data, struct error *err)
{
    struct recording *it = find(farm, who, id, err);
    if (!it)
        return -ENOENT;
    if (state_of(it) != RECORDING_RUNNING)
        return error_set(err, ERROR_CONFLICT, "recording %s is %s: it takes no marks", id,
                         state_names[state_of(it)]);
    struct mark *self = calloc(1, sizeof *self);
    json_t *copy = json_deep_copy(note);
    if (!self || !copy) {
        free(self);
        json_decref(copy);
        return error_errno(err, ENOMEM, "marking");
    }
    json_object_set_new(copy, "time_us", json_integer((json_int_t)clock_now_us()));
    json_object_set_new(copy, "by", json_string(who->key_id));
    *self = (struct mark){ copy, done, data };
    write_json(it->sandbox, RECORD_MARK, copy);
    if (!recorder_barrier(it->sandbox->recorder, handle_marked, self)) {
        free(self);
        json_decref(copy);
        return error_errno(err, ENOMEM, "marking");
    }
    return 0;
}

int farm_recording_delete(struct farm *farm, const struct principal *who, const char *id, struct error *err)
{
    struct recording *it = find(farm, who, id, err);
    if (!it)
        return -ENOENT;
    if (it->sandbox)
        return error_set(err, ERROR_CONFLICT, "recording %s is being written; delete sandbox %s first", id,
                         it->sandbox_id);
    /* Under another name first: a worker may be making an index in it. */
    auto_free char *dir = dir_of(it->owner_list, it->id), *gone = farm_path(farm, "recordings", it->id, ".gone");
    int r = dir && gone ? 0 : error_errno(err, ENOMEM, "deleting a recording");
    if (r == 0 && rename(dir, gone) < 0 && errno != ENOENT)
        r = error_errno(err, errno, "deleting recording %s", id);
    if (r == 0)
        r = fs_remove_tree(gone, err);
    if (r == 0)
        recordings_forget(it->owner_list, it);
    return r;
}

void recordings_count(const struct recordings *self, int64_t *ret_bytes, int *ret_running)
{
    const struct recording *it;
    *ret_bytes = 0;
    *ret_running = 0;
    list_for_each(it, &self->all, link) {
        *ret_bytes += it->bytes;
        *ret_running += it->sandbox != NULL;
    }
}
