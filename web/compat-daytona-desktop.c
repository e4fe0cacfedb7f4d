/* Daytona's computer use on our actions and screenshots. An input answers when the guest has been
 * given it: their callers take their next screenshot themselves. Calls that come at the same time wait
 * for each other. */
#include "web/compat-daytona.h"

#include "web/route.h"
#include "web/server.h"
#include "web/task.h"

#include <ctype.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#define QUEUE_MS 30000
#define UP_MS 240000

/* --- Input ------------------------------------------------------------------------------------ */

/* Does one action (stolen). */
static void act(struct request *request, json_t *action, task_show_fn show)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_find(request, &err);
    auto_json json_t *batch = json_pack("{s:[o],s:b,s:b,s:i}", "actions", action, "settle", 0,
                                        "screenshot", 0, "queue_ms", QUEUE_MS);
    if (!sandbox || task_start(request, sandbox, sandbox_act, batch, show, 0, &err) < 0)
        request_answer_error(request, &err);
}

static bool has_failed(struct request *request, const struct answer *answer)
{
    if (answer->err.is_set)
        request_answer_error(request, &answer->err);
    return answer->err.is_set;
}

static void show_empty(struct request *request, struct answer *answer, int variant maybe_unused)
{
    if (!has_failed(request, answer))
        request_answer_json(request, 200, json_object());
}

static void show_success(struct request *request, struct answer *answer, int variant maybe_unused)
{
    if (!has_failed(request, answer))
        request_answer_json(request, 200, json_pack("{s:b}", "success", 1));
}

/* {"x","y"} of the pointer, from an answer's "cursor". */
static json_t *point_json(const json_t *cursor)
{
    return json_pack("{s:I,s:I}", "x", (json_int_t)json_get_int(cursor, "x", 0), "y",
                     (json_int_t)json_get_int(cursor, "y", 0));
}

static void show_point(struct request *request, struct answer *answer, int variant maybe_unused)
{
    if (has_failed(request, answer))
        return;
    request_answer_json(request, 200, point_json(json_object_get(answer->body, "cursor")));
}

/* Copies a field that was given. */
static void copy(json_t *to, const char *name, const json_t *from, const char *given)
{
    json_t *value = json_object_get(from, given);
    if (value && !json_is_null(value))
        json_object_set(to, name, value);
}

static json_t *action_at(const char *type, const json_t *body)
{
    json_t *action = json_pack("{s:s}", "type", type);
    copy(action, "x", body, "x");
    copy(action, "y", body, "y");
    copy(action, "button", body, "button");
    return action;
}

void handle_daytona_move(struct request *request)
{
    act(request, action_at("move", request->body), show_point);
}

void handle_daytona_click(struct request *request)
{
    json_t *action = action_at("click", request->body);
    if (json_get_bool(request->body, "double", false))
        json_object_set_new(action, "count", json_integer(2));
    act(request, action, show_point);
}

void handle_daytona_drag(struct request *request)
{
    const json_t *body = request->body;
    json_t *action = json_pack("{s:s,s:[[O,O],[O,O]]}", "type", "drag", "path",
                               json_object_get(body, "startX"), json_object_get(body, "startY"),
                               json_object_get(body, "endX"), json_object_get(body, "endY"));
    copy(action, "button", body, "button");
    act(request, action, show_point);
}

void handle_daytona_scroll(struct request *request)
{
    json_t *action = action_at("scroll", request->body);
    copy(action, "direction", request->body, "direction");
    json_object_set_new(action, "amount", json_integer(json_get_int(request->body, "amount", 1)));
    act(request, action, show_success);
}

void handle_daytona_type(struct request *request)
{
    json_t *action = json_pack("{s:s}", "type", "type");
    copy(action, "text", request->body, "text");
    copy(action, "delay_ms", request->body, "delay");
    act(request, action, show_empty);
}

static void press(struct request *request, const char *chord)
{
    act(request, json_pack("{s:s,s:s}", "type", "key", "keys", chord), show_empty);
}

void handle_daytona_key(struct request *request)
{
    auto_buf struct buf chord = BUF_INIT;
    size_t i;
    json_t *name;
    json_array_foreach (json_object_get(request->body, "modifiers"), i, name)
        buf_printf(&chord, "%s+", json_string_value(name));
    buf_puts(&chord, json_get_string(request->body, "key", ""));
    press(request, buf_str(&chord));
}

/* "ctrl + c" means ctrl+c; a space alone is the key. */
void handle_daytona_hotkey(struct request *request)
{
    auto_buf struct buf chord = BUF_INIT;
    const char *keys = json_get_string(request->body, "keys", "");
    for (const char *at = keys; *at; at++) {
        if (!isspace((unsigned char)*at) || !keys[1])
            buf_append(&chord, at, 1);
    }
    press(request, buf_str(&chord));
}

/* --- Pictures --------------------------------------------------------------------------------- */

/* The image goes as base64 straight into the text: it is by far the most of the answer. */
static void show_shot(struct request *request, struct answer *answer, int variant maybe_unused)
{
    if (has_failed(request, answer))
        return;
    auto_buf struct buf text = { .limit = (size_t)256 << 20 };
    auto_json json_t *rest =
        json_pack("{s:I}", "sizeBytes", (json_int_t)(answer->image ? answer->image->size : 0));
    const json_t *cursor = json_object_get(answer->body, "cursor");
    if (json_is_object(cursor))
        json_object_set_new(rest, "cursorPosition", point_json(cursor));
    json_write(rest, &text);
    text.size--; /* the closing brace comes back below */
    buf_puts(&text, ",\"screenshot\":\"");
    if (answer->image)
        buf_append_base64(&text, answer->image->data, answer->image->size);
    buf_puts(&text, "\"}\n");
    request_answer_text(request, 200, "application/json", &text);
}

static void read_header(const struct request *request, const char *name, char *out, size_t size)
{
    int n = (int)strlen(name);
    out[0] = 0;
    if (request->lws && lws_hdr_custom_length(request->lws, name, n) > 0 &&
        lws_hdr_custom_copy(request->lws, out, (int)size, name, n) < 0)
        out[0] = 0;
}

/* The TypeScript SDK up to 0.216 hands its own generated client height, width, y and x where that
 * takes x, y, width and height, so each arrives under another's name. Whoever sends that means it. */
static bool has_mixed_region(const struct request *request)
{
    char source[32], version[16];
    int minor;
    read_header(request, "x-daytona-source:", source, sizeof source);
    read_header(request, "x-daytona-sdk-version:", version, sizeof version);
    return strncmp(source, "sdk-typescript", 14) == 0 && sscanf(version, "0.%d.", &minor) == 1 &&
           minor <= 216;
}

/* Puts the four back. */
static json_t *sort_region(const json_t *query)
{
    json_t *out = json_copy((json_t *)(uintptr_t)query);
    copy(out, "height", query, "x");
    copy(out, "width", query, "y");
    copy(out, "y", query, "width");
    copy(out, "x", query, "height");
    return out;
}

static void shoot(struct request *request, const json_t *query, const char *format)
{
    static const char *const same[] = { "x", "y", "width", "height", "quality", "scale" };
    struct error err = { 0 };
    auto_json json_t *params =
        json_pack("{s:s,s:b}", "format", strcmp(format, "jpg") == 0 ? "jpeg" : format, "cursor",
                  json_get_bool(query, "showCursor", false));
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        copy(params, same[i], query, same[i]);
    struct sandbox *sandbox = daytona_find(request, &err);
    if (!sandbox ||
        task_start(request, sandbox, sandbox_screenshot, params, show_shot, 0, &err) < 0)
        request_answer_error(request, &err);
}

void handle_daytona_shot(struct request *request)
{
    shoot(request, request->query, "png");
}

void handle_daytona_shot_region(struct request *request)
{
    auto_json json_t *query =
        has_mixed_region(request) ? sort_region(request->query) : json_incref(request->query);
    shoot(request, query, "png");
}

void handle_daytona_shot_small(struct request *request)
{
    shoot(request, request->query, json_get_string(request->query, "format", "jpeg"));
}

void handle_daytona_shot_region_small(struct request *request)
{
    shoot(request, request->query, json_get_string(request->query, "format", "jpeg"));
}

/* --- What is there ---------------------------------------------------------------------------- */

void handle_daytona_pointer(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    auto_json json_t *display = sandbox_display_json(sandbox);
    const json_t *cursor = json_object_get(display, "cursor");
    if (json_is_object(cursor)) {
        request_answer_json(request, 200, point_json(cursor));
        return;
    }
    error_set(&err, ERROR_NOT_READY, "where the pointer is is not known yet; move it");
    request_answer_error(request, &err);
}

void handle_daytona_display(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    auto_json json_t *display = sandbox_display_json(sandbox);
    request_answer_json(request, 200,
                        json_pack("{s:[{s:i,s:i,s:i,s:O,s:O,s:b}]}", "displays", "id", 0, "x", 0,
                                  "y", 0, "width", json_object_get(display, "width"), "height",
                                  json_object_get(display, "height"), "isActive", 1));
}

/* What people call windows: panels and the desktop's icons are none. */
static void show_windows(struct request *request, struct answer *answer, int variant maybe_unused)
{
    size_t i;
    json_t *window, *windows;
    if (has_failed(request, answer))
        return;
    windows = json_array();
    json_array_foreach(json_object_get(answer->body, "items"), i, window) {
        const char *type = json_get_string(window, "type", "");
        if (strcmp(type, "desktop") == 0 || strcmp(type, "dock") == 0)
            continue;
        json_array_append_new(
            windows, json_pack("{s:I,s:s,s:I,s:I,s:I,s:I,s:b}", "id",
                               (json_int_t)strtoll(json_get_string(window, "id", "0"), NULL, 16), "title",
                               json_get_string(window, "title", ""), "x",
                               (json_int_t)json_get_int(window, "x", 0), "y",
                               (json_int_t)json_get_int(window, "y", 0), "width",
                               (json_int_t)json_get_int(window, "width", 0), "height",
                               (json_int_t)json_get_int(window, "height", 0), "isActive",
                               json_get_bool(window, "active", false)));
    }
    request_answer_json(request, 200, json_pack("{s:o}", "windows", windows));
}

void handle_daytona_windows(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_find(request, &err);
    if (!sandbox || task_start(request, sandbox, sandbox_windows, NULL, show_windows, 0, &err) < 0)
        request_answer_error(request, &err);
}

/* --- The desktop as a whole ------------------------------------------------------------------- */

static bool is_up(struct sandbox *sandbox)
{
    auto_json json_t *display = sandbox_display_json(sandbox);
    return json_get_bool(display, "ready", false) && json_get_bool(display, "up", true);
}

static json_t *desktop_json(const char *message, bool is_running)
{
    return json_pack("{s:s,s:{s:{s:b,s:i,s:b}}}", "message", message, "status", "desktop",
                     "running", is_running, "priority", 0, "autoRestart", 1);
}

static void show_up(struct request *request, struct answer *answer, int variant maybe_unused)
{
    struct error err = { 0 };
    if (has_failed(request, answer))
        return;
    if (strcmp(json_get_string(answer->body, "result", ""), "timed_out") == 0) {
        error_set(&err, ERROR_TIMEOUT, "the desktop is not up after %d s", UP_MS / 1000);
        request_answer_error(request, &err);
        return;
    }
    request_answer_json(request, 200, desktop_json("the desktop is up", true));
}

void handle_daytona_desktop_start(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_find(request, &err);
    auto_json json_t *params = json_pack("{s:s,s:i}", "for", "up", "max_ms", UP_MS);
    if (sandbox && is_up(sandbox))
        request_answer_json(request, 200, desktop_json("the desktop is up", true));
    else if (!sandbox || task_start(request, sandbox, sandbox_wait, params, show_up, 0, &err) < 0)
        request_answer_error(request, &err);
}

/* Their loops end with it. It says what is so and does nothing. */
void handle_daytona_desktop_stop(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (sandbox)
        request_answer_json(request, 200,
                            desktop_json("the desktop is the sandbox and goes on running; stop or "
                                         "delete that",
                                         is_up(sandbox)));
}

static void answer_status(struct request *request)
{
    struct sandbox *sandbox = daytona_sandbox(request);
    if (sandbox)
        request_answer_json(request, 200,
                            json_pack("{s:s}", "status", is_up(sandbox) ? "active" : "inactive"));
}

void handle_daytona_desktop_status(struct request *request)
{
    answer_status(request);
}

void handle_daytona_processes(struct request *request)
{
    answer_status(request);
}

/* Theirs are an X server, a desktop and two servers of its picture; the last two are the daemon. */
void handle_daytona_process(struct request *request)
{
    static const char *const names[] = { "desktop", "xvfb", "xfce4", "x11vnc", "novnc" };
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_sandbox(request);
    if (!sandbox)
        return;
    const char *name = json_get_string(request->path_values, "name", "");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0) {
            request_answer_json(
                request, 200,
                json_pack("{s:s,s:b}", "processName", name, "running", is_up(sandbox)));
            return;
        }
    }
    error_set(&err, ERROR_NOT_FOUND, "there is no such process");
    request_answer_error(request, &err);
}

static void refuse_process(struct request *request)
{
    if (daytona_sandbox(request))
        daytona_refuse(request, "the desktop's processes are the guest's own; run a command in it");
}

void handle_daytona_process_restart(struct request *request)
{
    refuse_process(request);
}

void handle_daytona_process_logs(struct request *request)
{
    refuse_process(request);
}

void handle_daytona_process_errors(struct request *request)
{
    refuse_process(request);
}

/* --- Recordings ------------------------------------------------------------------------------- */

static void refuse_recording(struct request *request)
{
    if (daytona_sandbox(request))
        daytona_refuse(request, "recordings are not supported yet");
}

void handle_daytona_recordings(struct request *request)
{
    refuse_recording(request);
}

void handle_daytona_record(struct request *request)
{
    refuse_recording(request);
}

void handle_daytona_record_stop(struct request *request)
{
    refuse_recording(request);
}

void handle_daytona_recording(struct request *request)
{
    refuse_recording(request);
}

void handle_daytona_recording_delete(struct request *request)
{
    refuse_recording(request);
}

void handle_daytona_recording_bytes(struct request *request)
{
    refuse_recording(request);
}
