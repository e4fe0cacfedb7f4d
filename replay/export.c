#include "replay/export-impl.h"

#include "base/fs.h"
#include "replay/tar.h"

#include <errno.h>
#include <string.h>

#define FILM_BYTES_MAX ((size_t)512 << 20) /* of a page that holds it */

static const struct {
    const char *name, *mime, *suffix;
} formats[] = {
    [EXPORT_MP4] = { "mp4", "video/mp4", ".mp4" },
    [EXPORT_VTT] = { "vtt", "text/vtt; charset=utf-8", ".vtt" },
    [EXPORT_JSON] = { "json", "application/json", ".json" },
    [EXPORT_AGENTNET] = { "agentnet", "application/x-tar", "-agentnet.tar" },
    [EXPORT_OSWORLD] = { "osworld", "application/x-tar", "-osworld.tar" },
    [EXPORT_ATIF] = { "atif", "application/x-tar", "-atif.tar" },
    [EXPORT_HTML] = { "html", "text/html; charset=utf-8", ".html" },
};
_Static_assert(ARRAY_LEN(formats) == EXPORT_FORMAT_COUNT, "one row per format");

int export_format_parse(const char *name, enum export_format *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *ret = (enum export_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *export_format_name(enum export_format format)
{
    return formats[format].name;
}

const char *export_format_mime(enum export_format format)
{
    return formats[format].mime;
}

const char *export_format_suffix(enum export_format format)
{
    return formats[format].suffix;
}

/* --- What there is ---------------------------------------------------------------------------- */

static int compare_notes(const void *a, const void *b)
{
    int64_t x = json_get_int(*(json_t *const *)a, "at_us", 0), y = json_get_int(*(json_t *const *)b, "at_us", 0);
    return (x > y) - (x < y);
}

/* Records come when an action has ended; they are told by when it began. */
static int sort_notes(struct export *self)
{
    size_t n = json_array_size(self->notes);
    auto_free json_t **items = calloc(n + 1, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        items[i] = json_incref(json_array_get(self->notes, i));
    qsort(items, n, sizeof *items, compare_notes);
    json_array_clear(self->notes);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(self->notes, items[i]);
    return 0;
}

static int look(struct export *self, struct error *err)
{
    const struct reading *reading = &self->reading;
    int64_t meta_us = 0;
    for (struct place at = reading_first(reading); reading_entry(reading, at); reading_next(reading, &at)) {
        const struct index_entry *entry = reading_entry(reading, at);
        if (entry->type == RECORD_SCREEN) {
            self->width = MAX(self->width, (int)(entry->frame >> 32));
            self->height = MAX(self->height, (int)(entry->frame & 0xffff));
        } else if (entry->type == RECORD_FRAME) {
            self->first_us = self->n_frames++ ? self->first_us : entry->time_us;
        } else if (entry->type == RECORD_META && !meta_us) {
            auto_json json_t *meta = reading_note(reading, at);
            meta_us = entry->time_us;
            self->wall_us = json_get_int(meta, "wall_us", 0);
        }
    }
    self->wall_us += self->first_us - meta_us;
    self->end_us = MAX(reading_last_us(reading), self->first_us);
    struct note_filter filter = { .limit = SIZE_MAX };
    note_list(reading, &filter, self->notes);
    if (sort_notes(self) < 0 || hand_read(&self->hand, reading) < 0)
        return error_errno(err, ENOMEM, "exporting");
    return self->n_frames > 0 && self->width > 0
               ? 0
               : error_set(err, ERROR_CONFLICT, "the recording has no frame yet: there is nothing to export");
}

/* --- Archives --------------------------------------------------------------------------------- */

static int add_text(struct export *self, FILE *tar, const char *name, struct buf *text)
{
    return text->failed ? -ENOMEM : tar_add(tar, name, text->data, text->size, self->wall_us);
}

static int add_film(struct export *self, FILE *tar, const char *name, int share, struct error *err)
{
    auto_free char *path = NULL;
    if (asprintf(&path, "%s.film", self->params->path) < 0)
        return error_errno(err, ENOMEM, "exporting");
    int r = export_film(self, path, self->params->has_overlay, share, err);
    if (r == 0) {
        r = tar_add_file(tar, name, path, self->wall_us);
        if (r < 0)
            error_errno(err, -r, "exporting");
    }
    unlink(path);
    return r;
}

/* A picture per action, of the frame after it; names gets the name of each, or null. */
static int add_pictures(struct export *self, FILE *tar, const char *prefix, json_t *names, int share)
{
    json_t *note;
    size_t i;
    int number = 0, start = self->progress->permille, r = 0;
    json_array_foreach(self->notes, i, note) {
        char name[64];
        if (!export_is_action(note) || self->progress->is_cancelled)
            continue;
        struct bytes *picture = export_picture(self, json_get_int(note, "after", 0));
        snprintf(name, sizeof name, "%s%04d.png", prefix, ++number);
        if (picture && r == 0)
            r = tar_add(tar, name, picture->data, picture->size, self->wall_us);
        json_array_append_new(names, picture ? json_string(name) : json_null());
        bytes_unref(picture);
        self->progress->permille = start + (int)((i + 1) * (size_t)share / json_array_size(self->notes));
    }
    return r;
}

static int write_agentnet(struct export *self, FILE *tar, struct error *err)
{
    auto_buf struct buf events = BUF_INIT, metadata = BUF_INIT;
    export_agentnet_events(self, &events);
    export_agentnet_metadata(self, &metadata);
    int r = add_film(self, tar, "video.mp4", 950, err);
    if (r == 0)
        r = add_text(self, tar, "events.jsonl", &events);
    return r < 0 ? r : add_text(self, tar, "metadata.json", &metadata);
}

static int write_osworld(struct export *self, FILE *tar, struct error *err)
{
    auto_buf struct buf lines = BUF_INIT;
    auto_json json_t *names = json_array();
    json_t *note;
    size_t i;
    int step = 0, r = add_pictures(self, tar, "step_", names, 300);
    json_array_foreach(self->notes, i, note) {
        if (!export_is_action(note))
            continue;
        export_osworld_step(self, note, step + 1, json_string_value(json_array_get(names, (size_t)step)), &lines);
        step++;
    }
    if (r == 0)
        r = add_text(self, tar, "traj.jsonl", &lines);
    return r < 0 ? r : add_film(self, tar, "recording.mp4", 650, err);
}

static int write_atif(struct export *self, FILE *tar, struct error *err maybe_unused)
{
    auto_buf struct buf text = BUF_INIT;
    auto_json json_t *names = json_array();
    int r = add_pictures(self, tar, "images/step_", names, 900);
    export_atif(self, names, &text);
    return r < 0 ? r : add_text(self, tar, "trajectory.json", &text);
}

static int write_tar(struct export *self, int (*write)(struct export *, FILE *, struct error *), struct error *err)
{
    FILE *tar = fopen(self->params->path, "we");
    if (!tar)
        return error_errno(err, errno, "exporting");
    int r = write(self, tar, err);
    if (r == 0)
        r = tar_end(tar);
    if (fclose(tar) != 0 && r == 0)
        r = -errno;
    return r < 0 && err && !err->is_set ? error_errno(err, -r, "exporting") : r;
}

/* --- Single files ----------------------------------------------------------------------------- */

static int write_text(struct export *self, void (*write)(const struct export *, struct buf *), struct error *err)
{
    auto_buf struct buf text = BUF_INIT;
    write(self, &text);
    return fs_write_atomic(self->params->path, text.data, text.size, 0600, err);
}

static int write_html(struct export *self, struct error *err)
{
    auto_buf struct buf film = BUF_INIT, text = { .limit = FILM_BYTES_MAX * 2 };
    auto_free char *path = NULL;
    if (asprintf(&path, "%s.film", self->params->path) < 0)
        return error_errno(err, ENOMEM, "exporting");
    int r = export_film(self, path, true, 950, err);
    film.limit = FILM_BYTES_MAX;
    if (r == 0)
        r = fs_read(path, FILM_BYTES_MAX, &film, err);
    unlink(path);
    if (r < 0)
        return r;
    export_html(self, &film, &text);
    return text.failed ? error_set(err, ERROR_TOO_LARGE, "the film is too large for one page")
                       : fs_write_atomic(self->params->path, text.data, text.size, 0600, err);
}

static int write_format(struct export *self, struct error *err)
{
    switch (self->params->format) {
    case EXPORT_MP4: return export_film(self, self->params->path, self->params->has_overlay, 1000, err);
    case EXPORT_VTT: return write_text(self, export_vtt, err);
    case EXPORT_JSON: return write_text(self, export_json, err);
    case EXPORT_AGENTNET: return write_tar(self, write_agentnet, err);
    case EXPORT_OSWORLD: return write_tar(self, write_osworld, err);
    case EXPORT_ATIF: return write_tar(self, write_atif, err);
    default: return write_html(self, err);
    }
}

int export_run(const struct export_params *params, struct export_progress *progress, struct error *err)
{
    struct export self = { .params = params, .progress = progress, .notes = json_array() };
    int r = self.notes ? reading_open(&self.reading, params->dir, err) : error_errno(err, ENOMEM, "exporting");
    if (r == 0)
        r = look(&self, err);
    if (r == 0)
        r = write_format(&self, err);
    if (r == 0 && progress->is_cancelled)
        r = error_set(err, ERROR_CANCELLED, "the export was cancelled");
    if (r < 0)
        unlink(params->path);
    else
        progress->permille = 1000;
    hand_deinit(&self.hand);
    reading_close(&self.reading);
    json_decref(self.notes);
    return r;
}
