/* How far the guest's reader, its X server, has come with the keys that were sent.
 *
 * QEMU takes more than a guest can hold: the kernel keeps 64 events per reader of a keyboard, which are 15
 * key strokes, and drops all of them when one more comes. Where somebody in the guest can tell how many
 * changes of keys the X server has taken, no more than READER_MAX are on the way to it; else time is all
 * there is (input/input.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Changes of keys. Each is two events of the kernel's 64, and one stroke with its modifiers may come on top. */
enum { READER_MAX = 24, READER_ASK = 12 };

/* What the guest says. */
struct reader_answer {
    int64_t count; /* changes that its reader has taken since then */
    int64_t since; /* names the count: another one began anew */
    bool is_still; /* nothing has come for so long that nothing is on the way */
};

/* Asks the guest to answer when its count is at least until, or when it is still; 0: at once. The answer comes by
 * input_answer, or input_no_answer, later and exactly once. False: there is nobody to ask. */
typedef bool (*reader_ask_fn)(void *data, int64_t until);

struct reader {
    reader_ask_fn ask; /* NULL: nobody */
    void *data;
    uint64_t n_seen;       /* of the changes that were sent */
    int64_t base;          /* the guest's count when none was sent */
    int64_t since;
    bool has_base;
    bool is_asked;         /* an answer is missing */
    uint64_t n_asked;      /* that were sent when it was asked */
    int n_useless;         /* answers in a row that it was still, and all was not seen */
    int64_t blind_until_us; /* nobody is asked before */
};

/* Whether it is worth asking. */
bool reader_is_there(const struct reader *self);
/* Nothing was sent for long: all has been seen, as far as nobody can say better. */
void reader_note_idle(struct reader *self, uint64_t n_sent);
/* The guest's past is another one, or unknown. */
void reader_reset(struct reader *self, uint64_t n_sent);
/* Whether another key may be pressed. Asks the guest in time. */
bool reader_has_room(struct reader *self, uint64_t n_sent);
/* Whether all has been seen; asks otherwise. */
bool reader_has_all(struct reader *self, uint64_t n_sent);
/* Whether the count is known from which on to count; asks otherwise. */
bool reader_has_base(struct reader *self, uint64_t n_sent);
void reader_take(struct reader *self, const struct reader_answer *answer, uint64_t n_sent);
/* There is no answer. is_stuck: the guest may give one the next time. */
void reader_take_none(struct reader *self, bool is_stuck);
