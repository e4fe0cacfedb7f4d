/* What blinks on its own, and what an input changed.
 *
 * A blinker is a box of pixels inside one tile together with the contents (hashes, at most
 * CONTENTS_MAX) that the box alternates between. A blinker across tiles is one in each of them.
 * Each change of a tile is reduced to the set of pixels that differ. Pixels inside the box of a
 * known blinker do not count when the box now shows one of its contents. All other pixels count, so
 * a real change beside a caret, over it or in the same moment is seen, and the box survives it.
 *
 * Learning. Every counted change makes, or meets, candidates: one for exactly its bounding box, and
 * one wide candidate per tile whose box grows around all changes (a spinner moves other pixels at
 * every step). A change to a content that the candidate has seen is a return. A candidate becomes
 * known when
 *
 *   undisturbed: since the last input the box changed at least three times, the last two of them
 *                returns, over LEARN_US or more. The first change after an input is never a return:
 *                it may be what the input did. A menu that actions open and close, a hover, and a
 *                button that looks pressed for the time of a click (or flickers through a double
 *                click) stay below that; a caret that nobody disturbs for two phases does not.
 *   or regular:  the last BEATS_MAX changes were returns, every second one a constant time after
 *                the one before (a caret may be on longer than off), while their delays after the
 *                latest input differ by LEARN_SPREAD_US or more. So a caret is learned across many
 *                short actions too, but not the answer of a toggle that is clicked by the clock.
 *
 * Keeping. A known blinker stays known whatever is injected, until it has not changed for several
 * of its longest phases. A content outside its set counts and puts it in doubt. In doubt, a return
 * that is not the first change after an input makes it known again and does not count, so a block
 * caret over a new background costs one phase at most; a third new content makes it a candidate
 * again. Boxes as thin as a caret (see is_thin) hold no content that anybody could mean, so there
 * a new content does not count: a bar over a new background costs nothing.
 *
 * State: BLINKERS_PER_TILE boxes of about 300 bytes per tile that changed, for at most TILES_MAX
 * tiles (1.2 MB); tiles beyond that are simply not learned. Cost per changed tile: a comparison of
 * 16 KiB, and a hash of the touched boxes. Times are observed times: a pause stops the clock.
 *
 * Not done: a caret that moves is learned anew at each place. */
#include "display/settle-history.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define CONTENTS_MAX 16
#define BLINKERS_PER_TILE 4
#define TILES_MAX 1024
#define BEATS_MAX 6
#define LEARN_US 700000
#define LEARN_SPREAD_US 150000
#define LEARN_JITTER_US 60000
/* A known blinker is over after this many of its longest phases, within these bounds. */
#define STOP_PHASES 5
#define STOP_MIN_US 3000000
#define STOP_MAX_US 15000000
/* A candidate with a longer gap begins anew. */
#define CANDIDATE_GAP_US 3000000
#define UNKNOWN_MAX 3
#define NO_TIME INT64_MIN

struct box {
    uint8_t x, y, w, h; /* inside the tile; w 0: none */
};

enum blinker_state {
    BLINKER_FREE,
    BLINKER_CANDIDATE, /* its changes count */
    BLINKER_KNOWN,     /* its contents do not count */
    BLINKER_DOUBTED,   /* known, but took a content outside its set */
};

struct beat {
    int64_t at_us, delay_us; /* the change, and its distance from the latest input */
};

struct blinker {
    enum blinker_state state;
    struct box box;
    uint8_t n_contents, next_content, n_unknown;
    uint64_t contents[CONTENTS_MAX];
    int64_t changed_us;  /* its latest change */
    int64_t longest_us;  /* its longest phase */
    int64_t window;      /* number of the latest input before its latest change */
    int64_t window_us;   /* first change in that window */
    int n_in_window;     /* changes in that window; a new content begins at 1 again */
    int n_beats;         /* returns in a row */
    struct beat beats[BEATS_MAX]; /* newest last */
};

/* Slot 0 is the wide candidate. */
struct tile_history {
    int index;
    int64_t changed_us;
    struct blinker blinkers[BLINKERS_PER_TILE];
};

struct settle_history {
    int64_t gap_us, paused_us; /* paused_us 0: running */
    int64_t n_inputs, input_us;
    uint16_t *by_tile; /* tile number -> entry number + 1 */
    int n_by_tile;
    struct tile_history **entries;
    int n_entries, hand;
    uint32_t scratch[TILE_SIZE * TILE_SIZE];
};

struct settle_history *settle_history_new(void)
{
    struct settle_history *self = calloc(1, sizeof *self);
    if (self)
        self->input_us = NO_TIME;
    return self;
}

void settle_history_reset(struct settle_history *self)
{
    for (int i = 0; i < self->n_entries; i++)
        free(self->entries[i]);
    free(self->entries);
    free(self->by_tile);
    self->entries = NULL;
    self->by_tile = NULL;
    self->n_entries = self->n_by_tile = self->hand = 0;
}

struct settle_history *settle_history_free(struct settle_history *self)
{
    if (self) {
        settle_history_reset(self);
        free(self);
    }
    return NULL;
}

/* Observed time: what passed while somebody looked. */
static int64_t observed(const struct settle_history *self, int64_t now_us)
{
    return (self->paused_us ? MIN(self->paused_us, now_us) : now_us) - self->gap_us;
}

void settle_history_pause(struct settle_history *self, int64_t now_us)
{
    if (!self->paused_us)
        self->paused_us = now_us;
}

void settle_history_resume(struct settle_history *self, int64_t now_us)
{
    if (self->paused_us)
        self->gap_us += MAX(now_us - self->paused_us, 0);
    self->paused_us = 0;
}

void settle_history_input(struct settle_history *self, int64_t now_us)
{
    self->n_inputs++;
    self->input_us = observed(self, now_us);
}

/* --- Boxes and pixels ------------------------------------------------------------------------- */

static bool box_equal(struct box a, struct box b)
{
    return a.x == b.x && a.y == b.y && a.w == b.w && a.h == b.h;
}

static bool box_contains(struct box a, struct box b)
{
    return b.x >= a.x && b.y >= a.y && b.x + b.w <= a.x + a.w && b.y + b.h <= a.y + a.h;
}

static struct box box_union(struct box a, struct box b)
{
    int x1 = MIN(a.x, b.x), y1 = MIN(a.y, b.y);
    int x2 = MAX(a.x + a.w, b.x + b.w), y2 = MAX(a.y + a.h, b.y + b.h);
    return (struct box){ (uint8_t)x1, (uint8_t)y1, (uint8_t)(x2 - x1), (uint8_t)(y2 - y1) };
}

static uint64_t box_bits(struct box box)
{
    uint64_t all = box.w >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << box.w) - 1;
    return all << box.x;
}

/* A text caret, a bar or an underline, up to twice the usual density. */
static bool is_thin(struct box box)
{
    return (box.w <= 4 && box.h <= 48) || (box.h <= 4 && box.w <= 16);
}

static bool touches(const uint64_t rows[TILE_SIZE], struct box box)
{
    uint64_t bits = box_bits(box), any = 0;
    for (int y = box.y; y < box.y + box.h; y++)
        any |= rows[y] & bits;
    return any != 0;
}

static void clear_box(uint64_t rows[TILE_SIZE], struct box box)
{
    uint64_t bits = box_bits(box);
    for (int y = box.y; y < box.y + box.h; y++)
        rows[y] &= ~bits;
}

/* The box around all set bits; w 0 when there is none. */
static struct box bound(const uint64_t rows[TILE_SIZE])
{
    int top = 0, bottom = TILE_SIZE;
    uint64_t any = 0;
    while (top < TILE_SIZE && !rows[top])
        top++;
    if (top == TILE_SIZE)
        return (struct box){ 0 };
    while (!rows[bottom - 1])
        bottom--;
    for (int y = top; y < bottom; y++)
        any |= rows[y];
    int left = __builtin_ctzll(any), right = 64 - __builtin_clzll(any);
    return (struct box){ (uint8_t)left, (uint8_t)top, (uint8_t)(right - left),
                         (uint8_t)(bottom - top) };
}

static void compare(const struct tile *old, const struct tile *new, uint64_t rows[TILE_SIZE])
{
    for (int y = 0; y < TILE_SIZE; y++) {
        const uint32_t *a = old->pixels + y * TILE_SIZE, *b = new->pixels + y * TILE_SIZE;
        rows[y] = 0;
        if (memcmp(a, b, TILE_SIZE * sizeof *a) == 0)
            continue;
        for (int x = 0; x < TILE_SIZE; x++)
            rows[y] |= (uint64_t)(a[x] != b[x]) << x;
    }
}

static uint64_t hash_box(struct settle_history *self, const struct tile *tile, struct box box)
{
    if (box.w == TILE_SIZE && box.h == TILE_SIZE)
        return tile->hash;
    uint32_t *to = self->scratch;
    for (int y = box.y; y < box.y + box.h; y++, to += box.w)
        memcpy(to, tile->pixels + y * TILE_SIZE + box.x, box.w * sizeof *to);
    return XXH3_64bits(self->scratch, (size_t)box.w * box.h * sizeof *to);
}

/* --- Tiles ------------------------------------------------------------------------------------ */

static bool has_known(const struct tile_history *tile)
{
    for (int i = 0; i < BLINKERS_PER_TILE; i++)
        if (tile->blinkers[i].state >= BLINKER_KNOWN)
            return true;
    return false;
}

/* An entry to use again when the table is full. Looks at a few: a video must not make it slow. */
static int find_victim(struct settle_history *self, int64_t now)
{
    for (int i = 0; i < 4; i++) {
        self->hand = (self->hand + 1) % self->n_entries;
        struct tile_history *tile = self->entries[self->hand];
        int64_t age = now - tile->changed_us;
        if (age > STOP_MAX_US || (age > CANDIDATE_GAP_US && !has_known(tile))) {
            self->by_tile[tile->index] = 0;
            return self->hand;
        }
    }
    return -1;
}

static bool grow_index(struct settle_history *self, int index)
{
    if (index < self->n_by_tile)
        return true;
    int n = MAX(index + 1, self->n_by_tile * 2);
    uint16_t *by_tile = realloc(self->by_tile, (size_t)n * sizeof *by_tile);
    if (!by_tile)
        return false;
    memset(by_tile + self->n_by_tile, 0, (size_t)(n - self->n_by_tile) * sizeof *by_tile);
    self->by_tile = by_tile;
    self->n_by_tile = n;
    return true;
}

/* NULL when the table is full or memory is short: then nothing is learned there. */
static struct tile_history *get_tile(struct settle_history *self, int index, int64_t now)
{
    if (!grow_index(self, index))
        return NULL;
    if (self->by_tile[index])
        return self->entries[self->by_tile[index] - 1];
    int at = self->n_entries;
    if (at == TILES_MAX) {
        at = find_victim(self, now);
        if (at < 0)
            return NULL;
    } else {
        if (!self->entries)
            self->entries = calloc(TILES_MAX, sizeof(struct tile_history *));
        if (!self->entries || !(self->entries[at] = malloc(sizeof(struct tile_history))))
            return NULL;
        self->n_entries++;
    }
    *self->entries[at] = (struct tile_history){ .index = index };
    self->by_tile[index] = (uint16_t)(at + 1);
    return self->entries[at];
}

/* --- One blinker ------------------------------------------------------------------------------ */

static bool has_content(const struct blinker *self, uint64_t content)
{
    for (int i = 0; i < self->n_contents; i++)
        if (self->contents[i] == content)
            return true;
    return false;
}

/* The oldest goes when the set is full. */
static void add_content(struct blinker *self, uint64_t content)
{
    if (has_content(self, content))
        return;
    self->contents[self->next_content] = content;
    self->next_content = (self->next_content + 1) % CONTENTS_MAX;
    self->n_contents = MIN(self->n_contents + 1, CONTENTS_MAX);
}

static bool is_over(const struct blinker *self, int64_t now)
{
    int64_t limit = CLAMP(self->longest_us * STOP_PHASES, STOP_MIN_US, STOP_MAX_US);
    return now - self->changed_us > (self->state == BLINKER_CANDIDATE ? CANDIDATE_GAP_US : limit);
}

/* Notes a change at this moment; says whether it was the first since the latest input. */
static bool mark_change(struct blinker *self, const struct settle_history *history, int64_t now)
{
    bool is_first = self->window != history->n_inputs;
    if (is_first) {
        self->window = history->n_inputs;
        self->window_us = now;
        self->n_in_window = 0;
    }
    self->n_in_window++;
    self->changed_us = now;
    return is_first;
}

static void begin(struct blinker *self, const struct settle_history *history, struct box box,
                  uint64_t before, uint64_t after, int64_t now)
{
    *self = (struct blinker){ .state = BLINKER_CANDIDATE, .box = box, .window = -1 };
    add_content(self, before);
    add_content(self, after);
    mark_change(self, history, now);
}

/* A new content breaks the alternation: evidence begins again, the contents stay. */
static void break_evidence(struct blinker *self, int64_t now)
{
    self->n_in_window = 1;
    self->window_us = now;
    self->n_beats = 0;
    self->longest_us = 0;
}

static void push_beat(struct blinker *self, int64_t now, int64_t delay_us)
{
    if (self->n_beats == BEATS_MAX) {
        memmove(self->beats, self->beats + 1, (BEATS_MAX - 1) * sizeof self->beats[0]);
        self->n_beats--;
    }
    self->beats[self->n_beats++] = (struct beat){ now, delay_us };
}

static bool is_regular(const struct blinker *self)
{
    if (self->n_beats < BEATS_MAX)
        return false;
    const struct beat *b = self->beats;
    int64_t period = b[2].at_us - b[0].at_us, low = b[0].delay_us, high = low;
    for (int i = 1; i < BEATS_MAX; i++) {
        low = MIN(low, b[i].delay_us);
        high = MAX(high, b[i].delay_us);
        if (i >= 2 && llabs(b[i].at_us - b[i - 2].at_us - period) > LEARN_JITTER_US)
            return false;
    }
    return high - low >= LEARN_SPREAD_US && b[BEATS_MAX - 1].at_us - b[0].at_us >= LEARN_US;
}

/* A change of a candidate's box to content. Returns true when it is known from here on. */
static bool learn(struct blinker *self, const struct settle_history *history, uint64_t content,
                  int64_t now)
{
    int64_t phase = now - self->changed_us;
    bool is_return = has_content(self, content);
    mark_change(self, history, now);
    if (!is_return) {
        if (self->n_contents == CONTENTS_MAX)
            self->n_contents = self->next_content = 0;
        add_content(self, content);
        break_evidence(self, now);
        return false;
    }
    self->longest_us = MAX(self->longest_us, phase);
    push_beat(self, now, history->input_us == NO_TIME ? 0 : now - history->input_us);
    bool is_undisturbed = self->n_in_window >= 3 && now - self->window_us >= LEARN_US;
    if (!is_undisturbed && !is_regular(self))
        return false;
    self->state = BLINKER_KNOWN;
    return true;
}

/* A change of a known blinker's box to content. Returns true when that does not count. */
static bool excuse(struct blinker *self, const struct settle_history *history, uint64_t content,
                   int64_t now)
{
    int64_t phase = now - self->changed_us;
    bool is_first = mark_change(self, history, now);
    bool is_return = has_content(self, content);
    add_content(self, content);
    if (is_return && (self->state == BLINKER_KNOWN || !is_first)) {
        self->state = BLINKER_KNOWN;
        self->n_unknown = 0;
        /* Phases stretch when the guest is busy, but a stop is not a phase. */
        self->longest_us = MAX(self->longest_us, MIN(phase, self->longest_us * 2));
        return true;
    }
    if (is_thin(self->box))
        return true;
    if (is_return)
        return false;
    self->state = BLINKER_DOUBTED;
    if (++self->n_unknown >= UNKNOWN_MAX) {
        self->state = BLINKER_CANDIDATE;
        break_evidence(self, now);
    }
    return false;
}

/* --- One change of one tile ------------------------------------------------------------------- */

/* Where a candidate may go: free, over, or the candidate that changed longest ago. NULL when all of
 * them are known. */
static struct blinker *find_room(struct tile_history *tile, int64_t now)
{
    struct blinker *best = NULL;
    for (int i = 1; i < BLINKERS_PER_TILE; i++) {
        struct blinker *b = &tile->blinkers[i];
        if (b->state == BLINKER_FREE || is_over(b, now))
            return b;
        if (b->state == BLINKER_CANDIDATE && (!best || b->changed_us < best->changed_us))
            best = b;
    }
    return best;
}

/* Takes the pixels of known blinkers out of counted; what is left of it in their boxes counts but
 * teaches nothing, so it goes out of rest only. */
static void excuse_known(struct settle_history *self, struct tile_history *tile,
                         const struct tile *new, const uint64_t changed[TILE_SIZE],
                         uint64_t counted[TILE_SIZE], uint64_t rest[TILE_SIZE], int64_t now)
{
    for (int i = 0; i < BLINKERS_PER_TILE; i++) {
        struct blinker *b = &tile->blinkers[i];
        if (b->state < BLINKER_KNOWN)
            continue;
        if (is_over(b, now)) {
            b->state = BLINKER_FREE;
            continue;
        }
        if (!touches(changed, b->box))
            continue;
        if (excuse(b, self, hash_box(self, new, b->box), now))
            clear_box(counted, b->box);
        clear_box(rest, b->box);
    }
}

static bool learn_exact(struct settle_history *self, struct tile_history *tile, struct box box,
                        const struct tile *old, const struct tile *new, int64_t now)
{
    uint64_t after = hash_box(self, new, box);
    for (int i = 1; i < BLINKERS_PER_TILE; i++) {
        struct blinker *b = &tile->blinkers[i];
        if (b->state == BLINKER_CANDIDATE && box_equal(b->box, box) && !is_over(b, now))
            return learn(b, self, after, now);
    }
    struct blinker *room = find_room(tile, now);
    if (room)
        begin(room, self, box, hash_box(self, old, box), after, now);
    return false;
}

static bool learn_wide(struct settle_history *self, struct tile_history *tile, struct box box,
                       const struct tile *old, const struct tile *new, int64_t now)
{
    struct blinker *wide = &tile->blinkers[0];
    bool is_new = wide->state == BLINKER_FREE || is_over(wide, now);
    if (is_new || !box_contains(wide->box, box)) {
        struct box all = is_new ? box : box_union(wide->box, box);
        begin(wide, self, all, hash_box(self, old, all), hash_box(self, new, all), now);
        return false;
    }
    if (!learn(wide, self, hash_box(self, new, wide->box), now))
        return false;
    struct blinker *room = find_room(tile, now);
    if (room)
        *room = *wide;
    wide->state = BLINKER_FREE;
    return room != NULL;
}

void settle_history_feed(struct settle_history *self, int index, const struct tile *old,
                         const struct tile *new, int64_t now_us, struct tile_change *ret)
{
    int64_t now = observed(self, now_us);
    ret->index = index;
    if (!old) {
        memset(ret->counted, 0xff, sizeof ret->counted);
        ret->counts = true;
        return;
    }
    compare(old, new, ret->counted);
    struct tile_history *tile = get_tile(self, index, now);
    if (tile) {
        uint64_t changed[TILE_SIZE], rest[TILE_SIZE];
        memcpy(changed, ret->counted, sizeof changed);
        memcpy(rest, ret->counted, sizeof rest);
        tile->changed_us = now;
        excuse_known(self, tile, new, changed, ret->counted, rest, now);
        struct box box = bound(rest);
        if (box.w) {
            struct blinker *wide = &tile->blinkers[0];
            bool is_known = learn_exact(self, tile, box, old, new, now);
            /* One blinker, one box. */
            if (is_known && box_equal(wide->box, box))
                wide->state = BLINKER_FREE;
            else
                is_known |= learn_wide(self, tile, box, old, new, now);
            if (is_known)
                clear_box(ret->counted, box);
        }
    }
    ret->counts = bound(ret->counted).w != 0;
}

int settle_history_n_blinkers(const struct settle_history *self, int64_t now_us)
{
    int64_t now = observed(self, now_us);
    int n = 0;
    for (int i = 0; i < self->n_entries; i++)
        for (int k = 0; k < BLINKERS_PER_TILE; k++) {
            const struct blinker *b = &self->entries[i]->blinkers[k];
            n += b->state >= BLINKER_KNOWN && !is_over(b, now);
        }
    return n;
}

size_t settle_history_bytes(const struct settle_history *self)
{
    return sizeof *self + (size_t)self->n_by_tile * sizeof *self->by_tile +
           (size_t)self->n_entries * sizeof(struct tile_history) +
           (self->entries ? TILES_MAX * sizeof(struct tile_history *) : 0);
}
