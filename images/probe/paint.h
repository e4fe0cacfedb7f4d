/* paint.h: everything that puts pixels on the window. */
#ifndef PROBE_PAINT_H
#define PROBE_PAINT_H

#include "probe.h"

#include <jansson.h>
#include <stdint.h>

#define PAINT_PENDING_MAX 256
#define PAINT_STATUS_HEIGHT 24

struct paint {
    struct rect rect;
    unsigned long color; /* 0xrrggbb */
    int64_t due_us;
    json_t *id; /* borrowed by paint_later(), which takes its own reference; may be NULL */
    int step;   /* index in an on_input command, -1 for a fill */
    bool last;
};

void paint_init(void);

/* Paints the pattern everywhere and forgets pending paints, caret, animation and scroll. */
void paint_clear(void);

/* Paints and reports now or when due. Returns false when too many paints are pending. */
bool paint_later(const struct paint *paint);

void paint_caret(struct rect rect, int period_ms, bool on);
void paint_animate(struct rect rect, int fps, bool on);
void paint_scroll(struct rect rect, int dy);

/* The status strip at the bottom: off, or the text of the last event. */
void paint_status(bool on);
void paint_status_text(const char *text);

/* When paint_run() wants to be called next; INT64_MAX for never. */
int64_t paint_due_us(void);
void paint_run(int64_t now_us);

#endif
