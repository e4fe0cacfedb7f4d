/* The shapes of other people's formats, by what their own writers produce and readers take. */
#include "base/clock.h"
#include "replay/export-impl.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CUE_US 1200000

const json_t *export_action(const json_t *note)
{
    return json_object_get(note, "action");
}

bool export_is_action(const json_t *note)
{
    return strcmp(json_get_string(note, "kind", ""), "action") == 0;
}

static double seconds(const struct export *self, int64_t us)
{
    return round((double)(us - self->first_us) / 1e3) / 1e3;
}

void export_point(const json_t *note, int *x, int *y)
{
    const json_t *native = json_object_get(note, "native");
    *x = (int)json_integer_value(json_array_get(native, 0));
    *y = (int)json_integer_value(json_array_get(native, 1));
}

json_t *export_keys(const json_t *action)
{
    const json_t *keys = json_object_get(action, "keys");
    json_t *out = json_array();
    if (json_is_array(keys)) {
        json_array_extend(out, (json_t *)(uintptr_t)keys);
    } else {
        auto_free char *text = strdup(json_is_string(keys) ? json_string_value(keys) : "");
        for (char *rest = text, *key; rest && (key = strsep(&rest, "+"));)
            if (*key)
                json_array_append_new(out, json_string(key));
    }
    return out;
}

void export_words(const json_t *note, struct buf *out)
{
    const json_t *action = export_action(note);
    const char *type = json_get_string(note, "type", "");
    if (!export_is_action(note)) {
        if (json_object_get(note, "text"))
            buf_printf(out, "%s ", json_get_string(note, "text", ""));
    } else if (strcmp(type, "type") == 0) {
        buf_printf(out, "%s ", json_object_get(action, "redacted") ? "******" : json_get_string(action, "text", ""));
    } else if (strstr(type, "key")) {
        auto_json json_t *keys = export_keys(action);
        json_t *key;
        size_t i;
        json_array_foreach(keys, i, key)
            buf_printf(out, "%s%s", i ? "+" : "", json_is_string(key) ? json_string_value(key) : "?");
        buf_puts(out, " ");
    } else if (strcmp(type, "scroll") == 0) {
        buf_printf(out, "scroll %s ", json_get_string(action, "direction", ""));
    }
}

void export_describe(const json_t *note, struct buf *out)
{
    const json_t *action = export_action(note);
    const char *type = json_get_string(note, "type", "");
    const char *text = json_get_string(action, "text", NULL);
    int x, y;
    export_point(note, &x, &y);
    if (!export_is_action(note))
        buf_puts(out, json_get_string(note, "label", json_get_string(note, "event", "")));
    else if (text)
        buf_printf(out, "%s \"%s\"", type, text);
    else if (json_object_get(action, "redacted"))
        buf_printf(out, "%s (secret)", type);
    else if (json_object_get(action, "keys") && strstr(type, "key")) {
        auto_json json_t *keys = export_keys(action);
        json_t *key;
        size_t i;
        buf_puts(out, type);
        json_array_foreach(keys, i, key)
            buf_printf(out, "%s%s", i ? "+" : " ", json_is_string(key) ? json_string_value(key) : "?");
    } else if (json_object_get(note, "native"))
        buf_printf(out, "%s %d, %d", type, x, y);
    else
        buf_puts(out, type);
}

/* --- WebVTT and JSON -------------------------------------------------------------------------- */

static void put_time(struct buf *out, int64_t us)
{
    int64_t ms = MAX(us, 0) / 1000;
    buf_printf(out, "%02lld:%02lld:%02lld.%03lld", (long long)(ms / 3600000), (long long)(ms / 60000 % 60),
               (long long)(ms / 1000 % 60), (long long)(ms % 1000));
}

static void put_cue_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&' || *text == '<' || *text == '>')
            buf_puts(out, *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : "&gt;");
        else
            buf_append(out, *text == '\n' || *text == '\r' ? "\xc2\xb6" : text, *text == '\n' || *text == '\r' ? 2 : 1);
    }
}

void export_vtt(const struct export *self, struct buf *out)
{
    json_t *note;
    size_t i;
    int n = 0;
    buf_puts(out, "WEBVTT\n");
    json_array_foreach(self->notes, i, note) {
        auto_buf struct buf text = BUF_INIT;
        int64_t at_us = json_get_int(note, "at_us", 0) - self->first_us;
        const json_t *last = json_array_get(json_object_get(note, "injected_us"), 1);
        int64_t end_us = (json_is_integer(last) ? json_integer_value(last) - self->first_us : at_us) + CUE_US;
        export_describe(note, &text);
        buf_printf(out, "\n%d\n", ++n);
        put_time(out, at_us);
        buf_puts(out, " --> ");
        put_time(out, MAX(end_us, MAX(at_us, 0) + CUE_US));
        buf_puts(out, "\n");
        put_cue_text(out, buf_str(&text));
        buf_puts(out, "\n");
    }
}

void export_json(const struct export *self, struct buf *out)
{
    char wall[CLOCK_RFC3339_MAX];
    json_t *note;
    size_t i;
    clock_format(self->wall_us, wall);
    auto_json json_t *items = json_array();
    json_array_foreach(self->notes, i, note) {
        json_t *copy = json_copy(note);
        json_object_set_new(copy, "at_s", json_real(seconds(self, json_get_int(note, "at_us", 0))));
        json_array_append_new(items, copy);
    }
    auto_json json_t *all = json_pack("{ss sI sf si si sO}", "begun_at", wall, "first_us", (json_int_t)self->first_us,
                                      "length_s", seconds(self, self->end_us), "width", self->width, "height",
                                      self->height, "items", items);
    json_write(all, out);
    buf_puts(out, "\n");
}

/* --- OSWorld ---------------------------------------------------------------------------------- */

static void put_python(struct buf *out, const char *text)
{
    auto_json json_t *value = json_string(text);
    auto_free char *quoted = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    buf_puts(out, quoted ? quoted : "\"\"");
}

static void put_hotkey(struct buf *out, const json_t *action)
{
    auto_json json_t *keys = export_keys(action);
    json_t *key;
    size_t i;
    buf_puts(out, json_array_size(keys) == 1 ? "pyautogui.press(" : "pyautogui.hotkey(");
    json_array_foreach(keys, i, key) {
        buf_puts(out, i ? ", " : "");
        put_python(out, json_is_string(key) ? json_string_value(key) : "");
    }
    buf_puts(out, ")");
}

/* The action as its runner would have got it. */
static void put_pyautogui(struct buf *out, const json_t *note)
{
    const json_t *action = export_action(note);
    const char *type = json_get_string(note, "type", ""), *button = json_get_string(action, "button", "left");
    int x, y;
    export_point(note, &x, &y);
    if (strcmp(type, "click") == 0)
        buf_printf(out, "pyautogui.click(%d, %d, clicks=%d, button='%s')", x, y, (int)json_get_int(action, "count", 1),
                   button);
    else if (strcmp(type, "move") == 0)
        buf_printf(out, "pyautogui.moveTo(%d, %d)", x, y);
    else if (strcmp(type, "drag") == 0)
        buf_printf(out, "pyautogui.dragTo(%d, %d, button='%s')", x, y, button);
    else if (strcmp(type, "type") == 0) {
        buf_puts(out, "pyautogui.typewrite(");
        put_python(out, json_get_string(action, "text", ""));
        buf_puts(out, ")");
    } else if (strcmp(type, "key") == 0)
        put_hotkey(out, action);
    else if (strcmp(type, "scroll") == 0)
        buf_printf(out, "pyautogui.scroll(%d, x=%d, y=%d)",
                   (int)json_get_int(action, "amount", 1) *
                       (strcmp(json_get_string(action, "direction", "down"), "up") == 0 ? 1 : -1),
                   x, y);
    else if (strcmp(type, "wait") == 0)
        buf_printf(out, "time.sleep(%g)", (double)json_get_int(action, "duration_ms", 0) / 1e3);
    else if (strncmp(type, "button_", 7) == 0)
        buf_printf(out, "pyautogui.mouse%s(%d, %d, button='%s')", strcmp(type, "button_down") == 0 ? "Down" : "Up", x,
                   y, button);
    else
        buf_puts(out, "WAIT");
}

void export_osworld_step(const struct export *self, const json_t *note, int step, const char *picture,
                         struct buf *out)
{
    auto_buf struct buf action = BUF_INIT, words = BUF_INIT;
    char stamp[64];
    int64_t wall_us = self->wall_us + json_get_int(note, "at_us", 0) - self->first_us;
    time_t at = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d@%H%M%S", &tm);
    snprintf(stamp + strlen(stamp), 8, "%06d", (int)(wall_us % 1000000));
    put_pyautogui(&action, note);
    export_describe(note, &words);
    auto_json json_t *line =
        json_pack("{si ss ss ss si sb s{ss} so}", "step_num", step, "action_timestamp", stamp, "action",
                  buf_str(&action), "response", buf_str(&words), "reward", 0, "done", 0, "info", "outcome",
                  json_get_string(note, "outcome", ""), "screenshot_file", picture ? json_string(picture) : json_null());
    json_write(line, out);
    buf_puts(out, "\n");
}

/* --- ATIF ------------------------------------------------------------------------------------- */

static json_t *atif_step(const struct export *self, const json_t *note, int number, const json_t *picture)
{
    char time[CLOCK_RFC3339_MAX], call[32];
    auto_buf struct buf words = BUF_INIT;
    clock_format(self->wall_us + json_get_int(note, "at_us", 0) - self->first_us, time);
    snprintf(call, sizeof call, "call_%d", number);
    export_describe(note, &words);
    json_t *content = json_array();
    json_array_append_new(content, json_pack("{ss ss}", "type", "text", "text", json_get_string(note, "outcome", "")));
    if (json_is_string(picture))
        json_array_append_new(content, json_pack("{ss s{ss sO}}", "type", "image", "source", "media_type", "image/png",
                                                 "path", picture));
    return json_pack("{si ss ss ss s[{ss ss sO}] s{s[{ss so}]}}", "step_id", number, "timestamp", time, "source",
                     "agent", "message", buf_str(&words), "tool_calls", "tool_call_id", call, "function_name",
                     "computer", "arguments", export_action(note), "observation", "results", "source_call_id", call,
                     "content", content);
}

void export_atif(const struct export *self, const json_t *pictures, struct buf *out)
{
    char time[CLOCK_RFC3339_MAX];
    json_t *note, *steps = json_array();
    size_t i;
    int number = 1;
    const char *session = "", *agent = "";
    clock_format(self->wall_us, time);
    json_array_append_new(steps, json_pack("{si ss ss ss}", "step_id", number, "timestamp", time, "source", "system",
                                           "message", "A recorded session of a desktop."));
    json_array_foreach(self->notes, i, note) {
        if (!export_is_action(note))
            continue;
        session = json_get_string(note, "batch", session);
        agent = json_get_string(json_object_get(note, "by"), "key", agent);
        number++;
        json_array_append_new(steps, atif_step(self, note, number, json_array_get(pictures, (size_t)number - 2)));
    }
    const char *dir = strrchr(self->reading.dir, '/');
    auto_json json_t *all =
        json_pack("{ss ss s{ss ss} so s{si}}", "schema_version", "ATIF-v1.6", "session_id",
                  dir ? dir + 1 : session, "agent", "name", *agent ? agent : "deskfarm", "version", "1", "steps",
                  steps, "final_metrics", "total_steps", number);
    json_write(all, out);
    buf_puts(out, "\n");
}

/* --- HTML ------------------------------------------------------------------------------------- */

static const char page_head[] =
    "<!doctype html><html lang=en><meta charset=utf-8><title>Recording</title><style>"
    "body{margin:0;font:15px/1.4 system-ui,sans-serif;display:grid;grid-template-columns:1fr 20rem;height:100vh;"
    "background:#111;color:#eee}video{width:100%;height:100vh;object-fit:contain}ol{margin:0;padding:.5rem;overflow:auto;"
    "list-style:none}button{display:block;width:100%;text-align:left;font:inherit;color:inherit;background:none;"
    "border:0;border-left:3px solid #555;padding:.25rem .6rem;cursor:pointer}li.now button{background:#2b3550;"
    "border-color:#7aa2ff}time{color:#9aa6b5;margin-right:.5rem}</style><video controls src=\"data:video/mp4;base64,";
static const char page_middle[] = "\"></video><ol></ol><script type=\"application/json\" id=notes>";
static const char page_tail[] =
    "</script><script>const v=document.querySelector('video'),o=document.querySelector('ol');"
    "for(const n of JSON.parse(document.getElementById('notes').textContent)){const l=document.createElement('li'),"
    "b=document.createElement('button'),t=document.createElement('time');t.textContent=n.at.toFixed(1)+' s';"
    "b.append(t,n.what);b.onclick=()=>{v.currentTime=n.at};l.dataset.at=n.at;l.append(b);o.append(l)}"
    "v.ontimeupdate=()=>{let now;for(const l of o.children){l.classList.remove('now');"
    "if(+l.dataset.at<=v.currentTime)now=l}now&&(now.classList.add('now'),now.scrollIntoView({block:'nearest'}))}"
    "</script></html>\n";

void export_html(const struct export *self, const struct buf *film, struct buf *out)
{
    auto_json json_t *items = json_array();
    json_t *note;
    size_t i;
    json_array_foreach(self->notes, i, note) {
        auto_buf struct buf words = BUF_INIT;
        export_describe(note, &words);
        json_array_append_new(items, json_pack("{sf ss}", "at", MAX(seconds(self, json_get_int(note, "at_us", 0)), 0.0),
                                               "what", buf_str(&words)));
    }
    auto_free char *text = json_dumps(items, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH);
    buf_puts(out, page_head);
    buf_append_base64(out, film->data, film->size);
    buf_puts(out, page_middle);
    /* "<" ends up nowhere in the page's own tongue. */
    for (const char *at = text ? text : "[]"; *at; at++)
        buf_append(out, *at == '<' ? "\\u003c" : at, *at == '<' ? 6 : 1);
    buf_puts(out, page_tail);
}
