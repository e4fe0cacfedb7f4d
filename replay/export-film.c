/* Frames are painted one after the other, as in a replay; each recorded frame is one of the film's. With the overlay
 * there are more: what was clicked or typed on a still screen is shown, and goes again. */
#include "display/encode.h"
#include "replay/caption.h"
#include "replay/export-impl.h"
#include "replay/movie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_US 700000
#define MOMENT_MIN_US 20000 /* between two samples of the same frame */
#define WORDS_US 1200000
#define RING_COLOUR 0xffff3b6bu /* an agent */
#define HAND_COLOUR 0xff16a34au /* a person */

/* A circle that grows with its age. */
static void ring(uint32_t *pixels, int width, int height, int cx, int cy, int64_t age_us, uint32_t colour)
{
    int radius = 8 + (int)(age_us * 16 / RING_US);
    for (int y = cy - radius - 2; y <= cy + radius + 2; y++)
        for (int x = cx - radius - 2; x <= cx + radius + 2; x++) {
            int d = (x - cx) * (x - cx) + (y - cy) * (y - cy);
            bool is_on = d >= (radius - 1) * (radius - 1) && d <= (radius + 2) * (radius + 2);
            if (is_on && x >= 0 && y >= 0 && x < width && y < height)
                pixels[(size_t)y * (size_t)width + (size_t)x] = colour;
        }
}

static bool is_between(int64_t now_us, int64_t from_us, int64_t until_us)
{
    return now_us >= from_us && now_us <= until_us;
}

/* Where an agent acted a moment ago; what it typed goes into words. */
static void draw_notes(const struct export *self, uint32_t *pixels, int width, int height, int64_t now_us,
                       struct buf *words)
{
    json_t *note;
    size_t i;
    json_array_foreach(self->notes, i, note) {
        int64_t at_us = json_get_int(note, "at_us", 0);
        const json_t *native = json_object_get(note, "native");
        const json_t *last = json_array_get(json_object_get(note, "injected_us"), 1);
        int64_t end_us = json_is_integer(last) ? json_integer_value(last) : at_us;
        if (at_us > now_us)
            break;
        if (is_between(now_us, at_us, end_us + WORDS_US))
            export_words(note, words);
        if (!is_between(now_us, at_us, at_us + RING_US) || !json_is_array(native) ||
            strcmp(json_get_string(note, "type", ""), "move") == 0)
            continue;
        ring(pixels, width, height, (int)json_integer_value(json_array_get(native, 0)),
             (int)json_integer_value(json_array_get(native, 1)), now_us - at_us, RING_COLOUR);
    }
}

/* The same of a person. */
static void draw_hand(const struct export *self, uint32_t *pixels, int width, int height, int64_t now_us,
                      struct buf *words)
{
    for (size_t i = 0; i < self->hand.n && self->hand.events[i].at_us <= now_us; i++) {
        const struct hand_event *event = &self->hand.events[i];
        if (event->kind == HAND_BUTTON && event->is_down && now_us <= event->at_us + RING_US)
            ring(pixels, width, height, event->x, event->y, now_us - event->at_us, HAND_COLOUR);
        else if (event->kind == HAND_KEY && event->is_down && now_us <= event->at_us + WORDS_US)
            buf_printf(words, "%s ", hand_key_name(event->code) ?: "?");
    }
}

static void draw_overlay(const struct export *self, const struct canvas *canvas, uint32_t *pixels, int64_t now_us)
{
    struct canvas_state state = canvas_state(canvas);
    auto_buf struct buf words = BUF_INIT;
    canvas_draw_cursor(canvas, pixels);
    draw_notes(self, pixels, state.width, state.height, now_us, &words);
    draw_hand(self, pixels, state.width, state.height, now_us, &words);
    caption_draw(pixels, state.width, state.height, buf_str(&words));
}

static int add_frame(struct export *self, struct movie *movie, const struct canvas *canvas, bool has_overlay,
                     int64_t time_us, struct error *err)
{
    struct canvas_state state = canvas_state(canvas);
    size_t size = (size_t)state.width * (size_t)state.height * 4;
    auto_free uint32_t *copy = has_overlay ? malloc(size) : NULL;
    if (has_overlay && !copy)
        return error_errno(err, ENOMEM, "drawing a frame");
    if (has_overlay) {
        memcpy(copy, state.pixels, size);
        draw_overlay(self, canvas, copy, time_us);
    }
    return movie_add(movie, copy ? copy : state.pixels, state.width, state.height, time_us - self->first_us, err);
}

/* Times at which the overlay of a still screen changes, ascending: a sample is made for each. */
struct moments {
    int64_t *at_us;
    size_t n, next;
};

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void add_moments(struct moments *self, int64_t from_us, int64_t until_us)
{
    int64_t end_us = MAX(until_us + WORDS_US, from_us + RING_US) + 1;
    for (int64_t us = from_us; us <= from_us + RING_US; us += RING_US / 4)
        self->at_us[self->n++] = us;
    self->at_us[self->n++] = from_us + RING_US + 1;
    self->at_us[self->n++] = end_us;
}

static int find_moments(const struct export *self, struct moments *ret)
{
    json_t *note;
    size_t i;
    *ret = (struct moments){ .at_us = malloc((json_array_size(self->notes) + self->hand.n + 1) * 8 * sizeof(int64_t)) };
    if (!ret->at_us)
        return -ENOMEM;
    json_array_foreach(self->notes, i, note) {
        int64_t at_us = json_get_int(note, "at_us", 0);
        const json_t *last = json_array_get(json_object_get(note, "injected_us"), 1);
        add_moments(ret, at_us, json_is_integer(last) ? json_integer_value(last) : at_us);
    }
    for (i = 0; i < self->hand.n; i++)
        if (self->hand.events[i].is_down)
            add_moments(ret, self->hand.events[i].at_us, self->hand.events[i].at_us);
    qsort(ret->at_us, ret->n, sizeof *ret->at_us, compare_times);
    return 0;
}

/* Samples of the frame that is shown, before until_us. */
static int add_still(struct export *self, struct movie *movie, const struct canvas *canvas, struct moments *moments,
                     int64_t until_us, struct error *err)
{
    int64_t last_us = 0;
    int r = 0;
    for (; r == 0 && moments->next < moments->n && moments->at_us[moments->next] < until_us - MOMENT_MIN_US;
         moments->next++) {
        int64_t us = moments->at_us[moments->next];
        if (us < canvas_state(canvas).captured_us + MOMENT_MIN_US || us < last_us + MOMENT_MIN_US)
            continue;
        r = add_frame(self, movie, canvas, true, us, err);
        last_us = us;
    }
    return r;
}

static int add_frames(struct export *self, struct movie *movie, struct canvas *canvas, bool has_overlay, int share,
                      struct error *err)
{
    const struct reading *reading = &self->reading;
    struct place before = { 0, 0 };
    bool has_before = false;
    size_t n = 0;
    struct moments moments = { 0 };
    int r = has_overlay ? find_moments(self, &moments) : 0, start = self->progress->permille;
    if (r < 0)
        return error_errno(err, ENOMEM, "making a film");
    for (struct place at = reading_first(reading); r == 0 && reading_entry(reading, at); reading_next(reading, &at)) {
        const struct index_entry *entry = reading_entry(reading, at);
        if (entry->type != RECORD_FRAME)
            continue;
        if (self->progress->is_cancelled)
            r = error_set(err, ERROR_CANCELLED, "the export was cancelled");
        if (r == 0 && has_before)
            r = add_still(self, movie, canvas, &moments, entry->time_us, err);
        if (r == 0)
            r = reading_paint(reading, canvas, has_before ? &before : NULL, at, err);
        if (r == 0)
            r = add_frame(self, movie, canvas, has_overlay, entry->time_us, err);
        before = at;
        has_before = true;
        n++;
        self->progress->permille = start + (int)(n * (size_t)share / self->n_frames);
    }
    if (r == 0 && has_before)
        r = add_still(self, movie, canvas, &moments, self->end_us, err);
    free(moments.at_us);
    return r;
}

int export_film(struct export *self, const char *path, bool has_overlay, int share, struct error *err)
{
    struct canvas *canvas = canvas_new();
    if (!canvas)
        return error_errno(err, ENOMEM, "making a film");
    struct movie *movie = movie_new(path, self->width, self->height, err);
    int r = movie ? add_frames(self, movie, canvas, has_overlay, share, err) : -EIO;
    if (r == 0)
        r = movie_end(movie, self->end_us - self->first_us, err);
    else
        movie_cancel(movie);
    canvas_free(canvas);
    return r;
}

struct bytes *export_picture(struct export *self, int64_t frame)
{
    struct place place;
    int64_t next;
    struct canvas *canvas = canvas_new();
    struct bytes *bytes = NULL;
    if (canvas && reading_find_frame(&self->reading, frame, &place, &next) != READING_UNKNOWN &&
        reading_paint(&self->reading, canvas, NULL, place, NULL) == 0) {
        struct canvas_state state = canvas_state(canvas);
        struct encode_rows rows = encode_rows_of(state.pixels, state.width, state.height);
        bytes = encode_png(&rows);
    }
    canvas_free(canvas);
    return bytes;
}
