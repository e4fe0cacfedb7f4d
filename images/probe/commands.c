/*
 * commands.c: what the host asks for.
 *
 * One table holds every command. A handler unpacks its own parameters strictly: a missing, unknown
 * or mistyped one is an error with a message, and nothing has happened then. Each line is answered
 * exactly once, by "ok" (to which a handler may add fields) or by "error".
 */
#include "commands.h"

#include "paint.h"
#include "report.h"

#include <X11/cursorfont.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX 65536
#define DELAY_MS_MAX 600000
/* Every command may carry these two; strict unpacking has to name them. */
#define COMMON "s:s, s?o"
#define COMMON_ARGS "cmd", &name, "id", &id

static struct {
    json_t *steps; /* NULL when nothing waits */
    json_t *id;
    bool on_key, on_button;
} armed;

static json_error_t unpack_error;
static const char *name;
static json_t *id; /* of the command that is running; borrowed from it */

static bool parse_color(const char *text, unsigned long *ret_color)
{
    char extra;
    unsigned value;
    if (strlen(text) != 7 || sscanf(text, "#%6x%c", &value, &extra) != 1)
        return false;
    *ret_color = value;
    return true;
}

/* Fills the paint from one object with x, y, w, h, color and delay_ms. Returns an error text. */
static const char *parse_paint(json_t *from, bool is_command, struct paint *ret)
{
    const char *color;
    int delay_ms = 0;
    struct rect *r = &ret->rect;
    int status = is_command
        ? json_unpack_ex(from, &unpack_error, JSON_STRICT,
                         "{" COMMON ", s:i, s:i, s:i, s:i, s:s, s?i}", COMMON_ARGS, "x", &r->x, "y",
                         &r->y, "w", &r->w, "h", &r->h, "color", &color, "delay_ms", &delay_ms)
        : json_unpack_ex(from, &unpack_error, JSON_STRICT, "{s:i, s:i, s:i, s:i, s:s, s?i}", "x",
                         &r->x, "y", &r->y, "w", &r->w, "h", &r->h, "color", &color, "delay_ms",
                         &delay_ms);
    if (status < 0)
        return unpack_error.text;
    if (!parse_color(color, &ret->color))
        return "color is not #rrggbb";
    if (r->w < 1 || r->h < 1 || r->w > 32767 || r->h > 32767)
        return "w and h must be 1 to 32767";
    if (delay_ms < 0 || delay_ms > DELAY_MS_MAX)
        return "delay_ms must be 0 to 600000";
    ret->due_us = (int64_t)delay_ms * 1000;
    return NULL;
}

static const char *run_hello(json_t *command, json_t *reply)
{
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON "}", COMMON_ARGS) < 0)
        return unpack_error.text;
    json_object_set_new(reply, "version", json_integer(1));
    json_object_set_new(reply, "w", json_integer(probe.width));
    json_object_set_new(reply, "h", json_integer(probe.height));
    return NULL;
}

static const char *run_clear(json_t *command, json_t *reply)
{
    (void)reply;
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON "}", COMMON_ARGS) < 0)
        return unpack_error.text;
    commands_disarm();
    paint_clear();
    XSync(probe.display, False);
    return NULL;
}

static const char *run_fill(json_t *command, json_t *reply)
{
    (void)reply;
    struct paint paint = { .step = -1 };
    const char *error = parse_paint(command, true, &paint);
    if (error)
        return error;
    paint.id = id;
    paint.due_us += report_now_us();
    return paint_later(&paint) ? NULL : "too many paints are pending";
}

static const char *run_on_input(json_t *command, json_t *reply)
{
    (void)reply;
    const char *on = "any";
    json_t *steps;
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON ", s:o, s?s}", COMMON_ARGS,
                       "steps", &steps, "on", &on) < 0)
        return unpack_error.text;
    bool any = !strcmp(on, "any"), key = !strcmp(on, "key"), button = !strcmp(on, "button");
    if (!any && !key && !button)
        return "on must be \"button\", \"key\" or \"any\"";
    size_t n = json_array_size(steps);
    if (n < 1 || n > PAINT_PENDING_MAX)
        return "steps must be an array of 1 to 256 steps";
    for (size_t i = 0; i < n; i++) {
        struct paint unused = { 0 };
        const char *error = parse_paint(json_array_get(steps, i), false, &unused);
        if (error)
            return error;
    }
    commands_disarm();
    armed.steps = json_incref(steps);
    armed.id = id ? json_incref(id) : NULL;
    armed.on_key = any || key;
    armed.on_button = any || button;
    return NULL;
}

void commands_disarm(void)
{
    json_decref(armed.steps);
    json_decref(armed.id);
    armed.steps = armed.id = NULL;
}

void commands_on_input(enum input_kind kind)
{
    if (!armed.steps || !((kind == INPUT_KEY_PRESS && armed.on_key) ||
                          (kind == INPUT_BUTTON_PRESS && armed.on_button)))
        return;
    int64_t now_us = report_now_us();
    int n = (int)json_array_size(armed.steps);
    for (int i = 0; i < n; i++) {
        struct paint paint = { .id = armed.id, .step = i, .last = i == n - 1 };
        parse_paint(json_array_get(armed.steps, (size_t)i), false, &paint);
        paint.due_us += now_us;
        if (!paint_later(&paint))
            report(json_pack("{s:s, s:s}", "ev", "error", "message", "too many paints are pending"));
    }
    commands_disarm();
}

/* Both moving regions: a rectangle, a rate and a switch. Stopping one needs no rectangle. */
static const char *parse_region(json_t *command, const char *rate_name, int rate_max,
                                struct rect *ret_rect, int *ret_rate, int *ret_on)
{
    *ret_rect = (struct rect){ 0, 0, 0, 0 };
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT,
                       "{" COMMON ", s:b, s?i, s?i, s?i, s?i, s?i}", COMMON_ARGS, "on", ret_on, "x",
                       &ret_rect->x, "y", &ret_rect->y, "w", &ret_rect->w, "h", &ret_rect->h,
                       rate_name, ret_rate) < 0)
        return unpack_error.text;
    if (!*ret_on)
        return NULL;
    if (ret_rect->w < 1 || ret_rect->h < 1 || ret_rect->w > 32767 || ret_rect->h > 32767)
        return "w and h must be 1 to 32767";
    return *ret_rate < 1 || *ret_rate > rate_max ? "the rate is out of range" : NULL;
}

static const char *run_caret(json_t *command, json_t *reply)
{
    (void)reply;
    struct rect rect;
    int period_ms = 1000, on = 0;
    const char *error = parse_region(command, "period_ms", 60000, &rect, &period_ms, &on);
    if (!error)
        paint_caret(rect, period_ms, on);
    return error;
}

static const char *run_animate(json_t *command, json_t *reply)
{
    (void)reply;
    struct rect rect;
    int fps = 10, on = 0;
    const char *error = parse_region(command, "fps", 120, &rect, &fps, &on);
    if (!error)
        paint_animate(rect, fps, on);
    return error;
}

static const char *run_scroll(json_t *command, json_t *reply)
{
    (void)reply;
    struct rect r;
    int dy;
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON ", s:i, s:i, s:i, s:i, s:i}",
                       COMMON_ARGS, "x", &r.x, "y", &r.y, "w", &r.w, "h", &r.h, "dy", &dy) < 0)
        return unpack_error.text;
    if (r.x < 0 || r.y < 0 || r.w < 1 || r.h < 1 || r.w > probe.width - r.x ||
        r.h > probe.height - r.y)
        return "the region must lie within the screen";
    if (dy < -32767 || dy > 32767)
        return "dy must be -32767 to 32767";
    paint_scroll(r, dy);
    XSync(probe.display, False);
    return NULL;
}

static const char *run_layout(json_t *command, json_t *reply)
{
    (void)reply;
    const char *layout, *variant = "";
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON ", s:s, s?s}", COMMON_ARGS,
                       "name", &layout, "variant", &variant) < 0)
        return unpack_error.text;
    return input_set_layout(layout, variant) ? NULL : "no such layout or variant";
}

static const char *parse_switch(json_t *command, int *ret_on)
{
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON ", s:b}", COMMON_ARGS, "on",
                       ret_on) < 0)
        return unpack_error.text;
    return NULL;
}

static const char *run_status(json_t *command, json_t *reply)
{
    (void)reply;
    int on = 0;
    const char *error = parse_switch(command, &on);
    if (!error)
        paint_status(on);
    return error;
}

static const char *run_motion(json_t *command, json_t *reply)
{
    (void)reply;
    int on = 0;
    const char *error = parse_switch(command, &on);
    if (!error)
        input_report_motion(on);
    return error;
}

static Cursor make_cursor(const char *shape)
{
    if (!strcmp(shape, "arrow"))
        return XCreateFontCursor(probe.display, XC_left_ptr);
    if (!strcmp(shape, "text"))
        return XCreateFontCursor(probe.display, XC_xterm);
    if (strcmp(shape, "none"))
        return None;
    char empty = 0;
    XColor black = { 0 };
    Pixmap bitmap = XCreateBitmapFromData(probe.display, probe.window, &empty, 1, 1);
    Cursor cursor = XCreatePixmapCursor(probe.display, bitmap, bitmap, &black, &black, 0, 0);
    XFreePixmap(probe.display, bitmap);
    return cursor;
}

static const char *run_cursor(json_t *command, json_t *reply)
{
    (void)reply;
    const char *shape;
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON ", s:s}", COMMON_ARGS,
                       "shape", &shape) < 0)
        return unpack_error.text;
    Cursor cursor = make_cursor(shape);
    if (cursor == None)
        return "shape must be \"arrow\", \"text\" or \"none\"";
    XDefineCursor(probe.display, probe.window, cursor);
    XFreeCursor(probe.display, cursor);
    XSync(probe.display, False);
    return NULL;
}

static const char *run_keys_down(json_t *command, json_t *reply)
{
    if (json_unpack_ex(command, &unpack_error, JSON_STRICT, "{" COMMON "}", COMMON_ARGS) < 0)
        return unpack_error.text;
    input_add_held(reply);
    return NULL;
}

static const struct {
    const char *name;
    const char *(*run)(json_t *command, json_t *reply); /* returns an error text or NULL */
} table[] = {
    { "hello", run_hello },     { "clear", run_clear },     { "fill", run_fill },
    { "on_input", run_on_input }, { "caret", run_caret },   { "animate", run_animate },
    { "scroll", run_scroll },   { "layout", run_layout },   { "status", run_status },
    { "motion", run_motion },   { "cursor", run_cursor },   { "keys_down", run_keys_down },
};

static void run_line(const char *line, size_t size)
{
    json_t *command = json_loadb(line, size, 0, &unpack_error);
    json_t *reply = json_pack("{s:s}", "ev", "ok");
    const char *error = command ? "unknown cmd" : unpack_error.text;
    name = json_string_value(json_object_get(command, "cmd"));
    id = json_object_get(command, "id");
    if (id)
        json_object_set(reply, "id", id);
    for (size_t i = 0; name && i < sizeof table / sizeof *table; i++)
        if (!strcmp(name, table[i].name)) {
            error = table[i].run(command, reply);
            break;
        }
    if (error) {
        json_object_set_new(reply, "ev", json_string("error"));
        json_object_set_new(reply, "message", json_string(error));
    }
    report(reply);
    json_decref(command);
    XFlush(probe.display);
}

void commands_read(int fd)
{
    static char buffer[LINE_BYTES_MAX];
    static size_t used;
    ssize_t n = read(fd, buffer + used, sizeof buffer - used);
    if (n <= 0)
        return;
    used += (size_t)n;
    char *line = buffer, *end;
    while ((end = memchr(line, '\n', (size_t)(buffer + used - line)))) {
        /* Blank lines are ignored, so that a host can end whatever a boot left behind. */
        if (end > line && !(end == line + 1 && *line == '\r'))
            run_line(line, (size_t)(end - line));
        line = end + 1;
    }
    used = (size_t)(buffer + used - line);
    memmove(buffer, line, used);
    if (used == sizeof buffer) {
        used = 0;
        report(json_pack("{s:s, s:s}", "ev", "error", "message", "the line is longer than 65535"));
    }
}
