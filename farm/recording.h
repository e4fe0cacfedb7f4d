/* Recordings of sandboxes: who has one, where it lies, how long it stays.
 *
 * A sandbox has one recording from the moment its desktop can be seen until it ends; a daemon that
 * comes back goes on with it in a new segment. A recording stays when its sandbox is deleted, until
 * somebody deletes it, or retention does: whole segments, the oldest first, when they are older than
 * record-days or all recordings together exceed record-max-mib.
 *
 *   RECORDING_RUNNING  its sandbox is there and writes
 *   RECORDING_STALLED  likewise, but the disk is full, or another error; tried again by itself
 *   RECORDING_ENDED    nothing more comes */
#pragma once

#include "farm/farm.h"

struct recordings;
struct recorder;
struct live_event;

enum recording_state { RECORDING_RUNNING, RECORDING_STALLED, RECORDING_ENDED };

struct recording_limits {
    bool is_on;      /* sandboxes that say nothing are recorded */
    int64_t days;    /* 0: no limit */
    int64_t max_mib; /* 0: the default, RECORDING_MAX_MIB or a fifth of the file system if that is less */
};

#define RECORDING_MAX_MIB ((int64_t)20480)
#define RECORDING_DAYS 30

/* --- For web/ --------------------------------------------------------------------------------- */

struct recording_filter {
    const char *sandbox, *image, *state; /* NULL: any */
    const json_t *metadata;              /* strings that must all be equal; NULL: any */
    int64_t since_us, until_us;          /* wall clock; running in that time; 0: any */
    int page, page_size;
};

/* {"items":[…],"pagination":{…}}, newest first. */
json_t *farm_recordings(struct farm *farm, const struct principal *who,
                        const struct recording_filter *filter);
/* NULL with not_found. New reference. */
json_t *farm_recording(struct farm *farm, const struct principal *who, const char *id,
                       struct error *err);
/* Its folder, allocated; NULL with not_found. The segments in it may be read at any time. */
char *farm_recording_dir(struct farm *farm, const struct principal *who, const char *id,
                         struct error *err);
/* A create request for a sandbox that begins as the recorded one began: of the checkpoint or template that it came
 * from, or powered on likewise. NULL with not_found; unsupported when that was not written down. New reference. */
json_t *farm_recording_again(struct farm *farm, const struct principal *who, const char *id,
                             struct error *err);
/* Writes a mark into a running one: label, data. done runs once it is in the file, with the mark as
 * JSON; conflict when the recording does not run. */
typedef void (*recording_fn)(void *data, const json_t *result, const struct error *err);
int farm_recording_mark(struct farm *farm, const struct principal *who, const char *id,
                        const json_t *mark, recording_fn done, void *data, struct error *err);
/* conflict while it runs. */
int farm_recording_delete(struct farm *farm, const struct principal *who, const char *id,
                          struct error *err);

/* --- For farm/, and what happens in web/ -------------------------------------------------------------------------------- */

int recordings_new(struct recordings **ret, struct farm *farm, const struct recording_limits *limits,
                   struct error *err);
struct recordings *recordings_free(struct recordings *self);
/* Bytes of all of them at the last look, and how many run. */
void recordings_count(const struct recordings *self, int64_t *ret_bytes, int *ret_running);

/* Begins or goes on, if the sandbox is to be recorded and is not; harmless otherwise. */
void recording_begin(struct sandbox *sandbox);
/* Writes all there is. event: the last one, such as "deleted". */
void recording_end(struct sandbox *sandbox, const char *event);
/* The daemon leaves, the guest stays: the recording can be gone on with. */
void recording_leave(struct sandbox *sandbox);
/* Something that happened to the sandbox. Takes detail, which may be NULL. */
void recording_event(struct sandbox *sandbox, const char *event, json_t *detail);
/* A command began in the guest; request has "command" or "argv", and "terminal" when it has one. Its
 * environment is not recorded. */
void recording_exec(struct sandbox *sandbox, const json_t *request);
/* It ended; result as the agent told it, NULL: it could not be told. */
void recording_exec_ended(struct sandbox *sandbox, const json_t *result);
/* What a person's hand did. */
void recording_live(struct sandbox *sandbox, const struct live_event *event);
/* {"id","state"} for the sandbox's JSON; null when it has none. New reference. */
json_t *recording_json_of(const struct sandbox *sandbox);
