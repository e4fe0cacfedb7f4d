/* Pixels flow source -> framebuffer -> damage bits -> publish() -> frame -> observers.
 *
 * The sink callbacks only note what came and ask for a turn. Everything that others can see happens
 * in publish(): it refines the damage, numbers the frame, lets the history judge the changes and
 * calls observers. So observers never run inside a source, and may free the source or the display.
 *
 * While the source is stopped the pixels are gone (framebuffer, frames: 8 MB for 1280x800) and the
 * hashes stay (2 KB). The first refinement afterwards compares with them: nothing changed means the
 * frame gets its old id back.
 *
 * QEMU says a Scanout for every redraw of the whole surface, not only for another size. An epoch is
 * therefore a size, not a message.
 *
 * The cursor survives a stop as well: QEMU 7.2 does not tell a new listener about it. */
#define LOG_MODULE "display"
#include "display/display.h"

#include "base/clock.h"
#include "base/log.h"
#include "display/still.h"
#include "display/tiles.h"

#include <errno.h>
#include <string.h>

struct epoch_range {
    int64_t first_id, last_id;
    struct frame_geometry geometry;
};

struct display {
    struct loop *loop;
    const struct display_ops *ops;
    void *data;

    struct source *source;
    bool is_running;
    int n_holds;
    struct timer *linger;
    int64_t linger_us;

    /* What the source said, not yet published. */
    enum display_screen said;
    struct framebuffer *fb;
    struct tiles *tiles;
    int64_t captured_us;
    bool has_cursor_news, has_loss;
    struct error loss;
    struct defer *turn;
    struct timer *pace;
    int64_t published_us;

    /* What observers know. */
    enum display_screen screen;
    struct frame *frame;
    struct frame *kept[DISPLAY_FRAMES_KEPT]; /* ring, counted */
    int next_kept;
    int64_t last_id;
    struct frame_geometry geometry; /* of last_id; width 0 before the first frame */
    uint64_t *hashes;               /* of last_id, while there is no frame */
    struct epoch_range epochs[DISPLAY_EPOCHS_KEPT]; /* ring */
    int n_epochs, newest_epoch;
    int64_t watched_since_us, last_change_us;
    struct cursor cursor;

    struct past *past;
    struct settle_history *history;
    struct stills *stills;
    struct list observers;
    struct display_stats stats;
    int depth; /* emits under way: a free inside waits for them */
    bool is_freed;
};

/* --- Observers -------------------------------------------------------------------------------- */

void display_observe(struct display *self, struct display_observer *observer,
                     const struct display_observer_ops *ops, void *data)
{
    observer->ops = ops;
    observer->data = data;
    list_append(&self->observers, &observer->link);
}

void display_unobserve(struct display_observer *observer)
{
    list_remove(&observer->link);
}

/* Moves the marker (an entry without ops) behind the next observer and returns it; NULL at the end,
 * with the marker out of the list. So observers may come and go meanwhile. */
static struct display_observer *next_observer(struct display *self, struct display_observer *marker)
{
    struct list *at = marker->link.next;
    while (at != &self->observers && !list_entry(at, struct display_observer, link)->ops)
        at = at->next;
    list_remove(&marker->link);
    if (at == &self->observers)
        return NULL;
    list_append(at->next, &marker->link);
    return list_entry(at, struct display_observer, link);
}

#define emit(self, event, ...)                                                                     \
    do {                                                                                           \
        struct display_observer marker_ = { 0 }, *o_;                                              \
        list_append((self)->observers.next, &marker_.link);                                        \
        while ((o_ = next_observer(self, &marker_)))                                               \
            if (o_->ops->event)                                                                    \
                o_->ops->event(o_->data, __VA_ARGS__);                                             \
    } while (0)

/* --- Sink ------------------------------------------------------------------------------------- */

static void refuse(struct display *self, struct error *err)
{
    self->stats.n_refused++;
    log_debug("refused: %s", err->message);
}

static void note_pixels(struct display *self, const struct pixels *pixels)
{
    self->stats.n_updates++;
    self->stats.n_update_bytes += (int64_t)pixels->size;
    self->captured_us = clock_now_us();
    defer_request(self->turn);
}

static void handle_disable(void *data)
{
    struct display *self = data;
    self->said = DISPLAY_OFF;
    defer_request(self->turn);
}

static int open_framebuffer(struct display *self, const struct pixels *pixels, struct error *err)
{
    int width = (int)pixels->width, height = (int)pixels->height;
    if (self->fb && self->fb->width == width && self->fb->height == height)
        return 0;
    struct frame_geometry *last = &self->geometry;
    bool is_same = last->width == width && last->height == height;
    struct framebuffer *fb;
    int r = framebuffer_new(&fb, width, height, last->epoch + !is_same, err);
    if (r < 0)
        return r;
    framebuffer_free(self->fb);
    self->fb = fb;
    tiles_reset(self->tiles);
    return 0;
}

/* A scanout that cannot be shown is no reason to go on showing the old one. */
static void handle_scanout(void *data, const struct pixels *pixels)
{
    struct display *self = data;
    struct error err = { 0 };
    if (pixels_check(pixels, &err) < 0 || open_framebuffer(self, pixels, &err) < 0 ||
        framebuffer_write(self->fb, 0, 0, pixels, &err) < 0) {
        refuse(self, &err);
        handle_disable(self);
        return;
    }
    tiles_damage(self->tiles, self->fb, (struct rect){ 0, 0, self->fb->width, self->fb->height });
    self->said = DISPLAY_ON;
    note_pixels(self, pixels);
}

static void handle_update(void *data, int x, int y, const struct pixels *pixels)
{
    struct display *self = data;
    struct error err = { 0 };
    if (self->said != DISPLAY_ON)
        error_set(&err, ERROR_GUEST_FAILED, "an update without a scanout");
    else
        framebuffer_write(self->fb, x, y, pixels, &err);
    if (err.is_set) {
        refuse(self, &err);
        return;
    }
    tiles_damage(self->tiles, self->fb,
                 (struct rect){ x, y, (int)pixels->width, (int)pixels->height });
    note_pixels(self, pixels);
}

static void handle_cursor_move(void *data, int x, int y, bool is_visible)
{
    struct display *self = data;
    struct cursor *c = &self->cursor;
    if (c->x == x && c->y == y && c->is_visible == is_visible)
        return;
    c->x = x;
    c->y = y;
    c->is_visible = is_visible;
    self->has_cursor_news = true;
    defer_request(self->turn);
}

static void handle_cursor_define(void *data, int width, int height, int hot_x, int hot_y,
                                 const void *argb, size_t size)
{
    struct display *self = data;
    struct error err = { 0 };
    struct cursor_shape *shape;
    if (cursor_shape_new(&shape, width, height, hot_x, hot_y, argb, size, &err) < 0) {
        refuse(self, &err);
        return;
    }
    if (self->cursor.shape && self->cursor.shape->hash == shape->hash) {
        cursor_shape_unref(shape);
        return;
    }
    cursor_shape_unref(self->cursor.shape);
    self->cursor.shape = shape;
    self->has_cursor_news = true;
    defer_request(self->turn);
}

/* --- Start and stop --------------------------------------------------------------------------- */

static void keep_hashes(struct display *self)
{
    if (!self->frame)
        return;
    free(self->hashes);
    int n = frame_n_tiles(self->frame);
    self->hashes = malloc((size_t)n * sizeof *self->hashes);
    for (int i = 0; self->hashes && i < n; i++)
        self->hashes[i] = self->frame->tiles[i]->hash;
}

/* Forgets the pixels. What was damaged but not published goes with them. */
static void drop_pixels(struct display *self)
{
    keep_hashes(self);
    self->frame = frame_unref(self->frame);
    for (int i = 0; i < DISPLAY_FRAMES_KEPT; i++)
        self->kept[i] = frame_unref(self->kept[i]);
    past_drop_pixels(self->past);
    self->fb = framebuffer_free(self->fb);
    tiles_reset(self->tiles);
    timer_stop(self->pace);
    self->said = DISPLAY_UNKNOWN;
    self->watched_since_us = 0;
    settle_history_pause(self->history, clock_now_us());
    defer_request(self->turn);
}

static void stop_source(struct display *self)
{
    if (!self->is_running)
        return;
    self->is_running = false;
    self->source->impl->stop(self->source);
    drop_pixels(self);
}

static void lose(struct display *self, const struct error *why)
{
    self->loss = *why;
    self->has_loss = true;
    defer_request(self->turn);
}

static void handle_lost(void *data, const struct error *why)
{
    struct display *self = data;
    if (!self->is_running)
        return;
    self->is_running = false;
    drop_pixels(self);
    lose(self, why);
}

static const struct source_sink sink = {
    .scanout = handle_scanout, .update = handle_update, .disable = handle_disable,
    .cursor_move = handle_cursor_move, .cursor_define = handle_cursor_define, .lost = handle_lost,
};

static int start_source(struct display *self, struct error *err)
{
    if (!self->source || self->is_running || self->n_holds == 0)
        return 0;
    /* A source may push before start() returns. */
    self->is_running = true;
    int r = self->source->impl->start(self->source, err);
    if (r < 0)
        self->is_running = false;
    return r;
}

static void handle_linger(void *data)
{
    stop_source(data);
}

void display_hold(struct display *self)
{
    self->n_holds++;
    timer_stop(self->linger);
    struct error err = { 0 };
    if (start_source(self, &err) < 0)
        lose(self, &err);
}

void display_release(struct display *self)
{
    if (self->n_holds > 0 && --self->n_holds == 0 && self->is_running)
        timer_start(self->linger, self->linger_us);
}

int display_attach(struct display *self, struct source *source, struct error *err)
{
    display_detach(self);
    self->source = source;
    source->sink = &sink;
    source->sink_data = self;
    self->has_loss = false;
    return start_source(self, err);
}

int display_restart(struct display *self, struct error *err)
{
    if (!self->source)
        return error_set(err, ERROR_NOT_READY, "the guest's display is not connected");
    return start_source(self, err);
}

void display_detach(struct display *self)
{
    stop_source(self);
    self->source = source_free(self->source);
}

/* --- Publishing ------------------------------------------------------------------------------- */

static void note_epoch(struct display *self)
{
    struct epoch_range *newest = &self->epochs[self->newest_epoch];
    if (self->n_epochs > 0 && newest->geometry.epoch == self->geometry.epoch) {
        newest->last_id = self->last_id;
        return;
    }
    self->newest_epoch = (self->newest_epoch + 1) % DISPLAY_EPOCHS_KEPT;
    self->n_epochs = MIN(self->n_epochs + 1, DISPLAY_EPOCHS_KEPT);
    self->epochs[self->newest_epoch] =
        (struct epoch_range){ self->last_id, self->last_id, self->geometry };
}

/* Takes the reference. */
static void set_frame(struct display *self, struct frame *frame)
{
    frame_unref(self->frame);
    self->frame = frame;
    free(self->hashes);
    self->hashes = NULL;
    frame_unref(self->kept[self->next_kept]);
    self->kept[self->next_kept] = frame_ref(frame);
    self->next_kept = (self->next_kept + 1) % DISPLAY_FRAMES_KEPT;
}

static bool judge(struct display *self, struct frame *frame, bool is_new_epoch, const int *changed,
                  int n, struct tile_change *changes)
{
    bool counts = false;
    for (int i = 0; i < n; i++) {
        int t = changed[i];
        const struct tile *old = self->frame && !is_new_epoch ? self->frame->tiles[t] : NULL;
        settle_history_feed(self->history, t, old, frame->tiles[t], frame->captured_us,
                            &changes[i]);
        counts |= changes[i].counts;
    }
    return counts;
}

static void publish_frame(struct display *self, struct frame *frame, const int *changed, int n)
{
    bool is_new_epoch = self->geometry.epoch != self->fb->epoch;
    struct tile_change *changes = malloc((size_t)MAX(n, 1) * sizeof *changes);
    frame->epoch = self->fb->epoch;
    frame->captured_us = self->captured_us;
    frame->id = ++self->last_id;
    self->geometry = (struct frame_geometry){ frame->epoch, frame->width, frame->height };
    note_epoch(self);
    if (is_new_epoch)
        settle_history_reset(self->history);
    if (changes && judge(self, frame, is_new_epoch, changed, n, changes))
        self->last_change_us = frame->captured_us;
    set_frame(self, frame);
    self->stats.n_frames++;
    self->stats.n_tiles += n;
    struct frame_update update = { frame_ref(frame), is_new_epoch, changes, changes ? n : 0 };
    emit(self, frame, &update);
    frame_unref(frame);
    free(changes);
}

static void publish_screen(struct display *self, enum display_screen screen)
{
    if (screen == self->screen)
        return;
    self->screen = screen;
    self->watched_since_us = screen == DISPLAY_ON ? clock_now_us() : 0;
    emit(self, screen, screen);
}

static void publish_pixels(struct display *self)
{
    bool same_size = self->geometry.width == self->fb->width &&
                     self->geometry.height == self->fb->height;
    struct tiles_base base = { same_size ? self->frame : NULL, same_size ? self->hashes : NULL };
    auto_frame struct frame *frame = NULL;
    auto_free int *changed = NULL;
    int n;
    if (tiles_refine(self->tiles, self->fb, &base, &frame, &changed, &n) < 0) {
        timer_start(self->pace, DISPLAY_PACE_US);
        return;
    }
    self->published_us = clock_now_us();
    settle_history_resume(self->history, self->published_us);
    bool is_back = frame && n == 0;
    if (is_back) {
        frame->id = self->last_id;
        frame->epoch = self->geometry.epoch;
        frame->captured_us = self->captured_us;
        set_frame(self, steal_ptr(&frame));
    }
    publish_screen(self, DISPLAY_ON);
    /* An observer of that may have stopped the source. */
    if (frame && self->fb)
        publish_frame(self, steal_ptr(&frame), changed, n);
}

static void publish_loss(struct display *self)
{
    struct error why = self->loss;
    self->has_loss = false;
    emit(self, lost, &why);
    if (!self->is_freed && self->ops && self->ops->lost)
        self->ops->lost(self->data, &why);
}

static struct display *destroy(struct display *self);

static void publish(struct display *self)
{
    if (self->depth > 0)
        return;
    self->depth++;
    if (self->said != DISPLAY_ON)
        publish_screen(self, self->said);
    else if (tiles_is_damaged(self->tiles))
        publish_pixels(self);
    else if (self->frame)
        publish_screen(self, DISPLAY_ON);
    if (self->has_cursor_news && !self->is_freed) {
        self->has_cursor_news = false;
        emit(self, cursor, &self->cursor);
    }
    if (self->has_loss && !self->is_freed)
        publish_loss(self);
    self->depth--;
    if (self->is_freed)
        destroy(self);
}

static void handle_turn(void *data)
{
    struct display *self = data;
    int64_t wait_us = self->published_us + DISPLAY_PACE_US - clock_now_us();
    bool is_urgent = self->has_loss || self->said != self->screen;
    if (wait_us <= 0 || is_urgent)
        publish(self);
    else if (!timer_is_active(self->pace))
        timer_start(self->pace, wait_us);
}

static void handle_pace(void *data)
{
    publish(data);
}

void display_flush(struct display *self)
{
    publish(self);
}

/* --- The rest --------------------------------------------------------------------------------- */

struct display *display_new(struct loop *loop, struct worker_pool *pool,
                            const struct display_ops *ops, void *data)
{
    struct display *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->loop = loop;
    self->ops = ops;
    self->data = data;
    self->linger_us = DISPLAY_LINGER_US;
    list_init(&self->observers);
    self->last_id = clock_wall_us() / 1000;
    self->geometry.epoch = self->last_id;
    self->linger = timer_new(loop, handle_linger, self);
    self->pace = timer_new(loop, handle_pace, self);
    self->turn = defer_new(loop, handle_turn, self);
    self->tiles = tiles_new();
    self->past = past_new();
    self->history = settle_history_new();
    self->stills = stills_new(loop, pool, STILLS_CACHE_BYTES);
    if (!self->linger || !self->pace || !self->turn || !self->tiles || !self->past ||
        !self->history || !self->stills)
        return destroy(self);
    return self;
}

static struct display *destroy(struct display *self)
{
    stills_free(self->stills);
    past_free(self->past);
    settle_history_free(self->history);
    tiles_free(self->tiles);
    timer_free(self->linger);
    timer_free(self->pace);
    defer_free(self->turn);
    cursor_shape_unref(self->cursor.shape);
    free(self->hashes);
    free(self);
    return NULL;
}

static void forget_observers(struct display *self)
{
    struct display_observer *o, *tmp;
    list_for_each_safe(o, tmp, &self->observers, link)
        if (o->ops)
            list_remove(&o->link);
}

struct display *display_free(struct display *self)
{
    if (!self || self->is_freed)
        return NULL;
    self->is_freed = true;
    self->depth++;
    display_detach(self);
    timer_stop(self->linger);
    struct error why = { 0 };
    error_set(&why, ERROR_CANCELLED, "the display was closed");
    emit(self, lost, &why);
    forget_observers(self);
    drop_pixels(self);
    self->stills = stills_free(self->stills);
    if (--self->depth == 0)
        destroy(self);
    return NULL;
}

struct loop *display_loop(const struct display *self)
{
    return self->loop;
}

void display_set_linger(struct display *self, int64_t linger_us)
{
    self->linger_us = linger_us;
}

bool display_is_attached(const struct display *self)
{
    return self->source != NULL;
}

enum display_screen display_screen(const struct display *self)
{
    return self->screen;
}

struct frame *display_frame(const struct display *self)
{
    return self->screen == DISPLAY_ON ? self->frame : NULL;
}

struct frame *display_frame_by_id(const struct display *self, int64_t id)
{
    for (int i = 0; i < DISPLAY_FRAMES_KEPT; i++)
        if (self->kept[i] && self->kept[i]->id == id)
            return self->kept[i];
    struct past_frame past;
    return past_find(self->past, id, &past) ? past.frame : NULL;
}

struct past *display_past(const struct display *self)
{
    return self->past;
}

int64_t display_frame_id(const struct display *self)
{
    return self->geometry.width ? self->last_id : 0;
}

int display_geometry(const struct display *self, int64_t id, struct frame_geometry *ret)
{
    if (id <= self->last_id - DISPLAY_IDS_KEPT)
        return DISPLAY_ID_UNKNOWN;
    for (int i = 0; i < DISPLAY_EPOCHS_KEPT; i++) {
        const struct epoch_range *range = &self->epochs[i];
        if (range->geometry.width && id >= range->first_id && id <= range->last_id) {
            *ret = range->geometry;
            return 0;
        }
    }
    return DISPLAY_ID_UNKNOWN;
}

int display_resize(struct display *self, int width, int height, struct error *err)
{
    if (width < DISPLAY_WIDTH_MIN || height < DISPLAY_HEIGHT_MIN || width > FRAME_SIZE_MAX ||
        height > FRAME_SIZE_MAX || (int64_t)width * height * 4 > (int64_t)FRAME_BYTES_MAX)
        return error_set(err, ERROR_BAD_VALUE, "%dx%d is not between %dx%d and %dx%d (%d million "
                         "pixels)", width, height, DISPLAY_WIDTH_MIN, DISPLAY_HEIGHT_MIN,
                         FRAME_SIZE_MAX, FRAME_SIZE_MAX, (int)(FRAME_BYTES_MAX / 4 >> 20));
    if (!self->source)
        return error_set(err, ERROR_NOT_READY, "the guest's display is not connected");
    if (!self->source->impl->resize)
        return error_set(err, ERROR_UNSUPPORTED, "this guest's display cannot be resized");
    return self->source->impl->resize(self->source, width, height, err);
}

const struct cursor *display_cursor(const struct display *self)
{
    return &self->cursor;
}

void display_input(struct display *self, int64_t now_us)
{
    settle_history_input(self->history, now_us);
}

int64_t display_last_change_us(const struct display *self)
{
    return self->last_change_us;
}

int64_t display_watched_since_us(const struct display *self)
{
    return self->watched_since_us;
}

struct stills *display_stills(struct display *self)
{
    return self->stills;
}

int display_memfd(const struct display *self, struct frame_geometry *ret, int *ret_stride)
{
    if (self->screen != DISPLAY_ON || !self->fb)
        return -1;
    *ret = (struct frame_geometry){ self->fb->epoch, self->fb->width, self->fb->height };
    *ret_stride = self->fb->stride;
    return self->fb->fd;
}

bool display_is_watched(const struct display *self)
{
    return self->is_running;
}

const struct display_stats *display_stats(const struct display *self)
{
    return &self->stats;
}
