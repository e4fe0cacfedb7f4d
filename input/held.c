#include "input/held.h"

static void emit(struct sink *sink, uint16_t what, bool is_down)
{
    if (what < HELD_KEYS)
        sink_key(sink, what, is_down);
    else
        sink_button(sink, (enum button)(what - HELD_KEYS), is_down);
}

bool held_is_down(const struct held *self, uint16_t what)
{
    return what < HELD_COUNT && (self->n_holds[what] > 0 || self->is_latched[what]);
}

void held_press(struct held *self, struct sink *sink, uint16_t what)
{
    if (what >= HELD_COUNT || self->n_holds[what] == UINT8_MAX)
        return;
    if (!held_is_down(self, what)) {
        self->order[self->n_down++] = what;
        emit(sink, what, true);
    }
    self->n_holds[what]++;
}

/* Sends the release when nothing holds it any more. */
static void settle(struct held *self, struct sink *sink, uint16_t what)
{
    if (held_is_down(self, what))
        return;
    for (size_t i = 0; i < self->n_down; i++) {
        if (self->order[i] != what)
            continue;
        self->n_down--;
        for (; i < self->n_down; i++)
            self->order[i] = self->order[i + 1];
        emit(sink, what, false);
        return;
    }
}

void held_release(struct held *self, struct sink *sink, uint16_t what)
{
    if (what >= HELD_COUNT || self->n_holds[what] == 0)
        return;
    self->n_holds[what]--;
    settle(self, sink, what);
}

void held_latch(struct held *self, uint16_t what)
{
    if (what >= HELD_COUNT || self->n_holds[what] == 0)
        return;
    self->n_holds[what]--;
    self->is_latched[what] = true;
}

void held_unlatch(struct held *self, struct sink *sink, uint16_t what)
{
    if (what >= HELD_COUNT)
        return;
    self->is_latched[what] = false;
    settle(self, sink, what);
}

size_t held_release_action(struct held *self, struct sink *sink)
{
    size_t n = 0;
    for (size_t i = self->n_down; i-- > 0;) {
        uint16_t what = self->order[i];
        n += self->n_holds[what] > 0;
        self->n_holds[what] = 0;
        settle(self, sink, what); /* only moves what was pressed later, which is done */
    }
    return n;
}

void held_release_all(struct held *self, struct sink *sink)
{
    while (self->n_down > 0) {
        uint16_t what = self->order[self->n_down - 1];
        self->n_holds[what] = 0;
        self->is_latched[what] = false;
        settle(self, sink, what);
    }
}
