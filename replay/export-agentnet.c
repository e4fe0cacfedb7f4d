/* AgentNet's raw recording: a line per event of mouse and keyboard, as its annotation tool writes them. Agents'
 * actions are taken apart into such events, with times between their first and last; a person's are such
 * events. */
#include "replay/export-impl.h"

#include <string.h>

struct events {
    const struct export *export;
    struct buf *out;
    int n;
};

/* Takes event. */
static void put_event(struct events *self, int64_t us, const char *action, json_t *event)
{
    auto_json json_t *whole = json_pack("{sf ss}", "time_stamp", (double)us / 1e6, "action", action);
    json_object_update(whole, event);
    json_object_set_new(whole, "event_idx", json_integer(self->n++));
    json_decref(event);
    json_write(whole, self->out);
    buf_puts(self->out, "\n");
}

static void put_move(struct events *self, int64_t us, int x, int y)
{
    put_event(self, us, "move", json_pack("{si si}", "x", x, "y", y));
}

static void put_button(struct events *self, int64_t us, int x, int y, const char *button, bool is_down)
{
    put_event(self, us, "click", json_pack("{si si ss sb}", "x", x, "y", y, "button", button, "pressed", is_down));
}

static void put_key(struct events *self, int64_t us, const char *name, bool is_down)
{
    put_event(self, us, is_down ? "press" : "release", json_pack("{ss}", "name", name));
}

static void put_text(struct events *self, const json_t *note, int64_t first_us, int64_t last_us)
{
    const char *text = json_get_string(export_action(note), "text", "");
    size_t n = 0, size = strlen(text), k = 0;
    for (size_t i = 0; i < size; i++)
        n += (text[i] & 0xc0) != 0x80;
    for (size_t i = 0; i < size; k++) {
        char name[8] = "";
        size_t length = 1;
        while (i + length < size && (text[i + length] & 0xc0) == 0x80)
            length++;
        memcpy(name, text + i, MIN(length, sizeof name - 1));
        const char *key = *name == '\n' ? "enter" : *name == '\t' ? "tab" : *name == ' ' ? "space" : name;
        int64_t us = first_us + (last_us - first_us) * (int64_t)k / (int64_t)MAX(n, 1);
        put_key(self, us, key, true);
        put_key(self, us, key, false);
        i += length;
    }
}

static void put_click(struct events *self, const json_t *note, int64_t first_us, int64_t last_us)
{
    const json_t *action = export_action(note);
    int x, y, count = (int)json_get_int(action, "count", 1);
    const char *button = json_get_string(action, "button", "left");
    export_point(note, &x, &y);
    put_move(self, first_us, x, y);
    for (int i = 0; i < count; i++) {
        int64_t step = (last_us - first_us) / (2 * count);
        put_button(self, first_us + step * 2 * i, x, y, button, true);
        put_button(self, first_us + step * (2 * i + 1), x, y, button, false);
    }
}

/* Where the path began is known in native pixels only when the space is. */
static void put_drag(struct events *self, const json_t *note, int64_t first_us, int64_t last_us)
{
    const json_t *path = json_object_get(export_action(note), "path"), *first = json_array_get(path, 0);
    bool is_native = strcmp(json_get_string(note, "space", "native"), "native") == 0;
    const char *button = json_get_string(export_action(note), "button", "left");
    int x, y;
    export_point(note, &x, &y);
    int fx = x, fy = y;
    if (is_native && json_is_array(first)) {
        fx = (int)json_number_value(json_array_get(first, 0));
        fy = (int)json_number_value(json_array_get(first, 1));
    } else if (is_native && json_is_object(first)) {
        fx = (int)json_get_number(first, "x", x);
        fy = (int)json_get_number(first, "y", y);
    }
    put_move(self, first_us, fx, fy);
    put_button(self, first_us, fx, fy, button, true);
    put_move(self, last_us, x, y);
    put_button(self, last_us, x, y, button, false);
}

static void put_scroll(struct events *self, const json_t *note, int64_t us)
{
    const json_t *action = export_action(note);
    const char *direction = json_get_string(action, "direction", "");
    int amount = (int)json_get_int(action, "amount", 1), x, y;
    double dx = json_get_number(action, "dx", 0), dy = -json_get_number(action, "dy", 0);
    if (*direction) {
        dx = *direction == 'r' ? amount : *direction == 'l' ? -amount : 0;
        dy = *direction == 'u' ? amount : *direction == 'd' ? -amount : 0;
    }
    export_point(note, &x, &y);
    put_event(self, us, "scroll", json_pack("{si si sf sf}", "x", x, "y", y, "dx", dx, "dy", dy));
}

static void put_keys(struct events *self, const json_t *note, int64_t first_us, int64_t last_us)
{
    auto_json json_t *keys = export_keys(export_action(note));
    const char *type = json_get_string(note, "type", "");
    for (size_t i = 0; strcmp(type, "key_up") != 0 && i < json_array_size(keys); i++)
        put_key(self, first_us, json_string_value(json_array_get(keys, i)) ?: "", true);
    for (size_t i = json_array_size(keys); strcmp(type, "key_down") != 0 && i-- > 0;)
        put_key(self, last_us, json_string_value(json_array_get(keys, i)) ?: "", false);
}

static void put_action(struct events *events, const json_t *note)
{
    const json_t *injected = json_object_get(note, "injected_us");
    if (!export_is_action(note) || !json_is_array(injected))
        return;
    int64_t first_us = json_integer_value(json_array_get(injected, 0));
    int64_t last_us = json_array_size(injected) > 1 ? json_integer_value(json_array_get(injected, 1)) : first_us;
    const char *type = json_get_string(note, "type", "");
    int x, y;
    export_point(note, &x, &y);
    if (strcmp(type, "type") == 0)
        put_text(events, note, first_us, last_us);
    else if (strcmp(type, "click") == 0)
        put_click(events, note, first_us, last_us);
    else if (strcmp(type, "drag") == 0)
        put_drag(events, note, first_us, last_us);
    else if (strcmp(type, "scroll") == 0)
        put_scroll(events, note, first_us);
    else if (strcmp(type, "move") == 0)
        put_move(events, first_us, x, y);
    else if (strncmp(type, "button_", 7) == 0)
        put_button(events, first_us, x, y, json_get_string(export_action(note), "button", "left"),
                   strcmp(type, "button_down") == 0);
    else if (strstr(type, "key"))
        put_keys(events, note, first_us, last_us);
}

/* What a person did is there event by event already. */
static void put_hand(struct events *events, const struct hand_event *event)
{
    static const char *const buttons[] = { "left", "middle", "right", "x1", "x2" };
    const char *name;
    switch (event->kind) {
    case HAND_KEY:
        name = hand_key_name(event->code);
        if (name)
            put_key(events, event->at_us, name, event->is_down);
        break;
    case HAND_MOVE: put_move(events, event->at_us, event->x, event->y); break;
    case HAND_BUTTON:
        name = event->code >= 0 && (size_t)event->code < ARRAY_LEN(buttons) ? buttons[event->code] : "left";
        put_button(events, event->at_us, event->x, event->y, name, event->is_down);
        break;
    case HAND_WHEEL:
        put_event(events, event->at_us, "scroll",
                  json_pack("{si si sf sf}", "x", event->x, "y", event->y, "dx", event->dx / 120.0, "dy",
                            -event->dy / 120.0));
        break;
    }
}

void export_agentnet_events(const struct export *self, struct buf *out)
{
    struct events events = { self, out, 0 };
    const struct hand *hand = &self->hand;
    json_t *note;
    size_t i, k = 0;
    json_array_foreach(self->notes, i, note) {
        for (; k < hand->n && hand->events[k].at_us < json_get_int(note, "at_us", 0); k++)
            put_hand(&events, &hand->events[k]);
        put_action(&events, note);
    }
    for (; k < hand->n; k++)
        put_hand(&events, &hand->events[k]);
}

void export_agentnet_metadata(const struct export *self, struct buf *out)
{
    auto_json json_t *all = json_pack(
        "{ss ss ss si si sf sf sf ss}", "system", "Linux", "release", "", "machine", "x86_64", "screen_width",
        self->width, "screen_height", self->height, "video_start_timestamp", (double)self->first_us / 1e6,
        "video_end_timestamp", (double)self->end_us / 1e6, "wall_start_timestamp", (double)self->wall_us / 1e6,
        "scroll_direction", "traditional");
    json_write(all, out);
    buf_puts(out, "\n");
}
