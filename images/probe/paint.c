/*
 * paint.c: the pattern and everything painted over it.
 *
 * The window has no memory of what it shows: whatever is painted stays until something else is
 * painted there. Four sources of pixels exist, and a test uses them to know exactly which pixel
 * changed when:
 *
 *   pattern   a function of the position alone, so that any screenshot, crop or scaled copy can be
 *             checked against a formula;
 *   fill      one rectangle, once, now or later, with a report right after the server did it;
 *   caret     one rectangle that alternates between black and the pattern;
 *   animation one rectangle with a new content per frame, never seen before.
 *
 * XSync() before each report: with the modesetting driver's shadow framebuffer the server answers
 * after it has handed the damage to the kernel.
 *
 * Limits: one caret, one animation, one scrolled region, PAINT_PENDING_MAX paints waiting.
 */
#include "paint.h"

#include "report.h"

#include <X11/Xutil.h>
#include <stdlib.h>
#include <string.h>

static struct paint pending[PAINT_PENDING_MAX];
static int n_pending;

static struct {
    struct rect rect;
    int64_t half_us, due_us;
    bool running, black;
} caret;

static struct {
    struct rect rect;
    int64_t frame_us, due_us;
    uint32_t frame;
    bool running;
} animation;

static struct {
    struct rect rect;
    int offset; /* rows by which the content has moved up in all */
} scrolled;

static struct {
    XFontStruct *font;
    bool on;
} status;

/* README.md documents this for tests. */
static uint32_t pattern_color(int x, int y)
{
    uint32_t red = x & 255, green = y & 255, blue = ((x >> 8 & 15) << 4) | (y >> 8 & 15);
    return red << 16 | green << 8 | blue;
}

static struct rect clip(struct rect rect)
{
    int right = rect.x + rect.w, bottom = rect.y + rect.h;
    rect.x = rect.x < 0 ? 0 : rect.x;
    rect.y = rect.y < 0 ? 0 : rect.y;
    rect.w = (right > probe.width ? probe.width : right) - rect.x;
    rect.h = (bottom > probe.height ? probe.height : bottom) - rect.y;
    return rect;
}

/* Paints rows as if the pattern had been moved up by `offset`. */
static void paint_pattern(struct rect rect, int offset)
{
    rect = clip(rect);
    if (rect.w <= 0 || rect.h <= 0)
        return;
    uint32_t *pixels = malloc((size_t)rect.w * rect.h * sizeof *pixels);
    if (!pixels)
        return;
    for (int row = 0; row < rect.h; row++)
        for (int column = 0; column < rect.w; column++)
            pixels[(size_t)row * rect.w + column] =
                pattern_color(rect.x + column, rect.y + row + offset);
    XImage *image = XCreateImage(probe.display, DefaultVisual(probe.display, 0), 24, ZPixmap, 0,
                                 (char *)pixels, rect.w, rect.h, 32, 0);
    if (image) {
        XPutImage(probe.display, probe.window, probe.gc, image, 0, 0, rect.x, rect.y, rect.w,
                  rect.h);
        XDestroyImage(image); /* frees the pixels too */
    } else {
        free(pixels);
    }
}

static void fill(struct rect rect, unsigned long color)
{
    XSetForeground(probe.display, probe.gc, color);
    XFillRectangle(probe.display, probe.window, probe.gc, rect.x, rect.y, rect.w, rect.h);
}

void paint_init(void)
{
    status.font = XLoadQueryFont(probe.display, "fixed");
    if (status.font)
        XSetFont(probe.display, probe.gc, status.font->fid);
}

void paint_clear(void)
{
    for (int i = 0; i < n_pending; i++)
        json_decref(pending[i].id);
    n_pending = 0;
    caret.running = animation.running = false;
    scrolled.rect = (struct rect){ 0, 0, 0, 0 };
    paint_pattern((struct rect){ 0, 0, probe.width, probe.height }, 0);
    paint_status_text("");
}

static void paint_now(const struct paint *paint)
{
    fill(paint->rect, paint->color);
    XSync(probe.display, False);
    json_t *event = json_pack("{s:s, s:I}", "ev", "painted", "t_us", (json_int_t)report_now_us());
    if (paint->id)
        json_object_set(event, "id", paint->id);
    if (paint->step >= 0) {
        json_object_set_new(event, "step", json_integer(paint->step));
        json_object_set_new(event, "last", json_boolean(paint->last));
    }
    report(event);
}

bool paint_later(const struct paint *paint)
{
    if (n_pending == PAINT_PENDING_MAX)
        return false;
    /* Kept in order of time; equal times keep the order in which they were asked for. */
    int at = n_pending++;
    for (; at > 0 && pending[at - 1].due_us > paint->due_us; at--)
        pending[at] = pending[at - 1];
    pending[at] = *paint;
    json_incref(pending[at].id);
    return true;
}

static void blink(void)
{
    if (caret.black)
        fill(caret.rect, 0);
    else
        paint_pattern(caret.rect, 0);
}

void paint_caret(struct rect rect, int period_ms, bool on)
{
    if (caret.running) {
        caret.black = false;
        blink();
    }
    caret.running = on;
    if (!on)
        return;
    caret.rect = rect;
    caret.half_us = (int64_t)period_ms * 500;
    caret.due_us = report_now_us() + caret.half_us;
    caret.black = true;
    blink();
}

static uint32_t scramble(uint32_t value)
{
    value = (value ^ value >> 16) * 0x7feb352du;
    value = (value ^ value >> 15) * 0x846ca68bu;
    return value ^ value >> 16;
}

/* Bands of 16 columns. The first band's colour counts frames, which makes every frame new for
 * 2^24 frames; the others look like the noise of a video. */
static void draw_frame(void)
{
    uint32_t frame = ++animation.frame;
    struct rect band = animation.rect;
    int right = band.x + band.w;
    for (uint32_t i = 0; band.x < right; i++, band.x += 16) {
        band.w = right - band.x < 16 ? right - band.x : 16;
        fill(band, (i ? scramble(frame * 4099u + i) : frame) & 0xffffff);
    }
    XFlush(probe.display);
}

void paint_animate(struct rect rect, int fps, bool on)
{
    animation.running = on;
    if (!on)
        return;
    animation.rect = rect;
    animation.frame_us = 1000000 / fps;
    animation.due_us = report_now_us();
}

void paint_scroll(struct rect rect, int dy)
{
    if (memcmp(&rect, &scrolled.rect, sizeof rect)) {
        scrolled.rect = rect;
        scrolled.offset = 0;
    }
    scrolled.offset += dy;
    int kept = rect.h - abs(dy);
    struct rect fresh = rect;
    if (kept > 0) {
        int from = dy > 0 ? rect.y + dy : rect.y, to = dy > 0 ? rect.y : rect.y - dy;
        XCopyArea(probe.display, probe.window, probe.window, probe.gc, rect.x, from, rect.w, kept,
                  rect.x, to);
        fresh.h = abs(dy);
        fresh.y = dy > 0 ? rect.y + kept : rect.y;
    }
    paint_pattern(fresh, scrolled.offset);
}

void paint_status(bool on)
{
    status.on = on;
    struct rect strip = { 0, probe.height - PAINT_STATUS_HEIGHT, probe.width,
                          PAINT_STATUS_HEIGHT };
    if (on)
        paint_status_text("status on");
    else
        paint_pattern(strip, 0);
}

void paint_status_text(const char *text)
{
    if (!status.on)
        return;
    int top = probe.height - PAINT_STATUS_HEIGHT;
    fill((struct rect){ 0, top, probe.width, PAINT_STATUS_HEIGHT }, 0);
    XSetForeground(probe.display, probe.gc, 0xffffff);
    XDrawString(probe.display, probe.window, probe.gc, 6, top + 17, text, (int)strlen(text));
    XFlush(probe.display);
}

int64_t paint_due_us(void)
{
    int64_t due = n_pending ? pending[0].due_us : INT64_MAX;
    if (caret.running && caret.due_us < due)
        due = caret.due_us;
    if (animation.running && animation.due_us < due)
        due = animation.due_us;
    return due;
}

/* The next tick of a steady beat; beats that were missed are skipped, not made up for. */
static int64_t next_beat(int64_t due_us, int64_t period_us, int64_t now_us)
{
    return due_us + ((now_us - due_us) / period_us + 1) * period_us;
}

void paint_run(int64_t now_us)
{
    while (n_pending && pending[0].due_us <= now_us) {
        struct paint paint = pending[0];
        memmove(pending, pending + 1, (size_t)--n_pending * sizeof *pending);
        paint_now(&paint);
        json_decref(paint.id);
    }
    if (caret.running && caret.due_us <= now_us) {
        caret.due_us = next_beat(caret.due_us, caret.half_us, now_us);
        caret.black = !caret.black;
        blink();
    }
    if (animation.running && animation.due_us <= now_us) {
        animation.due_us = next_beat(animation.due_us, animation.frame_us, now_us);
        draw_frame();
    }
}
