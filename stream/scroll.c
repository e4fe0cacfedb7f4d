/* The box around the changed pixels is cut into columns at tile borders. Every row of a column is
 * hashed in both frames. Rows of the new frame that differ from the old one in place, but appear in
 * the old one exactly once elsewhere, vote for a distance; the distance with most votes is taken if
 * it has enough. Then, per column, runs of rows that match at that distance become copies; runs in
 * neighbouring columns that cover nearly the same rows are joined.
 *
 * Hashes only propose. The rows of a copy are compared pixel by pixel in the end, so a collision
 * cannot spoil the picture.
 *
 * It finds one vertical movement per frame: a terminal, a page. Windows that are dragged move
 * sideways too and are not found. */
#include "stream/scroll.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define TILES_MIN 6  /* fewer changed tiles are cheaper than looking */
#define VOTES_MIN 24
#define ROWS_MIN 16  /* of a copy */
#define SLOTS 4096   /* of the table of one column's rows */

struct search {
    const struct frame *old, *new;
    struct rect box;
    int n_columns;
    uint64_t *before, *after; /* hashes, box.h per column */
};

static const uint32_t *pixel(const struct frame *frame, int x, int y)
{
    const struct tile *tile = frame->tiles[y / TILE_SIZE * frame->columns + x / TILE_SIZE];
    return &tile->pixels[y % TILE_SIZE * TILE_SIZE + x % TILE_SIZE];
}

/* --- The box ---------------------------------------------------------------------------------- */

/* The box around the pixels that differ in one tile, in framebuffer pixels. */
static struct rect find_tile_box(const struct frame *old, const struct frame *new, int index)
{
    const uint32_t *a = old->tiles[index]->pixels, *b = new->tiles[index]->pixels;
    struct rect at = frame_tile_rect(new, index);
    int left = TILE_SIZE, right = -1, top = -1, bottom = -1;
    for (int y = 0; y < TILE_SIZE; y++, a += TILE_SIZE, b += TILE_SIZE) {
        if (memcmp(a, b, TILE_SIZE * sizeof *a) == 0)
            continue;
        top = top < 0 ? y : top;
        bottom = y;
        int x = 0;
        while (a[x] == b[x])
            x++;
        left = MIN(left, x);
        x = TILE_SIZE - 1;
        while (a[x] == b[x])
            x--;
        right = MAX(right, x);
    }
    if (top < 0)
        return (struct rect){ 0 };
    return (struct rect){ at.x + left, at.y + top, right - left + 1, bottom - top + 1 };
}

static struct rect find_box(const struct frame *old, const struct frame *new, const int *changed,
                            int n)
{
    struct rect box = { 0 };
    for (int i = 0; i < n; i++)
        box = rect_union(box, find_tile_box(old, new, changed[i]));
    return box;
}

/* Column number c of the box. */
static struct rect column_rect(const struct search *self, int c)
{
    int first = self->box.x / TILE_SIZE, end = self->box.x + self->box.w;
    int x1 = MAX(self->box.x, (first + c) * TILE_SIZE), x2 = MIN(end, (first + c + 1) * TILE_SIZE);
    return (struct rect){ x1, self->box.y, x2 - x1, self->box.h };
}

static void hash_column(const struct search *self, int c)
{
    struct rect r = column_rect(self, c);
    uint64_t *before = self->before + (size_t)c * (size_t)r.h,
             *after = self->after + (size_t)c * (size_t)r.h;
    for (int y = 0; y < r.h; y++) {
        const uint32_t *a = pixel(self->old, r.x, r.y + y), *b = pixel(self->new, r.x, r.y + y);
        size_t size = (size_t)r.w * sizeof *a;
        before[y] = XXH3_64bits(a, size);
        after[y] = memcmp(a, b, size) == 0 ? before[y] : XXH3_64bits(b, size);
    }
}

/* --- The distance ----------------------------------------------------------------------------- */

/* Rows of a column by hash: row + 1, or -1 for one that is there more than once. */
struct rows {
    uint64_t hashes[SLOTS];
    int16_t rows[SLOTS];
};

static unsigned find_slot(const struct rows *self, uint64_t hash)
{
    unsigned slot = (unsigned)(hash >> 32) % SLOTS;
    while (self->rows[slot] && self->hashes[slot] != hash)
        slot = (slot + 1) % SLOTS;
    return slot;
}

/* Half of the table is enough for 2048 rows; what is beyond does not vote. */
static void fill_rows(struct rows *self, const uint64_t *hashes, int n)
{
    memset(self->rows, 0, sizeof self->rows);
    for (int y = 0; y < MIN(n, SLOTS / 2); y++) {
        unsigned slot = find_slot(self, hashes[y]);
        self->rows[slot] = self->rows[slot] ? -1 : (int16_t)(y + 1);
        self->hashes[slot] = hashes[y];
    }
}

static void vote(const struct search *self, int c, struct rows *rows, int *votes)
{
    int h = self->box.h;
    const uint64_t *before = self->before + (size_t)c * (size_t)h,
                   *after = self->after + (size_t)c * (size_t)h;
    fill_rows(rows, before, h);
    for (int y = 0; y < h; y++) {
        if (before[y] == after[y])
            continue;
        int row = rows->rows[find_slot(rows, after[y])];
        if (row > 0)
            votes[y - (row - 1) + h]++;
    }
}

/* The distance with most votes; 0 when none has enough. */
static int find_distance(const struct search *self)
{
    int h = self->box.h, best = 0;
    auto_free struct rows *rows = malloc(sizeof *rows);
    auto_free int *votes = calloc(2 * (size_t)h + 1, sizeof *votes);
    if (!rows || !votes)
        return 0;
    for (int c = 0; c < self->n_columns; c++)
        vote(self, c, rows, votes);
    for (int d = -h; d <= h; d++)
        if (votes[d + h] >= VOTES_MIN && (best == 0 || votes[d + h] > votes[best + h]))
            best = d;
    return best;
}

/* --- Copies ----------------------------------------------------------------------------------- */

static bool is_same(const struct search *self, struct rect r, int dy)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w;) {
            int n = MIN(TILE_SIZE - x % TILE_SIZE, r.x + r.w - x);
            if (memcmp(pixel(self->new, x, y), pixel(self->old, x, y - dy), (size_t)n * 4) != 0)
                return false;
            x += n;
        }
    return true;
}

/* Joins run to a copy that ends where it begins and covers nearly the same rows. */
static bool join(struct scroll_copy *copies, int n, struct rect run)
{
    for (int i = 0; i < n; i++) {
        struct rect *r = &copies[i].region;
        int y1 = MAX(r->y, run.y), y2 = MIN(r->y + r->h, run.y + run.h);
        if (r->x + r->w == run.x && (y2 - y1) * 10 >= MAX(r->h, run.h) * 9) {
            *r = (struct rect){ r->x, y1, r->w + run.w, y2 - y1 };
            return true;
        }
    }
    return false;
}

static int add_runs(const struct search *self, int c, int dy, struct scroll_copy *copies, int n)
{
    struct rect column = column_rect(self, c);
    int h = column.h, first = MAX(dy, 0), end = MIN(h, h + dy);
    const uint64_t *before = self->before + (size_t)c * (size_t)h,
                   *after = self->after + (size_t)c * (size_t)h;
    for (int y = first; y < end;) {
        int from = y, n_changed = 0;
        for (; y < end && after[y] == before[y - dy]; y++)
            n_changed += after[y] != before[y];
        struct rect run = { column.x, column.y + from, column.w, y - from };
        y++;
        if (run.h < ROWS_MIN || n_changed == 0 || join(copies, n, run))
            continue;
        if (n == SCROLL_COPIES_MAX)
            break;
        copies[n++] = (struct scroll_copy){ run, dy };
    }
    return n;
}

/* Ascending for contents that move up, so that no copy overwrites what a later one reads. */
static void sort_copies(struct scroll_copy *copies, int n, int dy)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0; k--) {
            int above = copies[k - 1].region.y, below = copies[k].region.y;
            if (dy < 0 ? above <= below : above >= below)
                break;
            struct scroll_copy swap = copies[k];
            copies[k] = copies[k - 1];
            copies[k - 1] = swap;
        }
}

static int find_copies(struct search *self, struct scroll_copy *copies)
{
    for (int c = 0; c < self->n_columns; c++)
        hash_column(self, c);
    int dy = find_distance(self), n = 0, n_good = 0;
    if (dy == 0)
        return 0;
    for (int c = 0; c < self->n_columns; c++)
        n = add_runs(self, c, dy, copies, n);
    for (int i = 0; i < n; i++)
        if (is_same(self, copies[i].region, dy))
            copies[n_good++] = copies[i];
    sort_copies(copies, n_good, dy);
    return n_good;
}

int scroll_find(const struct frame *old, const struct frame *new, const int *changed, int n,
                struct scroll_copy copies[SCROLL_COPIES_MAX])
{
    if (n < TILES_MIN || old->width != new->width || old->height != new->height)
        return 0;
    struct search search = { .old = old, .new = new, .box = find_box(old, new, changed, n) };
    struct rect box = search.box;
    if (rect_is_empty(box) || box.h < 2 * ROWS_MIN)
        return 0;
    search.n_columns = (box.x + box.w - 1) / TILE_SIZE - box.x / TILE_SIZE + 1;
    size_t n_hashes = (size_t)search.n_columns * (size_t)box.h;
    auto_free uint64_t *hashes = malloc(2 * n_hashes * sizeof *hashes);
    if (!hashes)
        return 0;
    search.before = hashes;
    search.after = hashes + n_hashes;
    return find_copies(&search, copies);
}

bool scroll_completes(const struct frame *old, const struct frame *new,
                      const struct scroll_copy *copies, int n_copies, int index)
{
    struct rect at = frame_tile_rect(new, index);
    uint32_t pixels[TILE_SIZE * TILE_SIZE];
    bool is_touched = false;
    memcpy(pixels, old->tiles[index]->pixels, sizeof pixels);
    for (int i = 0; i < n_copies; i++) {
        struct rect part = rect_intersect(at, copies[i].region);
        if (rect_is_empty(part))
            continue;
        is_touched = true;
        struct rect from = { part.x, part.y - copies[i].dy, part.w, part.h };
        frame_read(old, from, pixels + (part.y - at.y) * TILE_SIZE + (part.x - at.x), TILE_SIZE);
    }
    return is_touched && memcmp(pixels, new->tiles[index]->pixels, sizeof pixels) == 0;
}
