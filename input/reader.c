/* Two counts that differ by a constant: what was sent since the input began, and what the guest's X server
 * took since its helper began. The constant is the base. It is asked for when nothing has been sent for a
 * while, and is good until the guest says that its count is another one, or is put back to another past.
 *
 * The counts drift apart when the guest drops a change, such as the release of a key that is not down, and
 * when another reader has the keyboard (a console, another X server). Then the guest says that it is still
 * with less than all. That is believed: what was sent is as seen as it will be, and the base is set anew.
 * The second time in a row the reader is taken for one that these keys do not go to, and is left alone for
 * BLIND_US; so is one that is not there, for RETRY_US. */
#include "input/reader.h"

#include "base/clock.h"
#include "base/util.h"

#define BLIND_US 10000000
#define RETRY_US 3000000

bool reader_is_there(const struct reader *self)
{
    return self->ask && clock_now_us() >= self->blind_until_us;
}

static void leave_alone(struct reader *self, int64_t us)
{
    self->blind_until_us = clock_now_us() + us;
}

/* For the count from which to count on, or for all that was sent. */
static void ask(struct reader *self, uint64_t n_sent)
{
    if (self->is_asked)
        return;
    self->n_asked = n_sent;
    self->is_asked = self->ask(self->data, self->has_base ? self->base + (int64_t)n_sent : 0);
    if (!self->is_asked)
        leave_alone(self, RETRY_US);
}

void reader_note_idle(struct reader *self, uint64_t n_sent)
{
    if (!self->has_base)
        self->n_seen = n_sent;
}

void reader_reset(struct reader *self, uint64_t n_sent)
{
    self->has_base = false;
    self->n_useless = 0;
    self->blind_until_us = 0;
    self->n_seen = n_sent;
}

bool reader_has_room(struct reader *self, uint64_t n_sent)
{
    if (reader_is_there(self) && n_sent - self->n_seen >= READER_ASK)
        ask(self, n_sent);
    return !reader_is_there(self) || n_sent - self->n_seen < READER_MAX;
}

bool reader_has_all(struct reader *self, uint64_t n_sent)
{
    if (reader_is_there(self) && self->n_seen < n_sent)
        ask(self, n_sent);
    return !reader_is_there(self) || self->n_seen == n_sent;
}

bool reader_has_base(struct reader *self, uint64_t n_sent)
{
    if (reader_is_there(self) && !self->has_base)
        ask(self, n_sent);
    return !reader_is_there(self) || self->has_base;
}

/* What had been seen was in the count already; of the rest that is not known. */
static void begin_count(struct reader *self, const struct reader_answer *answer)
{
    self->has_base = true;
    self->since = answer->since;
    self->base = answer->count - (int64_t)self->n_seen;
    self->n_useless = 0;
}

/* No more will come of what was sent when it was asked. */
static void believe(struct reader *self, const struct reader_answer *answer)
{
    self->n_seen = self->n_asked;
    self->base = answer->count - (int64_t)self->n_asked;
    if (++self->n_useless > 1)
        leave_alone(self, BLIND_US);
}

void reader_take(struct reader *self, const struct reader_answer *answer, uint64_t n_sent)
{
    self->is_asked = false;
    if (!self->has_base || answer->since != self->since) {
        begin_count(self, answer);
        return;
    }
    int64_t n_seen = answer->count - self->base;
    if (n_seen > (int64_t)n_sent) { /* keys of somebody else */
        self->base += n_seen - (int64_t)n_sent;
        n_seen = (int64_t)n_sent;
    }
    if (n_seen > (int64_t)self->n_seen) {
        self->n_seen = (uint64_t)n_seen;
        self->n_useless = 0;
    }
    if (answer->is_still && self->n_seen < self->n_asked)
        believe(self, answer);
}

void reader_take_none(struct reader *self, bool is_stuck)
{
    self->is_asked = false;
    if (is_stuck)
        return;
    self->has_base = false;
    leave_alone(self, RETRY_US);
}
