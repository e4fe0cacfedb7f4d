/* Besides frames a client gets the latest of each other state: role, cursor, clipboard, answer to a
 * ping. Each is a value that is overwritten, never a list.
 *
 * The link is judged by acknowledgements: bytes of a message, divided by the time since it was sent
 * or since the one before it was acknowledged, whichever is later, less the least round trip seen.
 * The budget of a message is what goes through in VIEWER_TARGET_US at that rate. It grows by at most
 * BUDGET_GROWTH per acknowledgement and falls at once, so a link that gets slow costs one late frame. */
#include "stream/hub-impl.h"

#include "base/clock.h"
#include "display/still.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_LIMIT ((size_t)16 << 20)
#define BUDGET_GROWTH 4

struct viewer *viewer_new(struct hub *hub, const struct viewer_ops *ops, void *data)
{
    struct viewer *self = hub->n_viewers < HUB_VIEWERS_MAX ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    self->hub = hub;
    self->ops = ops;
    self->data = data;
    self->budget = VIEWER_BUDGET_START;
    self->is_shown = self->has_welcome = self->has_screen = self->has_role = true;
    hub_add(hub, self);
    return self;
}

struct viewer *viewer_free(struct viewer *self)
{
    if (!self)
        return NULL;
    if (self->freed)
        *self->freed = true;
    if (self->hub) {
        struct hub *hub = self->hub;
        hub_remove(hub, self);
        if (self->is_greeted && self->is_shown)
            hub_show(hub, false);
    }
    still_cancel(self->asked);
    bytes_unref(self->picture);
    bytes_unref(self->clipboard);
    kept_free(self->kept);
    free(self->cells);
    free(self);
    return NULL;
}

static void wake(struct viewer *self)
{
    if (self->is_greeted && self->has_room)
        self->ops->wake(self->data);
}

/* --- What the client says --------------------------------------------------------------------- */

static int greet(struct viewer *self, const struct client_record *hello, struct error *err)
{
    if (hello->version != RECORD_VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "version %d of the stream; this is %d",
                         hello->version, RECORD_VERSION);
    self->n_kept = hello->kept;
    self->kept = kept_new(hello->kept);
    if (!self->kept)
        return error_errno(err, ENOMEM, "keeping track of tiles");
    self->is_greeted = true;
    self->has_room = true;
    self->flags = hello->flags;
    self->is_pictures = hello->flags & RECORD_HELLO_PICTURES;
    self->picture_width = CLAMP(hello->width, 16, 1024);
    self->picture_height = CLAMP(hello->height, 16, 1024);
    if (self->is_shown)
        hub_show(self->hub, true);
    hub_request(self->hub);
    self->ops->wake(self->data);
    return 0;
}

static void judge_link(struct viewer *self, const struct viewer_sent *sent)
{
    int64_t now = clock_now_us(), rtt = now - sent->us;
    self->stats.rtt_us = rtt;
    self->least_rtt_us = self->least_rtt_us ? MIN(self->least_rtt_us, rtt) : rtt;
    int64_t since = MAX(sent->us + self->least_rtt_us / 2, self->acked_us);
    int64_t taken = MAX(now - since, 1000);
    self->acked_us = now;
    int64_t could = (int64_t)sent->bytes * VIEWER_TARGET_US / taken, budget = self->budget;
    bool is_large = (int64_t)sent->bytes >= budget / 4;
    /* Of a small message the client's own work is most of the time: it tells of a slow link, and only
     * little by little, when it took too long. */
    if (is_large && taken < VIEWER_TARGET_US)
        budget = MIN(MAX(could, budget), BUDGET_GROWTH * budget);
    else if (taken > VIEWER_TARGET_US)
        budget = is_large ? MIN(could, budget) : MAX(could, budget / 2);
    self->budget = (int)CLAMP(budget, VIEWER_BUDGET_MIN, VIEWER_BUDGET_MAX);
}

static int take_ack(struct viewer *self, int64_t id, struct error *err)
{
    if (self->n_unacked == 0 || self->sent[0].id != id)
        return error_set(err, ERROR_BAD_VALUE,
                         "an acknowledgement of frame %lld, which is not the next", (long long)id);
    judge_link(self, &self->sent[0]);
    self->n_unacked--;
    memmove(&self->sent[0], &self->sent[1], (size_t)self->n_unacked * sizeof self->sent[0]);
    hub_request(self->hub);
    return 0;
}

static void show(struct viewer *self, bool is_shown)
{
    if (self->is_shown == is_shown)
        return;
    self->is_shown = is_shown;
    hub_show(self->hub, is_shown);
    hub_request(self->hub);
}

static void refuse_input(struct viewer *self, enum record_type type)
{
    if (self->has_refused_input)
        return;
    self->has_refused_input = true;
    viewer_refuse(self, type, "this viewer does not control the desktop");
}

/* What may only be done in control. */
static void take_control_record(struct viewer *self, struct client_record *record)
{
    if (self->role != VIEWER_CONTROL) {
        refuse_input(self, record->type);
        return;
    }
    record->x = CLAMP(record->x, 0, MAX(self->width - 1, 0));
    record->y = CLAMP(record->y, 0, MAX(self->height - 1, 0));
    if (record->type == RECORD_PASTE) {
        if (self->ops->paste)
            self->ops->paste(self->data, record->text, record->n_text);
    } else if (record->type == RECORD_RESIZE) {
        if (self->ops->resize)
            self->ops->resize(self->data, record->width, record->height);
    } else if (self->ops->input) {
        self->ops->input(self->data, record);
    }
}

static int take_record(struct viewer *self, struct client_record *record, struct error *err)
{
    if (self->is_greeted == (record->type == RECORD_HELLO))
        return error_set(err, ERROR_BAD_VALUE, "HELLO comes first, and once");
    switch (record->type) {
    case RECORD_HELLO:
        return greet(self, record, err);
    case RECORD_ACK:
        return take_ack(self, (int64_t)record->id, err);
    case RECORD_PING:
        self->pong = record->id;
        self->has_pong = true;
        wake(self);
        return 0;
    case RECORD_REFRESH:
        viewer_forget_canvas(self);
        hub_request(self->hub);
        return 0;
    case RECORD_SHOW:
        show(self, record->is_down);
        return 0;
    case RECORD_WISH:
        if (self->ops->wish)
            self->ops->wish(self->data, record->wish);
        return 0;
    default:
        take_control_record(self, record);
        return 0;
    }
}

int viewer_feed(struct viewer *self, const uint8_t *data, size_t size, struct error *err)
{
    bool freed = false;
    int n = 0, r = 0;
    if (!self->hub)
        return 0;
    self->freed = &freed;
    if (size > CLIENT_MESSAGE_MAX)
        r = error_set(err, ERROR_TOO_LARGE, "a message of %zu bytes", size);
    while (r == 0 && self->hub) {
        struct client_record record;
        r = client_next(&data, &size, &record);
        if (r == RECORD_END)
            break;
        if (r < 0 || ++n > CLIENT_RECORDS_MAX)
            r = error_set(err, ERROR_BAD_VALUE, "a record that a client may not send, or too many");
        else
            r = take_record(self, &record, err);
        if (freed)
            return VIEWER_FREED;
    }
    self->freed = NULL;
    return r < 0 ? -EPROTO : 0;
}

/* --- What the owner says ---------------------------------------------------------------------- */

void viewer_set_role(struct viewer *self, enum viewer_role role, enum viewer_holder holder,
                     const char *name)
{
    self->role = role;
    self->holder = holder;
    snprintf(self->name, sizeof self->name, "%s", name ? name : "");
    self->has_role = true;
    self->has_refused_input = false;
    wake(self);
}

enum viewer_role viewer_role(const struct viewer *self)
{
    return self->role;
}

void viewer_injected(struct viewer *self, uint64_t id, int64_t at_us)
{
    if (self->n_inputs == VIEWER_INPUTS) {
        self->first_input = (self->first_input + 1) % VIEWER_INPUTS;
        self->n_inputs--;
    }
    int at = (self->first_input + self->n_inputs++) % VIEWER_INPUTS;
    self->inputs[at] = (struct viewer_input){ id, at_us };
}

void viewer_set_clipboard(struct viewer *self, struct bytes *text)
{
    if (!(self->flags & RECORD_HELLO_CLIPBOARD))
        return;
    bytes_unref(self->clipboard);
    self->clipboard = bytes_ref(text);
    wake(self);
}

void viewer_refuse(struct viewer *self, enum record_type type, const char *why)
{
    self->refused = type;
    snprintf(self->why, sizeof self->why, "%s", why);
    wake(self);
}

const struct viewer_stats *viewer_stats(const struct viewer *self)
{
    return &self->stats;
}

/* --- What the client is told ------------------------------------------------------------------ */

static void write_welcome(struct buf *out)
{
    uint8_t *at = record_begin(out, RECORD_WELCOME, 0, 0, 16);
    if (!at)
        return;
    at = record_put_u16(record_put_u16(at, RECORD_VERSION), TILE_SIZE);
    record_put_u64(record_put_u32(at, 0), (uint64_t)clock_now_us());
}

/* The screen's state; a new canvas comes with its first frame. */
static void write_state(const struct viewer *self, struct buf *out)
{
    uint8_t *at = record_begin(out, RECORD_SCREEN, display_screen(self->hub->display), 0, 16);
    if (!at)
        return;
    at = record_put_u64(at, (uint64_t)self->epoch);
    at = record_put_u16(record_put_u16(at, (unsigned)self->width), (unsigned)self->height);
    record_put_u32(at, 0);
}

static void write_role(const struct viewer *self, struct buf *out)
{
    size_t n = strlen(self->name);
    uint8_t *at = record_begin(out, RECORD_ROLE, self->role, 0, 1 + n);
    if (!at)
        return;
    *at = (uint8_t)self->holder;
    memcpy(at + 1, self->name, n);
}

static void write_text(struct buf *out, enum record_type type, unsigned flags, const void *text,
                       size_t n)
{
    uint8_t *at = record_begin(out, type, flags, 0, n);
    if (at && n > 0)
        memcpy(at, text, n);
}

/* From premultiplied to straight alpha. */
static uint32_t straighten(uint32_t c)
{
    uint32_t a = c >> 24, out = a << 24;
    for (int shift = 0; shift < 24 && a > 0; shift += 8)
        out |= MIN(((c >> shift & 255) * 255 + a / 2) / a, 255) << shift;
    return out;
}

static void write_shape(const struct cursor_shape *shape, struct buf *out)
{
    int n = shape->width * shape->height;
    auto_free uint32_t *pixels = malloc((size_t)n * sizeof *pixels);
    auto_free uint8_t *code = malloc((size_t)n * TILE_CODE_ALPHA_BYTES);
    if (!pixels || !code)
        return;
    for (int i = 0; i < n; i++)
        pixels[i] = straighten(shape->pixels[i]);
    size_t size = tile_code_encode_true(pixels, n, code);
    uint8_t *at = record_begin(out, RECORD_CURSOR_SHAPE, 0, 0, 8 + size);
    if (!at)
        return;
    at = record_put_u16(record_put_u16(at, (unsigned)shape->width), (unsigned)shape->height);
    at = record_put_u16(record_put_u16(at, (unsigned)shape->hot_x), (unsigned)shape->hot_y);
    memcpy(at, code, size);
}

void viewer_write_cursor(struct viewer *self, struct buf *out)
{
    const struct cursor *cursor = display_cursor(self->hub->display);
    if (cursor->shape && cursor->shape->hash != self->shape_hash) {
        self->shape_hash = cursor->shape->hash;
        write_shape(cursor->shape, out);
    }
    if (self->has_cursor && self->cursor_x == cursor->x && self->cursor_y == cursor->y &&
        self->cursor_visible == cursor->is_visible)
        return;
    self->has_cursor = true;
    self->cursor_x = cursor->x;
    self->cursor_y = cursor->y;
    self->cursor_visible = cursor->is_visible;
    uint8_t *at =
        record_begin(out, RECORD_CURSOR, cursor->is_visible ? RECORD_CURSOR_VISIBLE : 0, 0, 8);
    if (at)
        record_put_u32(record_put_u32(at, (uint32_t)cursor->x), (uint32_t)cursor->y);
}

static void write_pong(const struct viewer *self, struct buf *out)
{
    uint8_t *at = record_begin(out, RECORD_PONG, 0, 0, 16);
    if (at)
        record_put_u64(record_put_u64(at, self->pong), (uint64_t)clock_now_us());
}

static bool take(bool *flag)
{
    bool was = *flag;
    *flag = false;
    return was;
}

static void write_states(struct viewer *self, struct buf *out)
{
    if (take(&self->has_welcome))
        write_welcome(out);
    if (take(&self->has_screen))
        write_state(self, out);
    if (take(&self->has_role))
        write_role(self, out);
    if (take(&self->has_pong))
        write_pong(self, out);
    if (self->video_id &&
        (!self->hub->video || self->hub->video_id != self->video_id || !self->uses_video)) {
        record_begin(out, RECORD_VIDEO_END, 0, self->video_id, 0);
        self->video_id = 0;
    }
    if (!self->is_pictures)
        viewer_write_cursor(self, out);
    if (self->clipboard) {
        write_text(out, RECORD_CLIPBOARD, 0, self->clipboard->data, self->clipboard->size);
        self->clipboard = bytes_unref(self->clipboard);
    }
    if (self->refused)
        write_text(out, RECORD_REFUSED, self->refused, self->why, strlen(self->why));
    self->refused = 0;
}

static void write_picture(struct viewer *self, struct buf *out)
{
    buf_append(out, self->picture->data, self->picture->size);
    self->picture = bytes_unref(self->picture);
    self->sent[self->n_unacked++] =
        (struct viewer_sent){ self->picture_id, clock_now_us(), out->size };
}

struct bytes *viewer_next(struct viewer *self)
{
    if (!self->hub || !self->is_greeted)
        return NULL;
    auto_buf struct buf out = { .limit = MESSAGE_LIMIT };
    write_states(self, &out);
    if (self->picture && self->n_unacked < VIEWER_UNACKED)
        write_picture(self, &out);
    if (take(&self->is_due) && self->hub->frame && self->hub->frame->id >= self->floor_id &&
        self->n_unacked < VIEWER_UNACKED)
        viewer_write_frame(self, &out);
    self->has_room = out.size == 0 || out.failed;
    hub_request(self->hub);
    if (self->has_room)
        return NULL;
    self->stats.n_messages++;
    self->stats.n_bytes += (int64_t)out.size;
    self->stats.budget = self->budget;
    return bytes_copy(out.data, out.size);
}
