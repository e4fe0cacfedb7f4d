/* Recordings in forms that other programs read. Made on a worker, into a file.
 *
 *   mp4       a film, H.264, a sample per recorded frame at its time; overlay: pointer, clicks, keys and typed text
 *             drawn in, with samples of their own where the screen stood still
 *   vtt       the actions as WebVTT subtitles for it
 *   json      the actions, events and marks, times in seconds from the film's beginning
 *   agentnet  tar: AgentNet's raw recording: video.mp4, events.jsonl, metadata.json
 *   osworld   tar: OSWorld's result folder: traj.jsonl, a picture per step, recording.mp4
 *   atif      tar: trajectory.json (ATIF 1.6) and images/
 *   html      one page that plays offline: film, actions, overlay */
#pragma once

#include "base/error.h"
#include "base/worker.h"

#include <stdatomic.h>

enum export_format {
    EXPORT_MP4, EXPORT_VTT, EXPORT_JSON, EXPORT_AGENTNET, EXPORT_OSWORLD, EXPORT_ATIF, EXPORT_HTML,
    EXPORT_FORMAT_COUNT,
};

/* -EINVAL for a name that is none. */
int export_format_parse(const char *name, enum export_format *ret);
const char *export_format_name(enum export_format format);
const char *export_format_mime(enum export_format format);
const char *export_format_suffix(enum export_format format); /* ".mp4" */

struct export_params {
    const char *dir;  /* the recording's folder */
    const char *path; /* of the file to be made */
    enum export_format format;
    bool has_overlay;
};

/* Shared with the one who waits. */
struct export_progress {
    _Atomic int permille;
    _Atomic bool is_cancelled;
};

/* The worker's part. On failure there is no file. cancelled when progress said so. */
int export_run(const struct export_params *params, struct export_progress *progress, struct error *err);
