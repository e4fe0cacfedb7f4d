/* What the files of the exports know of each other. */
#pragma once

#include "replay/export.h"
#include "replay/hand.h"
#include "replay/note.h"

#include <stdio.h>

struct export {
    const struct export_params *params;
    struct export_progress *progress;
    struct reading reading;
    json_t *notes;               /* all, by time */
    struct hand hand;            /* what a person did */
    int64_t first_us, end_us;    /* of the film: its first frame; the last record */
    int64_t wall_us;             /* at first_us */
    int width, height;           /* the largest screen */
    size_t n_frames;
};

/* --- export-film.c ---------------------------------------------------------------------------- */

/* The film of the recording, at path. share: permille of the progress that it is. */
int export_film(struct export *self, const char *path, bool has_overlay, int share, struct error *err);
/* The frame of that id as PNG; NULL when it is not there. */
struct bytes *export_picture(struct export *self, int64_t frame);

/* --- export-agentnet.c ------------------------------------------------------------------------ */

void export_agentnet_events(const struct export *self, struct buf *out);
void export_agentnet_metadata(const struct export *self, struct buf *out);

/* --- export-shapes.c -------------------------------------------------------------------------- */

bool export_is_action(const json_t *note);
const json_t *export_action(const json_t *note);
/* Native pixels; 0, 0 for one without. */
void export_point(const json_t *note, int *x, int *y);
/* The keys of a chord, "ctrl+c" or ["ctrl", "c"]; sequences are told as they are. New reference. */
json_t *export_keys(const json_t *action);
void export_vtt(const struct export *self, struct buf *out);
void export_json(const struct export *self, struct buf *out);
/* A line of traj.jsonl. */
void export_osworld_step(const struct export *self, const json_t *note, int step, const char *picture,
                         struct buf *out);
/* pictures: per action, an array of file names or null. */
void export_atif(const struct export *self, const json_t *pictures, struct buf *out);
void export_html(const struct export *self, const struct buf *film, struct buf *out);
/* The text, keys or direction of what was done, for those who watch; appends nothing for what is seen anyway. */
void export_words(const json_t *note, struct buf *out);
/* An action in a few words. */
void export_describe(const json_t *note, struct buf *out);
