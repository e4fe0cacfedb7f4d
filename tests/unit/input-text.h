/* Input events as text, so that tests of input/ read like what happens: "LEFTCTRL down". */
#pragma once

#include "base/json.h"
#include "input/held.h"
#include "input/plan.h"
#include "input/space.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define NAME(code) [KEY_##code] = #code
static const char *const key_names[KEY_MICMUTE + 1] = {
    NAME(ESC),        NAME(1),          NAME(2),         NAME(3),          NAME(4),
    NAME(5),          NAME(6),          NAME(7),         NAME(8),          NAME(9),
    NAME(0),          NAME(MINUS),      NAME(EQUAL),     NAME(BACKSPACE),  NAME(TAB),
    NAME(Q),          NAME(W),          NAME(E),         NAME(R),          NAME(T),
    NAME(Y),          NAME(U),          NAME(I),         NAME(O),          NAME(P),
    NAME(LEFTBRACE),  NAME(RIGHTBRACE), NAME(ENTER),     NAME(LEFTCTRL),   NAME(A),
    NAME(S),          NAME(D),          NAME(F),         NAME(G),          NAME(H),
    NAME(J),          NAME(K),          NAME(L),         NAME(SEMICOLON),  NAME(APOSTROPHE),
    NAME(GRAVE),      NAME(LEFTSHIFT),  NAME(BACKSLASH), NAME(Z),          NAME(X),
    NAME(C),          NAME(V),          NAME(B),         NAME(N),          NAME(M),
    NAME(COMMA),      NAME(DOT),        NAME(SLASH),     NAME(RIGHTSHIFT), NAME(KPASTERISK),
    NAME(LEFTALT),    NAME(SPACE),      NAME(CAPSLOCK),  NAME(F1),         NAME(F2),
    NAME(F5),         NAME(F11),        NAME(F12),       NAME(NUMLOCK),    NAME(SCROLLLOCK),
    NAME(KP0),        NAME(KP1),        NAME(KP2),       NAME(KP3),       NAME(KP4),
    NAME(KP5),        NAME(KP6),        NAME(KP7),       NAME(KP8),       NAME(KP9),
    NAME(KPPLUS),    NAME(KPENTER),    NAME(KPSLASH),
    NAME(102ND),      NAME(RIGHTCTRL),  NAME(SYSRQ),     NAME(RIGHTALT),   NAME(HOME),
    NAME(UP),         NAME(PAGEUP),     NAME(LEFT),      NAME(RIGHT),      NAME(END),
    NAME(DOWN),       NAME(PAGEDOWN),   NAME(INSERT),    NAME(DELETE),     NAME(PAUSE),
    NAME(LEFTMETA),   NAME(RIGHTMETA),  NAME(COMPOSE),   NAME(MUTE),       NAME(VOLUMEUP),
    NAME(VOLUMEDOWN), NAME(PLAYPAUSE),  NAME(BACK),      NAME(FORWARD),    NAME(REFRESH),
};
#undef NAME

static inline const char *key_text(uint16_t code)
{
    return code < ARRAY_LEN(key_names) && key_names[code] ? key_names[code] : "?";
}

static inline const char *button_text(unsigned button)
{
    static const char *const names[] = { "left", "right", "middle", "back", "forward" };
    return button < ARRAY_LEN(names) ? names[button] : "?";
}

/* A step as words; "" for those that are bookkeeping. */
static inline void step_text(const struct step *s, struct buf *out)
{
    switch ((enum step_kind)s->kind) {
    case STEP_KEY: buf_printf(out, "%s %s", key_text(s->code), s->is_down ? "down" : "up"); break;
    case STEP_BUTTON:
        buf_printf(out, "button %s %s", button_text(s->code), s->is_down ? "down" : "up");
        break;
    case STEP_MOVE: buf_printf(out, "move %d %d", s->fx, s->fy); break;
    case STEP_WHEEL:
        buf_printf(out, "wheel %s",
                   s->code == WHEEL_VERTICAL ? (s->value > 0 ? "down" : "up")
                                             : (s->value > 0 ? "right" : "left"));
        break;
    case STEP_PAUSE: buf_printf(out, "%d ms", s->value); break;
    case STEP_LATCH:
    case STEP_UNLATCH:
        buf_printf(out, "%s ", s->kind == STEP_LATCH ? "keep" : "let go");
        if (s->code < HELD_KEYS)
            buf_puts(out, key_text(s->code));
        else
            buf_puts(out, button_text(s->code - HELD_KEYS));
        break;
    case STEP_CLEAR: buf_puts(out, "release all"); break;
    case STEP_CHARACTER: break;
    }
}

/* The plan on one line: "move 10 20, 8 ms, button left down, …". */
static inline void plan_text(const struct plan *plan, struct buf *out)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].kind == STEP_CHARACTER)
            continue;
        if (out->size > 0)
            buf_puts(out, ", ");
        step_text(&plan->steps[i], out);
    }
}

/* Rows are written with ' for ". */
static inline json_t *parse_row(const char *row)
{
    auto_buf struct buf text = BUF_INIT;
    for (const char *p = row; *p; p++)
        buf_append(&text, *p == '\'' ? "\"" : p, 1);
    json_error_t where;
    json_t *value = json_loads(buf_str(&text), JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    cr_assert(value != NULL, "bad row %s: %s", row, where.text);
    return value;
}
