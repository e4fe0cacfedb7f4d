/* A table holds for each tile the hash of the content that was read, 0 for none. What is missing is
 * gathered into rectangles: tiles that touch belong together, and so do more than WORDS_PARTS_MAX
 * groups. A word that reaches into such a rectangle is read anew as a whole, so it widens what the
 * reader is given.
 *
 * Lines are found by geometry and not by the reader's word for it, because words of one line may come
 * from several readings. */
#include "display/words.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct words {
    int width, height;
    uint64_t *known; /* per tile; hashes of content, 0: not read */
    int n_tiles;
    struct word *list;
    int n;
};

struct words *words_new(void)
{
    return calloc(1, sizeof(struct words));
}

struct words *words_free(struct words *self)
{
    if (self) {
        free(self->known);
        free(self->list);
        free(self);
    }
    return NULL;
}

/* Bytes of the character at text, 0 when it is none that a word may have. */
static size_t character(const uint8_t *text, size_t size)
{
    uint8_t c = text[0];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || n > size || c <= 0x20 || c == 0x7f)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (c == 0xe0 && text[1] < 0xa0) || (c == 0xf0 && text[1] < 0x90);
    bool is_outside = (c == 0xed && text[1] > 0x9f) || (c == 0xf4 && text[1] > 0x8f);
    bool is_control = c == 0xc2 && text[1] < 0xa0;
    return is_overlong || is_outside || is_control ? 0 : n;
}

bool word_text_is_good(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = character((const uint8_t *)text + at, size - at);
        if (n == 0)
            return false;
        at += n;
    }
    return size > 0;
}

/* --- What is missing --------------------------------------------------------------------------- */

static bool prepare(struct words *self, const struct frame *frame)
{
    if (self->known && self->width == frame->width && self->height == frame->height)
        return true;
    free(self->known);
    self->n_tiles = frame_n_tiles(frame);
    self->known = calloc((size_t)self->n_tiles, sizeof *self->known);
    self->width = frame->width;
    self->height = frame->height;
    self->n = 0;
    return self->known != NULL;
}

static struct rect around(struct rect a, struct rect b)
{
    if (rect_is_empty(a))
        return b;
    int x = MIN(a.x, b.x), y = MIN(a.y, b.y);
    return (struct rect){ x, y, MAX(a.x + a.w, b.x + b.w) - x, MAX(a.y + a.h, b.y + b.h) - y };
}

static struct rect grow(struct rect r, int by, const struct frame *frame)
{
    return rect_intersect((struct rect){ r.x - by, r.y - by, r.w + 2 * by, r.h + 2 * by },
                          (struct rect){ 0, 0, frame->width, frame->height });
}

static bool touch(struct rect a, struct rect b)
{
    return a.x <= b.x + b.w && b.x <= a.x + a.w && a.y <= b.y + b.h && b.y <= a.y + a.h;
}

/* Adds a tile to the groups; groups that it joins become one. */
static int join(struct rect *groups, int n, struct rect tile)
{
    for (int i = 0; i < n;) {
        if (!touch(groups[i], tile)) {
            i++;
            continue;
        }
        tile = around(tile, groups[i]);
        groups[i] = groups[--n];
        i = 0;
    }
    if (n == WORDS_PARTS_MAX)
        groups[0] = around(groups[0], tile);
    else
        groups[n++] = tile;
    return n;
}

int words_missing(struct words *self, const struct frame *frame, struct rect region,
                  struct words_part out[WORDS_PARTS_MAX])
{
    struct rect groups[WORDS_PARTS_MAX];
    int n = 0;
    struct rect wanted = rect_intersect(region, (struct rect){ 0, 0, frame->width, frame->height });
    if (rect_is_empty(wanted) || !prepare(self, frame))
        return 0;
    for (int i = 0; i < self->n_tiles; i++) {
        struct rect tile = frame_tile_rect(frame, i);
        if (self->known[i] != frame->tiles[i]->hash && !rect_is_empty(rect_intersect(tile, wanted)))
            n = join(groups, n, tile);
    }
    for (int i = 0; i < n; i++) {
        out[i] = (struct words_part){ groups[i], grow(groups[i], WORDS_MARGIN, frame) };
        for (int k = 0; k < self->n; k++)
            if (!rect_is_empty(rect_intersect(self->list[k].rect, groups[i])))
                out[i].outer = around(out[i].outer, grow(self->list[k].rect, WORDS_MARGIN, frame));
    }
    return n;
}

/* --- What was read ----------------------------------------------------------------------------- */

static void mark_known(struct words *self, const struct frame *frame, struct rect inner)
{
    for (int i = 0; i < self->n_tiles; i++)
        if (!rect_is_empty(rect_intersect(frame_tile_rect(frame, i), inner)))
            self->known[i] = frame->tiles[i]->hash;
}

int words_put(struct words *self, const struct frame *frame, const struct words_part *part,
              const struct word *list, int n)
{
    if (!prepare(self, frame))
        return -ENOMEM;
    struct word *kept = malloc(((size_t)self->n + (size_t)n + 1) * sizeof *kept);
    if (!kept)
        return -ENOMEM;
    int n_kept = 0;
    struct rect replaced = part->inner;
    for (int i = 0; i < self->n; i++) {
        if (rect_is_empty(rect_intersect(self->list[i].rect, part->inner)))
            kept[n_kept++] = self->list[i];
        else
            replaced = around(replaced, self->list[i].rect);
    }
    int n_old = n_kept;
    for (int i = 0; i < n && n_kept < WORDS_MAX; i++) {
        bool is_new = !rect_is_empty(rect_intersect(list[i].rect, part->inner));
        /* In what replaced words leave free there may also be old ones that stay. */
        if (!is_new && !rect_is_empty(rect_intersect(list[i].rect, replaced))) {
            is_new = true;
            for (int k = 0; k < n_old && is_new; k++)
                is_new = rect_is_empty(rect_intersect(list[i].rect, kept[k].rect));
        }
        if (is_new)
            kept[n_kept++] = list[i];
    }
    free(self->list);
    self->list = kept;
    self->n = n_kept;
    mark_known(self, frame, part->inner);
    return 0;
}

/* --- Reading order ----------------------------------------------------------------------------- */

static bool same_line(const struct word *a, const struct word *b)
{
    int top = MAX(a->rect.y, b->rect.y);
    int bottom = MIN(a->rect.y + a->rect.h, b->rect.y + b->rect.h);
    return 2 * (bottom - top) >= MIN(a->rect.h, b->rect.h);
}

static int by_x(const void *a, const void *b)
{
    return ((const struct word *)a)->rect.x - ((const struct word *)b)->rect.x;
}

static int by_middle(const void *a, const void *b)
{
    const struct rect *r = &((const struct word *)a)->rect, *s = &((const struct word *)b)->rect;
    return (2 * r->y + r->h) - (2 * s->y + s->h);
}

/* By height first; each word that shares half of its height with the first of a line belongs to it. */
static void sort(struct word *list, int n)
{
    qsort(list, (size_t)n, sizeof *list, by_middle);
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && same_line(&list[from], &list[to]); to++)
            ;
        qsort(list + from, (size_t)(to - from), sizeof *list, by_x);
    }
}

int words_get(const struct words *self, struct rect region, struct word **ret)
{
    struct word *list = malloc(((size_t)self->n + 1) * sizeof *list);
    int n = 0;
    if (!list)
        return -ENOMEM;
    for (int i = 0; i < self->n; i++) {
        struct rect r = self->list[i].rect;
        struct rect middle = { r.x + r.w / 2, r.y + r.h / 2, 1, 1 };
        if (!rect_is_empty(rect_intersect(middle, region)))
            list[n++] = self->list[i];
    }
    sort(list, n);
    *ret = list;
    return n;
}

static bool follows(const struct word *a, const struct word *b)
{
    int gap = b->rect.x - (a->rect.x + a->rect.w), height = MAX(a->rect.h, b->rect.h);
    return same_line(a, b) && gap <= 3 * height && gap >= -a->rect.w;
}

static void extend(struct words_run *run, const struct word *word)
{
    run->confidence = run->n ? MIN(run->confidence, word->confidence) : word->confidence;
    run->rect = run->n ? around(run->rect, word->rect) : word->rect;
    run->n++;
}

static struct words_run line_at(const struct word *list, int n, int first)
{
    struct words_run run = { .first = first };
    do
        extend(&run, &list[first + run.n]);
    while (first + run.n < n && follows(&list[first + run.n - 1], &list[first + run.n]));
    return run;
}

int words_lines(const struct word *list, int n, struct words_run *out, int max)
{
    int count = 0;
    for (int at = 0; at < n && count < max; at += out[count++].n)
        out[count] = line_at(list, n, at);
    return count;
}

void words_text(const struct word *list, const struct words_run *run, struct buf *out)
{
    for (int i = 0; i < run->n; i++)
        buf_printf(out, "%s%s", i ? " " : "", list[run->first + i].text);
}

/* --- Texts ------------------------------------------------------------------------------------- */

/* Appends text as it is compared. */
static void fold(const char *text, struct buf *out)
{
    static const struct {
        const char *from, to;
    } shapes[] = {
        { "\u2018", '\'' }, { "\u2019", '\'' }, { "\u201c", '"' }, { "\u201d", '"' },
        { "\u2010", '-' },  { "\u2013", '-' },  { "\u2014", '-' },
    };
    while (*text) {
        size_t i = 0;
        while (i < ARRAY_LEN(shapes) && strncmp(text, shapes[i].from, strlen(shapes[i].from)) != 0)
            i++;
        char c = i < ARRAY_LEN(shapes) ? shapes[i].to : (char)tolower((unsigned char)*text);
        text += i < ARRAY_LEN(shapes) ? strlen(shapes[i].from) : 1;
        if (!isspace((unsigned char)c))
            buf_append(out, &c, 1);
    }
}

/* Where each word of the line ends in its folded text. */
static void fold_line(const struct word *list, const struct words_run *line, struct buf *out, size_t *ends)
{
    for (int i = 0; i < line->n; i++) {
        fold(list[line->first + i].text, out);
        ends[i] = out->size;
    }
}

static struct words_run part_of(const struct word *list, const struct words_run *line, const size_t *ends,
                                size_t from, size_t to)
{
    struct words_run run = { 0 };
    for (int i = 0; i < line->n; i++) {
        size_t start = i ? ends[i - 1] : 0;
        if (start >= to || ends[i] <= from)
            continue;
        if (run.n == 0)
            run.first = line->first + i;
        extend(&run, &list[line->first + i]);
    }
    return run;
}

int words_find(const struct word *list, int n, const char *text, struct words_run *out, int max)
{
    auto_buf struct buf wanted = BUF_INIT, folded = BUF_INIT;
    auto_free size_t *ends = malloc(((size_t)n + 1) * sizeof *ends);
    int count = 0;
    fold(text, &wanted);
    if (!ends || wanted.size == 0)
        return 0;
    for (int at = 0; at < n && count < max;) {
        struct words_run line = line_at(list, n, at);
        folded.size = 0;
        fold_line(list, &line, &folded, ends);
        const char *whole = buf_str(&folded), *hit = whole;
        while (count < max && (hit = strstr(hit, buf_str(&wanted)))) {
            size_t from = (size_t)(hit - whole);
            out[count++] = part_of(list, &line, ends, from, from + wanted.size);
            hit += wanted.size;
        }
        at += line.n;
    }
    return count;
}
