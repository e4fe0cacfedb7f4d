/* Who acts on a desktop: one person at a time, or agents' batches, never both.
 *
 * A seat is a person who looks. It may take control when nobody has it; with take_over also from
 * another person, or from a batch that is running, which then fails with `conflict` and is told who
 * did it. While a person controls, new batches wait for queue_ms and then fail with `conflict`.
 * Giving back, leaving, and the end of the desktop release everything that is held. */
#pragma once

#include "farm/sandbox.h"
#include "base/buf.h"
#include "base/list.h"
#include "input/live.h"

#define CONTROL_NAME_MAX 64

struct hub;
struct control;

enum control_holder { CONTROL_NOBODY, CONTROL_PERSON, CONTROL_AGENT };

struct seat_ops {
    /* Who controls has changed; also called by seat_init. name may be "". */
    void (*changed)(void *data, bool is_mine, enum control_holder holder, const char *name);
    /* The guest has its events up to id, since at_us. */
    void (*taken)(void *data, uint64_t id, int64_t at_us);
    /* While it controls: text that was copied in the guest, borrowed. May be NULL. */
    void (*copied)(void *data, struct bytes *text);
};

/* Embedded by its owner. */
struct seat {
    struct list link;
    struct sandbox *sandbox; /* NULL when the desktop has gone */
    const struct seat_ops *ops;
    void *data;
    struct live *live; /* while it controls */
    char name[CONTROL_NAME_MAX + 1];
};

/* The desktop's stream, for viewer_new (stream/viewer.h). Borrowed; its viewers are told of its
 * end. */
struct hub *sandbox_hub(struct sandbox *self, struct error *err);

/* ops is the seat's. not_ready when memory is short. */
int seat_init(struct seat *self, struct sandbox *sandbox, const char *name,
              const struct seat_ops *ops, void *data, struct error *err);
/* Gives back what it has. Harmless for one that was never begun (zeroed). */
void seat_deinit(struct seat *self);
bool seat_is_control(const struct seat *self);
/* conflict when somebody else has it and take_over is false; guest_gone. 0 also when it is its
 * own. */
int seat_take(struct seat *self, bool take_over, struct error *err);
void seat_give_back(struct seat *self);

/* Events of a seat in control; of another they are dropped. */
void seat_feed(struct seat *self, const struct live_event *event);
/* Lets go of all that it holds. */
void seat_release(struct seat *self);
/* Types text by the layout of the guest, behind what is being typed; busy when too much waits. */
int seat_type(struct seat *self, const char *text, size_t n_text, struct error *err);
/* Asks the guest for another size of the screen. */
int seat_resize(struct seat *self, int width, int height, struct error *err);

/* --- For farm/ -------------------------------------------------------------------------------- */

/* Ends the hub and all seats. Takes NULL, returns NULL. */
struct control *control_free(struct control *self);
/* A person controls: err says who. Takes NULL. */
bool control_is_taken(const struct control *self, struct error *err);
/* A batch has begun or ended. Takes NULL. */
void control_note_batch(struct control *self);
