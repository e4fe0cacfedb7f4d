#include "replay/reading.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NOTE_READ 4096 /* bytes that hold most notes with their frame */

/* --- Segments --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct reading_segment *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int add_segment(struct reading *self, int number)
{
    struct reading_segment *segments =
        realloc(self->segments, ((size_t)self->n_segments + 1) * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    self->segments = segments;
    segments[self->n_segments++] = (struct reading_segment){ .number = number };
    return 0;
}

static int list_segments(struct reading *self, struct error *err)
{
    DIR *dir = opendir(self->dir);
    struct dirent *entry;
    int r = 0;
    if (!dir)
        return errno == ENOENT ? error_set(err, ERROR_NOT_FOUND, "the recording is gone")
                               : error_errno(err, errno, "opening a recording");
    while (r == 0 && (entry = readdir(dir))) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && strcmp(end, SEGMENT_SUFFIX) == 0 && number > 0 &&
            number < INT32_MAX && self->n_segments < READING_SEGMENTS_MAX)
            r = add_segment(self, (int)number);
    }
    closedir(dir);
    if (r < 0)
        return error_errno(err, ENOMEM, "opening a recording");
    if (self->n_segments == 0)
        return error_set(err, ERROR_NOT_FOUND, "nothing of the recording is left");
    qsort(self->segments, (size_t)self->n_segments, sizeof *self->segments, compare);
    return 0;
}

char *reading_path(const struct reading *self, int segment)
{
    char *path = NULL;
    int n = asprintf(&path, "%s/%06d" SEGMENT_SUFFIX, self->dir, self->segments[segment].number);
    return n < 0 ? NULL : path;
}

static int load(struct reading *self, int i, struct error *err)
{
    struct stat st;
    struct reading_segment *segment = &self->segments[i];
    auto_free char *path = reading_path(self, i);
    if (!path)
        return error_errno(err, ENOMEM, "opening a recording");
    if (stat(path, &st) == 0)
        segment->file_size = st.st_size;
    struct error local = { 0 };
    int r = index_load(&segment->index, path, &local);
    /* Retention took it meanwhile. */
    if (r < 0 && local.code == ERROR_NOT_FOUND)
        return 0;
    if (r < 0 && err)
        *err = local;
    return r;
}

int reading_open(struct reading *self, const char *dir, struct error *err)
{
    *self = (struct reading){ .dir = strdup(dir) };
    int r = self->dir ? list_segments(self, err) : error_errno(err, ENOMEM, "opening a recording");
    for (int i = 0; r == 0 && i < self->n_segments; i++)
        r = load(self, i, err);
    if (r < 0)
        reading_close(self);
    return r;
}

void reading_close(struct reading *self)
{
    for (int i = 0; i < self->n_segments; i++)
        index_deinit(&self->segments[i].index);
    free(self->segments);
    free(self->dir);
    *self = (struct reading){ 0 };
}

/* --- Places ----------------------------------------------------------------------------------- */

const struct index_entry *reading_entry(const struct reading *self, struct place place)
{
    if (place.segment >= self->n_segments || place.entry >= self->segments[place.segment].index.n)
        return NULL;
    return &self->segments[place.segment].index.entries[place.entry];
}

/* To the next segment that has entries. */
static bool settle(const struct reading *self, struct place *place)
{
    while (place->segment < self->n_segments &&
           place->entry >= self->segments[place->segment].index.n)
        *place = (struct place){ place->segment + 1, 0 };
    return place->segment < self->n_segments;
}

struct place reading_first(const struct reading *self)
{
    struct place place = { 0, 0 };
    settle(self, &place);
    return place;
}

bool reading_next(const struct reading *self, struct place *place)
{
    place->entry++;
    return settle(self, place);
}

int64_t reading_first_us(const struct reading *self)
{
    for (int i = 0; i < self->n_segments; i++)
        if (self->segments[i].index.first_us)
            return self->segments[i].index.first_us;
    return 0;
}

int64_t reading_last_us(const struct reading *self)
{
    for (int i = self->n_segments; i-- > 0;)
        if (self->segments[i].index.last_us)
            return self->segments[i].index.last_us;
    return 0;
}

int reading_find_frame(const struct reading *self, int64_t id, struct place *ret, int64_t *ret_next)
{
    bool is_seen = false, has_place = false;
    *ret_next = 0;
    for (struct place at = reading_first(self); reading_entry(self, at); reading_next(self, &at)) {
        const struct index_entry *e = reading_entry(self, at);
        if (e->type != RECORD_FRAME && e->type != RECORD_PASSED)
            continue;
        bool is_frame = e->type == RECORD_FRAME;
        if (e->frame == id && is_frame && e->flags & RECORD_FRAME_EXACT) {
            *ret = at;
            return READING_EXACT;
        }
        is_seen |= e->frame == id;
        if (is_frame && is_seen && !has_place && e->frame >= id) {
            *ret = at;
            has_place = true;
        }
        if (is_frame && e->frame > id && e->flags & RECORD_FRAME_EXACT && !*ret_next)
            *ret_next = e->frame;
        if (is_frame && e->frame > id && *ret_next && !is_seen)
            return READING_UNKNOWN;
        if (is_frame && e->frame > id && *ret_next)
            break;
    }
    return is_seen && has_place ? READING_LOSSY : READING_UNKNOWN;
}

int reading_find_time(const struct reading *self, int64_t time_us, struct place *ret)
{
    bool has_any = false;
    for (struct place at = reading_first(self); reading_entry(self, at); reading_next(self, &at)) {
        const struct index_entry *e = reading_entry(self, at);
        if (e->type != RECORD_FRAME)
            continue;
        if (has_any && e->time_us > time_us)
            break;
        *ret = at;
        has_any = true;
    }
    return has_any ? READING_EXACT : READING_UNKNOWN;
}

/* --- Painting --------------------------------------------------------------------------------- */

static bool is_paint(unsigned type)
{
    return type >= RECORD_SOLID && type <= RECORD_VIDEO;
}

/* Applies entries from data until the frame at target is whole. is_painted: the first is a frame that
 * canvas shows. */
static int apply(struct canvas *canvas, const uint8_t *data, size_t size, size_t target,
                 bool is_painted, struct error *err)
{
    const uint8_t *at = data;
    struct record record;
    int64_t time_us;
    while (true) {
        size_t offset = (size_t)(at - data);
        if (record_read_entry(&at, &size, &time_us, &record) != 0)
            return offset > target ? 0 : error_set(err, ERROR_INTERNAL, "the recording is damaged here");
        if (offset > target && !is_paint(record.type))
            return 0;
        is_painted &= offset == 0 || is_paint(record.type);
        int r = is_painted ? 0 : canvas_apply(canvas, &record);
        if (r == -ENOMEM)
            return error_errno(err, ENOMEM, "painting a frame");
        if (r < 0)
            return error_set(err, ERROR_INTERNAL, "the recording is damaged here");
    }
}

/* The nearest place to begin at: the last SCREEN with RECORD_SCREEN_BEGIN before it. */
static const struct index_entry *find_begin(const struct index *index, size_t entry)
{
    for (size_t i = entry + 1; i-- > 0;)
        if (index->entries[i].type == RECORD_SCREEN)
            return &index->entries[i];
    return NULL;
}

/* Where the frame's message ends at the latest. */
static int64_t end_of(const struct index *index, size_t entry)
{
    for (size_t i = entry + 1; i < index->n; i++)
        if (index->entries[i].offset > index->entries[entry].offset)
            return index->entries[i].offset;
    return index->size;
}

int reading_paint(const struct reading *self, struct canvas *canvas, const struct place *from,
                  struct place place, struct error *err)
{
    const struct index *index = &self->segments[place.segment].index;
    const struct index_entry *target = &index->entries[place.entry];
    const struct index_entry *begin = find_begin(index, place.entry);
    if (!begin)
        return error_set(err, ERROR_INTERNAL, "the recording is damaged here");
    int64_t start = begin->offset;
    bool is_on = from && from->segment == place.segment && from->entry < place.entry &&
                 index->entries[from->entry].offset >= start;
    if (is_on)
        start = index->entries[from->entry].offset;
    auto_buf struct buf data = BUF_INIT;
    auto_free char *path = reading_path(self, place.segment);
    if (!path)
        return error_errno(err, ENOMEM, "painting a frame");
    int r = segment_read(path, start, end_of(index, place.entry) - start, &data, err);
    return r < 0 ? r : apply(canvas, data.data, data.size, (size_t)(target->offset - start), is_on, err);
}

/* --- Notes ------------------------------------------------------------------------------------ */

static json_t *parse(const uint8_t *data, size_t size)
{
    struct record record;
    int64_t time_us;
    json_t *note = NULL;
    if (record_read_entry(&data, &size, &time_us, &record) != 0)
        return NULL;
    return json_parse_object((const char *)record.payload, record.size, &note, NULL) < 0 ? NULL : note;
}

json_t *reading_note(const struct reading *self, struct place place)
{
    const struct index_entry *entry = reading_entry(self, place);
    auto_free char *path = entry ? reading_path(self, place.segment) : NULL;
    auto_buf struct buf data = BUF_INIT;
    if (!path || segment_read(path, entry->offset, NOTE_READ, &data, NULL) < 0 ||
        data.size < RECORD_ENTRY_OVERHEAD)
        return NULL;
    size_t whole = RECORD_ENTRY_OVERHEAD + (size_t)record_get_u32(data.data + 8 + 4);
    if (whole > data.size && whole <= RECORD_PAYLOAD_MAX) {
        data.size = 0;
        if (segment_read(path, entry->offset, (int64_t)whole, &data, NULL) < 0)
            return NULL;
    }
    return parse(data.data, data.size);
}
