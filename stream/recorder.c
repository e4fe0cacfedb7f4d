/* Two ways lead into the file. The viewer's messages are pulled as a socket would take them: the
 * next one RECORDER_PACE_US after the last, later when they are large. Named frames wait in a list
 * and go first, one after the other: the tiles that neither the canvas nor the cache of the desktop
 * has are coded by a job, then the frame is written whole. While one is under way nothing is pulled, so
 * frames come in the order of their ids.
 *
 * A place to begin at is a named frame as well, with nothing taken for known. It comes with the
 * first change after RECORDER_SNAPSHOT_BYTES, so that a quiet screen writes nothing at all, and
 * begins each segment.
 *
 * A barrier waits for two things: the named frames before it, then the bytes before it. */
#define LOG_MODULE "recorder"
#include "stream/recorder.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "stream/hub-impl.h"
#include "stream/index.h"
#include "stream/segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bytes that wait for a slow disk: more, and the screen is not followed meanwhile. */
#define BACKLOG_MAX (8 << 20)
#define PASSED_MAX 256
#define SNAPSHOT_RATIO 3 /* of the bytes since the last, to its own */

struct keep {
    struct list link;
    struct frame *frame;
    bool is_begin;
};

struct barrier {
    struct list link; /* of the recorder; out of it once it is passed */
    bool waits_keeps;
    int segment;
    int64_t size;     /* of the segment, once its keeps are written */
    bool is_written;
    struct defer *turn;
    barrier_fn fn;
    void *data;
};

struct passed {
    int64_t id, captured_us;
};

struct recorder {
    struct loop *loop;
    struct worker_pool *pool;
    struct display *display;
    struct display_observer observer;
    struct hub *hub; /* NULL: the desktop is gone */
    struct viewer *viewer;
    const struct recorder_ops *ops;
    void *data;
    char *dir, *meta;

    enum recorder_state state;
    char trouble[ERROR_MESSAGE_MAX];
    bool has_news; /* of the state, to be told */
    struct error why;

    struct segment *segment; /* NULL: none yet, or trouble */
    int number;              /* of the last one begun */
    int64_t began_us;
    bool wants_begin;
    int64_t begin_at, begin_bytes; /* of the segment: where the last place to begin at lies */

    struct list keeps;
    struct coder *coder; /* for the first of them */
    struct list barriers;
    struct passed passed[PASSED_MAX]; /* published, not written; ascending */
    int n_passed;
    int64_t last_id;    /* the newest frame in the file */
    int64_t debt_us;    /* when the bytes written so far are paid for */
    struct timer *pace, *retry;
    struct defer *turn;
    struct recorder_stats stats;
};

static void fail(struct recorder *self, const struct error *why);

/* --- Barriers --------------------------------------------------------------------------------- */

static void handle_passed(void *data)
{
    struct barrier *self = data;
    barrier_fn fn = self->fn;
    void *fn_data = self->data;
    bool is_written = self->is_written;
    barrier_cancel(self);
    fn(fn_data, is_written);
}

struct barrier *barrier_cancel(struct barrier *self)
{
    if (self) {
        list_remove(&self->link);
        defer_free(self->turn);
        free(self);
    }
    return NULL;
}

static void pass(struct barrier *self, bool is_written)
{
    list_remove(&self->link);
    self->is_written = is_written;
    defer_request(self->turn);
}

/* Segments are written one after the other: an older one is whole. */
static bool is_written(const struct recorder *self, const struct barrier *barrier)
{
    return barrier->segment < self->number ||
           (self->segment && segment_written(self->segment) >= barrier->size);
}

static void check_barriers(struct recorder *self)
{
    struct barrier *barrier, *next;
    list_for_each_safe(barrier, next, &self->barriers, link) {
        if (self->state != RECORDER_ON) {
            pass(barrier, false);
            continue;
        }
        if (barrier->waits_keeps && !list_empty(&self->keeps))
            return;
        if (barrier->waits_keeps) {
            barrier->waits_keeps = false;
            barrier->segment = self->number;
            barrier->size = self->segment ? segment_size(self->segment) : 0;
        }
        if (!is_written(self, barrier))
            return;
        pass(barrier, true);
    }
}

struct barrier *recorder_barrier(struct recorder *self, barrier_fn fn, void *data)
{
    if (!self || self->state != RECORDER_ON)
        return NULL;
    if (list_empty(&self->keeps) &&
        (!self->segment || segment_written(self->segment) == segment_size(self->segment)))
        return NULL;
    struct barrier *barrier = calloc(1, sizeof *barrier);
    if (barrier)
        barrier->turn = defer_new(self->loop, handle_passed, barrier);
    if (!barrier || !barrier->turn) {
        free(barrier);
        return NULL;
    }
    barrier->waits_keeps = true;
    barrier->fn = fn;
    barrier->data = data;
    list_append(&self->barriers, &barrier->link);
    check_barriers(self);
    return barrier;
}

/* --- Segments --------------------------------------------------------------------------------- */

static void tell(struct recorder *self, enum recorder_state state)
{
    self->state = state;
    self->has_news = true;
    defer_request(self->turn);
}

static void handle_written(void *data, int64_t size maybe_unused)
{
    struct recorder *self = data;
    check_barriers(self);
    defer_request(self->turn);
}

static void handle_segment_failed(void *data, const struct error *err)
{
    fail(data, err);
}

static void write_entry(struct recorder *self, int64_t now_us, const struct record *record)
{
    if (!self->segment)
        return;
    size_t before = segment_buf(self->segment)->size;
    record_write_entry(segment_buf(self->segment), now_us, record);
    self->stats.n_bytes += (int64_t)(segment_buf(self->segment)->size - before);
    segment_flush(self->segment);
}

static void write_meta(struct recorder *self)
{
    auto_buf struct buf text = BUF_INIT;
    buf_printf(&text, "{\"version\":1,\"segment\":%d,\"wall_us\":%lld%s%s}", self->number,
               (long long)clock_wall_us(), *self->meta ? "," : "", self->meta);
    if (!text.failed)
        write_entry(self, clock_now_us(), &(struct record){ RECORD_META, 0, 0, (uint32_t)text.size,
                                                            text.data });
}

static int open_segment(struct recorder *self, struct error *err)
{
    static const struct segment_ops ops = { .written = handle_written,
                                            .failed = handle_segment_failed };
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/%06d" SEGMENT_SUFFIX, self->dir, self->number + 1) < 0)
        return error_errno(err, ENOMEM, "beginning a segment");
    self->segment = segment_new(self->loop, self->pool, path, &ops, self, err);
    if (!self->segment)
        return -1;
    self->number++;
    self->began_us = clock_now_us();
    self->wants_begin = true;
    self->begin_at = self->begin_bytes = 0;
    record_write_file_header(segment_buf(self->segment));
    write_meta(self);
    if (self->ops->segment)
        self->ops->segment(self->data, self->number);
    return 0;
}

static void drop_keeps(struct recorder *self)
{
    self->coder = coder_free(self->coder);
    while (!list_empty(&self->keeps)) {
        struct keep *keep = list_first(&self->keeps, struct keep, link);
        list_remove(&keep->link);
        frame_unref(keep->frame);
        free(keep);
    }
}

/* The segment ends where it is good. The screen is not followed until there is another. */
static void fail(struct recorder *self, const struct error *why)
{
    if (self->state != RECORDER_ON)
        return;
    log_warn("%s: %s", self->dir, why->message);
    snprintf(self->trouble, sizeof self->trouble, "%s", why->message);
    self->why = *why;
    drop_keeps(self);
    self->n_passed = 0;
    segment_close(steal_ptr(&self->segment), NULL);
    tell(self, RECORDER_FULL);
    check_barriers(self);
    timer_start(self->retry, RECORDER_RETRY_US);
}

static bool is_segment_over(const struct recorder *self)
{
    return segment_size(self->segment) >= RECORDER_SEGMENT_BYTES ||
           clock_now_us() >= self->began_us + RECORDER_SEGMENT_US;
}

/* Before a change is written. One with bytes under way is ended by a later change, unless there is
 * none of those for long. */
static void rotate(struct recorder *self)
{
    struct error err = { 0 };
    bool is_late = segment_size(self->segment) >= RECORDER_SEGMENT_BYTES * 3 / 2;
    if (!is_segment_over(self) || !list_empty(&self->keeps) ||
        (!is_late && segment_written(self->segment) != segment_size(self->segment)))
        return;
    if (segment_close(steal_ptr(&self->segment), &err) < 0 || open_segment(self, &err) < 0)
        fail(self, &err);
}

/* --- Frames ----------------------------------------------------------------------------------- */

/* Lists what was published before frame id and is not in the file. */
static void write_passed(struct recorder *self, int64_t now_us, int64_t id)
{
    uint8_t payload[PASSED_MAX * RECORD_PASSED_SIZE], *at = payload;
    int n = 0, left = 0;
    for (; n < self->n_passed && self->passed[n].id < id; n++)
        at = record_put_u64(record_put_u64(at, (uint64_t)self->passed[n].id),
                            (uint64_t)self->passed[n].captured_us);
    if (n > 0)
        write_entry(self, now_us, &(struct record){ RECORD_PASSED, 0, 0,
                                                    (uint32_t)(at - payload), payload });
    self->stats.n_passed += n;
    for (int i = n; i < self->n_passed; i++)
        if (self->passed[i].id != id)
            self->passed[left++] = self->passed[i];
    self->n_passed = left;
}

static void note_passed(struct recorder *self, const struct frame *frame)
{
    if (self->n_passed == PASSED_MAX)
        write_passed(self, clock_now_us(), frame->id);
    self->passed[self->n_passed++] = (struct passed){ frame->id, frame->captured_us };
}

/* The records of a message, each as an entry. Returns how many bytes they took. */
static int64_t write_message(struct recorder *self, const uint8_t *data, size_t size)
{
    int64_t now_us = clock_now_us(), before = self->stats.n_bytes;
    struct record record;
    while (record_next(&data, &size, &record) == 0) {
        if (record.type == RECORD_FRAME) {
            int64_t id = (int64_t)record_get_u64(record.payload);
            write_passed(self, now_us, id);
            self->last_id = id;
            self->stats.n_frames++;
            self->stats.n_exact += record.flags & RECORD_FRAME_EXACT;
        }
        if (record.type != RECORD_WELCOME && record.type != RECORD_ROLE)
            write_entry(self, now_us, &record);
    }
    return self->stats.n_bytes - before;
}

static void pay(struct recorder *self, int64_t bytes)
{
    int64_t now = clock_now_us(), earliest = now - (int64_t)RECORDER_BURST * 1000000 / RECORDER_RATE;
    self->debt_us = MAX(self->debt_us, earliest) + bytes * 1000000 / RECORDER_RATE;
}

static void end_keep(struct recorder *self)
{
    struct keep *keep = list_first(&self->keeps, struct keep, link);
    list_remove(&keep->link);
    frame_unref(keep->frame);
    free(keep);
}

static void write_kept_frame(struct recorder *self, const struct coder *codes)
{
    struct keep *keep = list_first(&self->keeps, struct keep, link);
    auto_buf struct buf out = BUF_INIT;
    int64_t start = segment_size(self->segment);
    if (viewer_write_exact(self->viewer, keep->frame, codes, keep->is_begin, &out) < 0) {
        struct error err = { 0 };
        error_errno(&err, ENOMEM, "recording");
        fail(self, &err);
        return;
    }
    int64_t bytes = write_message(self, out.data, out.size);
    pay(self, bytes);
    if (keep->is_begin) {
        self->begin_at = start;
        self->begin_bytes = bytes;
        self->stats.n_begins++;
    }
    end_keep(self);
}

static void share_codes(struct recorder *self, const struct coder *coder)
{
    for (int i = 0; self->hub->packets && i < coder->n_tiles; i++) {
        const struct coder_tile *tile = &coder->tiles[i];
        if (tile->code == TILE_SOLID || tile->data)
            packets_insert(self->hub->packets, coder->frame->tiles[tile->index]->hash, tile->code,
                           tile->colour, bytes_ref(tile->data));
    }
}

static void handle_coded(void *data, struct coder *coder)
{
    struct recorder *self = data;
    write_kept_frame(self, coder);
    if (self->coder) {
        share_codes(self, coder);
        self->coder = coder_free(coder);
    }
    check_barriers(self);
    defer_request(self->turn);
}

/* Begins the first of the named frames. True: it is done already. */
static bool begin_keep(struct recorder *self)
{
    struct keep *keep = list_first(&self->keeps, struct keep, link);
    if (!keep->is_begin && (viewer_is_exact(self->viewer, keep->frame) || keep->frame->id < self->last_id)) {
        end_keep(self);
        return true;
    }
    auto_free int *tiles = malloc((size_t)frame_n_tiles(keep->frame) * sizeof *tiles);
    int n = tiles ? viewer_exact_tiles(self->viewer, keep->frame, keep->is_begin, tiles) : 0;
    if (n == 0) {
        write_kept_frame(self, NULL);
        return true;
    }
    struct coder_params params = { .frame = keep->frame, .tiles = tiles, .n = n,
                                   .budget = SIZE_MAX };
    self->coder = coder_start(self->pool, &params, handle_coded, self);
    if (!self->coder) {
        struct error err = { 0 };
        error_errno(&err, ENOMEM, "recording");
        fail(self, &err);
    }
    return false;
}

static void add_keep(struct recorder *self, struct frame *frame, bool is_begin)
{
    struct keep *keep = malloc(sizeof *keep);
    if (!keep)
        return;
    *keep = (struct keep){ .frame = frame_ref(frame), .is_begin = is_begin };
    list_init(&keep->link);
    list_append(&self->keeps, &keep->link);
    defer_request(self->turn);
}

static void begin_here(struct recorder *self, struct frame *frame)
{
    self->wants_begin = false;
    add_keep(self, frame, true);
}

void recorder_keep(struct recorder *self, struct frame *frame)
{
    if (!self || !frame || self->state != RECORDER_ON || !self->hub)
        return;
    if (self->wants_begin)
        begin_here(self, frame);
    struct keep *last = list_empty(&self->keeps) ? NULL
                                                 : list_entry(self->keeps.prev, struct keep, link);
    if (last ? last->frame == frame : viewer_is_exact(self->viewer, frame))
        return;
    add_keep(self, frame, false);
}

/* --- Following the screen --------------------------------------------------------------------- */

static void say(struct recorder *self, enum record_type type, unsigned flags, const void *payload,
                size_t size)
{
    auto_buf struct buf out = BUF_INIT;
    record_write(&out, &(struct record){ (uint8_t)type, (uint8_t)flags, 0, (uint32_t)size, payload });
    viewer_feed(self->viewer, out.data, out.size, NULL);
}

static void acknowledge(struct recorder *self, const uint8_t *data, size_t size)
{
    struct record record;
    while (record_next(&data, &size, &record) == 0)
        if (record.type == RECORD_FRAME)
            say(self, RECORD_ACK, 0, record.payload, 8);
}

/* A film's units follow each other: they are not waited between. */
static int64_t pace_of(const struct recorder *self, int64_t now_us)
{
    if (self->viewer->uses_video && self->viewer->video_id)
        return 0;
    return MAX(RECORDER_PACE_US, self->debt_us - now_us);
}

static void pull(struct recorder *self)
{
    struct bytes *message = viewer_next(self->viewer);
    if (!message)
        return;
    pay(self, write_message(self, message->data, message->size));
    acknowledge(self, message->data, message->size);
    bytes_unref(message);
    timer_start(self->pace, pace_of(self, clock_now_us()));
}

static void handle_turn(void *data)
{
    struct recorder *self = data;
    if (self->has_news) {
        self->has_news = false;
        if (self->ops->state)
            self->ops->state(self->data, self->state, self->state == RECORDER_FULL ? &self->why : NULL);
    }
    if (self->state != RECORDER_ON || !self->hub || !self->segment)
        return;
    if (self->wants_begin && display_frame(self->display))
        begin_here(self, display_frame(self->display));
    while (!self->coder && self->state == RECORDER_ON && !list_empty(&self->keeps))
        if (!begin_keep(self))
            break;
    check_barriers(self);
    if (self->coder || self->state != RECORDER_ON || timer_is_active(self->pace) ||
        segment_size(self->segment) - segment_written(self->segment) > BACKLOG_MAX)
        return;
    pull(self);
}

static void on_wake(void *data)
{
    struct recorder *self = data;
    defer_request(self->turn);
}

static void handle_frame(void *data, const struct frame_update *update)
{
    struct recorder *self = data;
    if (self->state != RECORDER_ON || !self->segment)
        return;
    rotate(self);
    if (!self->segment)
        return;
    note_passed(self, update->frame);
    int64_t since = segment_size(self->segment) - self->begin_at - self->begin_bytes;
    if (update->is_new_epoch ||
        (list_empty(&self->keeps) &&
         since >= MAX(RECORDER_SNAPSHOT_BYTES, SNAPSHOT_RATIO * self->begin_bytes)))
        self->wants_begin = true;
    if (self->wants_begin)
        defer_request(self->turn);
}

/* A screen that comes back unchanged publishes no frame. */
static void handle_screen(void *data, enum display_screen screen)
{
    struct recorder *self = data;
    if (screen == DISPLAY_ON)
        defer_request(self->turn);
}

static void on_ended(void *data)
{
    struct recorder *self = data;
    self->hub = NULL;
    drop_keeps(self);
    check_barriers(self);
}

/* --- Records of the owner --------------------------------------------------------------------- */

void recorder_write(struct recorder *self, enum record_type type, unsigned flags,
                    const void *payload, size_t size)
{
    if (self && self->state == RECORDER_ON)
        write_entry(self, clock_now_us(),
                    &(struct record){ (uint8_t)type, (uint8_t)flags, 0, (uint32_t)size, payload });
}

/* --- Life ------------------------------------------------------------------------------------- */

static void handle_retry(void *data)
{
    struct recorder *self = data;
    struct error err = { 0 };
    if (self->state != RECORDER_FULL)
        return;
    int64_t n_free = fs_free_bytes(self->dir);
    if ((n_free >= 0 && n_free < RECORDER_FREE_MIN) || open_segment(self, &err) < 0) {
        timer_start(self->retry, RECORDER_RETRY_US);
        return;
    }
    self->trouble[0] = 0;
    tell(self, RECORDER_ON);
}

static int start(struct recorder *self)
{
    static const struct viewer_ops viewer_ops = { .wake = on_wake, .ended = on_ended };
    static const struct display_observer_ops observer_ops = { .frame = handle_frame,
                                                              .screen = handle_screen };
    struct error err = { 0 };
    uint8_t hello[8] = { 0 };
    record_put_u16(record_put_u16(hello, RECORD_VERSION), RECORDER_KEPT);
    self->viewer = viewer_new(self->hub, &viewer_ops, self);
    if (!self->viewer)
        return -ENOMEM;
    self->viewer->is_patient = true;
    display_observe(self->display, &self->observer, &observer_ops, self);
    if (open_segment(self, &err) < 0)
        fail(self, &err);
    say(self, RECORD_HELLO, RECORD_HELLO_VIDEO, hello, sizeof hello);
    return 0;
}

static struct recorder *destroy(struct recorder *self)
{
    if (!self)
        return NULL;
    drop_keeps(self);
    display_unobserve(&self->observer);
    viewer_free(self->viewer);
    defer_free(self->turn);
    timer_free(self->pace);
    timer_free(self->retry);
    free(self->dir);
    free(self->meta);
    free(self);
    return NULL;
}

struct recorder *recorder_new(const struct recorder_config *config)
{
    struct recorder *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->loop = config->loop;
    self->pool = config->pool;
    self->display = config->display;
    self->hub = config->hub;
    self->ops = config->ops;
    self->data = config->data;
    self->number = config->first - 1;
    list_init(&self->keeps);
    list_init(&self->barriers);
    self->dir = strdup(config->dir);
    self->meta = strdup(config->meta);
    self->turn = defer_new(config->loop, handle_turn, self);
    self->pace = timer_new(config->loop, handle_turn, self);
    self->retry = timer_new(config->loop, handle_retry, self);
    if (!self->dir || !self->meta || !self->turn || !self->pace || !self->retry || start(self) < 0)
        return destroy(self);
    return self;
}

void recorder_end(struct recorder *self, const char *event)
{
    if (!self || self->state == RECORDER_ENDED)
        return;
    if (self->segment && self->n_passed > 0)
        write_passed(self, clock_now_us(), INT64_MAX);
    if (event)
        recorder_write(self, RECORD_EVENT, 0, event, strlen(event));
    struct error err = { 0 };
    bool was_on = self->state == RECORDER_ON;
    drop_keeps(self);
    int r = segment_close(steal_ptr(&self->segment), &err);
    if (r < 0)
        log_warn("%s: %s", self->dir, err.message);
    /* All that was appended is written; frames that were named and not coded yet are not. */
    struct barrier *barrier, *next;
    list_for_each_safe(barrier, next, &self->barriers, link)
        pass(barrier, was_on && r == 0 && !barrier->waits_keeps);
    self->state = RECORDER_ENDED;
    timer_stop(self->retry);
    timer_stop(self->pace);
    display_unobserve(&self->observer);
    self->viewer = viewer_free(self->viewer);
    self->hub = NULL;
}

struct recorder *recorder_free(struct recorder *self)
{
    if (self)
        recorder_end(self, NULL);
    return destroy(self);
}

enum recorder_state recorder_state(const struct recorder *self)
{
    return self->state;
}

const char *recorder_trouble(const struct recorder *self)
{
    return self->trouble;
}

int recorder_segment(const struct recorder *self, int64_t *ret_size)
{
    *ret_size = self->segment ? segment_size(self->segment) : 0;
    return self->number;
}

const struct recorder_stats *recorder_stats(const struct recorder *self)
{
    return &self->stats;
}
