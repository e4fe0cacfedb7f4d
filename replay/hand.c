/* They are not in the index: nobody seeks to one. So segments are read whole, one after the other. */
#include "replay/hand.h"

#include <errno.h>
#include <stdlib.h>

/* Of <linux/input-event-codes.h>. */
static const char *const key_names[] = {
    [1] = "esc", [2] = "1", [3] = "2", [4] = "3", [5] = "4", [6] = "5", [7] = "6", [8] = "7", [9] = "8", [10] = "9",
    [11] = "0", [12] = "-", [13] = "=", [14] = "backspace", [15] = "tab", [16] = "q", [17] = "w", [18] = "e",
    [19] = "r", [20] = "t", [21] = "y", [22] = "u", [23] = "i", [24] = "o", [25] = "p", [26] = "[", [27] = "]",
    [28] = "enter", [29] = "ctrl_l", [30] = "a", [31] = "s", [32] = "d", [33] = "f", [34] = "g", [35] = "h",
    [36] = "j", [37] = "k", [38] = "l", [39] = ";", [40] = "'", [41] = "`", [42] = "shift", [43] = "\\",
    [44] = "z", [45] = "x", [46] = "c", [47] = "v", [48] = "b", [49] = "n", [50] = "m", [51] = ",", [52] = ".",
    [53] = "/", [54] = "shift_r", [55] = "*", [56] = "alt_l", [57] = "space", [58] = "caps_lock", [59] = "f1",
    [60] = "f2", [61] = "f3", [62] = "f4", [63] = "f5", [64] = "f6", [65] = "f7", [66] = "f8", [67] = "f9",
    [68] = "f10", [69] = "num_lock", [70] = "scroll_lock", [71] = "7", [72] = "8", [73] = "9", [74] = "-",
    [75] = "4", [76] = "5", [77] = "6", [78] = "+", [79] = "1", [80] = "2", [81] = "3", [82] = "0", [83] = ".",
    [86] = "<", [87] = "f11", [88] = "f12", [96] = "enter", [97] = "ctrl_r", [98] = "/", [99] = "print_screen",
    [100] = "alt_r", [102] = "home", [103] = "up", [104] = "page_up", [105] = "left", [106] = "right", [107] = "end",
    [108] = "down", [109] = "page_down", [110] = "insert", [111] = "delete", [119] = "pause", [125] = "cmd",
    [126] = "cmd_r", [127] = "menu",
};

const char *hand_key_name(int code)
{
    return code >= 0 && (size_t)code < ARRAY_LEN(key_names) ? key_names[code] : NULL;
}

bool hand_parse(const struct record *record, int64_t at_us, struct hand_event *ret)
{
    static const struct {
        uint8_t type, kind;
        uint16_t size;
    } known[] = { { RECORD_KEY, HAND_KEY, 10 }, { RECORD_MOVE, HAND_MOVE, 12 }, { RECORD_BUTTON, HAND_BUTTON, 13 },
                  { RECORD_WHEEL, HAND_WHEEL, 16 } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const uint8_t *at = record->payload;
        if (record->type != known[i].type || record->size != known[i].size)
            continue;
        *ret = (struct hand_event){ .at_us = at_us, .kind = known[i].kind, .is_down = record->flags & RECORD_DOWN };
        if (ret->kind == HAND_KEY) {
            ret->code = record_get_u16(at + 8);
            return true;
        }
        ret->x = record_get_u16(at + 8);
        ret->y = record_get_u16(at + 10);
        if (ret->kind == HAND_BUTTON)
            ret->code = at[12];
        if (ret->kind == HAND_WHEEL) {
            ret->dx = (int16_t)record_get_u16(at + 12);
            ret->dy = (int16_t)record_get_u16(at + 14);
        }
        return true;
    }
    return false;
}

static int add(struct hand *self, const struct hand_event *event)
{
    if (self->n == self->capacity) {
        size_t capacity = MAX(self->capacity * 2, (size_t)256);
        struct hand_event *events = realloc(self->events, capacity * sizeof *events);
        if (!events)
            return -ENOMEM;
        self->events = events;
        self->capacity = capacity;
    }
    self->events[self->n++] = *event;
    return 0;
}

static int read_segment(struct hand *self, const struct reading *reading, int i)
{
    auto_buf struct buf data = BUF_INIT;
    auto_free char *path = reading_path(reading, i);
    struct record record;
    struct hand_event event;
    int64_t time_us;
    int r = 0;
    if (!path || segment_read(path, 0, -1, &data, NULL) < 0)
        return 0;
    const uint8_t *at = data.data;
    size_t size = data.size;
    if (record_read_file_header(&at, &size) < 0)
        return 0;
    while (r == 0 && record_read_entry(&at, &size, &time_us, &record) == 0)
        if (hand_parse(&record, time_us, &event))
            r = add(self, &event);
    return r;
}

int hand_read(struct hand *self, const struct reading *reading)
{
    int r = 0;
    *self = (struct hand){ 0 };
    for (int i = 0; r == 0 && i < reading->n_segments; i++)
        r = read_segment(self, reading, i);
    return r;
}

void hand_deinit(struct hand *self)
{
    free(self->events);
    *self = (struct hand){ 0 };
}
