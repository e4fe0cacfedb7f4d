/* Exports of recordings under way and done: each is a file that can be fetched for EXPORTS_KEPT_US, then
 * it goes. They do not outlive the daemon. */
#pragma once

#include "base/json.h"
#include "base/worker.h"
#include "farm/keys.h"
#include "replay/export.h"

#define EXPORTS_MAX 32           /* under way or kept */
#define EXPORTS_KEPT_US ((int64_t)3600000000)

struct exports;
struct export_job;

/* Files go into dir, which is emptied first. NULL when memory is short. */
struct exports *exports_new(struct loop *loop, struct worker_pool *pool, const char *dir);
/* Takes NULL, returns NULL. */
struct exports *exports_free(struct exports *self);

/* Begins one of the recording in folder dir. quota_exceeded. */
struct export_job *exports_start(struct exports *self, const struct principal *who, const char *recording,
                                 const char *dir, enum export_format format, bool has_overlay, struct error *err);
/* NULL with not_found when there is none that who may see. */
struct export_job *exports_find(struct exports *self, const struct principal *who, const char *id,
                                struct error *err);
/* {"id","recording","format","state","progress","bytes","error"}. New reference. */
json_t *export_job_json(const struct export_job *self);
/* Path, name for a download, media type and bytes of one that is done; false before. Borrowed. */
bool export_job_file(const struct export_job *self, const char **ret_path, char name[96], const char **ret_mime,
                     int64_t *ret_bytes);
void export_job_delete(struct export_job *self);
