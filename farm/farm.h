/* The farm: all sandboxes of this host, their journal, keys, images and limits.
 *
 * Everything here runs on the loop thread. Functions that take a principal act for that caller: a
 * key sees only its own sandboxes, admins see all; what a caller may not see is not found. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/worker.h"
#include "farm/keys.h"

struct farm;
struct sandbox;

struct farm_config {
    const char *state_dir;  /* journal, sandboxes/ID/; created with mode 0700 */
    const char *cache_dir;  /* images/NAME/image.json */
    const char *accel;      /* "auto", "kvm" or "tcg" */
    const char *qemu;       /* NULL: qemu-system-x86_64 from PATH */
    struct key_limits host_limits; /* of all sandboxes together; 0 means the built-in default */
    const char *boot;       /* of a create without `boot`: "auto" (NULL) uses templates, "cold" powers on */
    int pool;               /* QEMUs started in advance per template; < 0: default (1) */
    bool is_recording_off;  /* sandboxes that say nothing are not recorded */
    int64_t record_days;    /* recordings older than that go; 0: never by age; < 0: default */
    int64_t record_mib;     /* all recordings together; 0: default (farm/recording.h) */
    int64_t linger_us;      /* how long a screen nobody looks at stays attached; < 0: default */
};

/* Opens the state directory, takes its lock, adopts guests that still run. Two daemons cannot share
 * a state directory: the second gets bad_config. */
int farm_new(struct farm **ret, const struct farm_config *config, struct loop *loop,
             struct worker_pool *pool, struct error *err);
/* Guests that have not been ended by farm_stop_all go on running and are adopted at the next start. */
struct farm *farm_free(struct farm *self);

/* Deletes every sandbox; done runs when the last guest is gone. Creation is refused from here on. */
void farm_stop_all(struct farm *self, void (*done)(void *data), void *data);
/* No new sandboxes, /readyz false. */
void farm_drain(struct farm *self);
/* 0 when a create would be accepted; else not_ready with the reason. */
int farm_check_ready(struct farm *self, struct error *err);

struct keys *farm_keys(struct farm *self);
struct worker_pool *farm_pool(struct farm *self);

/* Starts a sandbox. request is the body of POST /v1/sandboxes, validated by its row of the API table:
 * image{uri}, resourceLimits{cpu,memory,disk}, timeout, metadata{}, env{}, entrypoint[], display{width,
 * height}, network. Limits of the key and of the host are checked before anything starts
 * (quota_exceeded). The sandbox is Pending on return; it is the farm's. */
int farm_create(struct farm *self, const struct principal *who, const json_t *request,
                struct sandbox **ret, struct error *err);

/* NULL with not_found in err when there is none that who may see. Borrowed: valid for this turn of the
 * loop; to keep one across turns use sandbox_ref. */
struct sandbox *farm_find(struct farm *self, const struct principal *who, const char *id,
                          struct error *err);

struct farm_filter {
    const char *const *states; /* NULL-terminated OpenSandbox state names; NULL: all */
    const json_t *metadata;    /* object of strings that must all be equal; NULL: all */
    int page;                  /* from 1 */
    int page_size;             /* 1–200 */
};

/* {"items":[…],"pagination":{"page","pageSize","totalItems","totalPages","hasNextPage"}}, newest first. */
json_t *farm_list(struct farm *self, const struct principal *who, const struct farm_filter *filter);

/* {"items":[{"name","description","width","height","cpus","memory_mib","hash"}…]} */
json_t *farm_images(struct farm *self);
/* {"accel","accel_reason","sandboxes","limits":{…},"qemu","version"} */
json_t *farm_info(struct farm *self);
/* Prometheus text of the farm's own counters and gauges, appended to out. */
void farm_metrics(struct farm *self, struct buf *out);
/* Counts fields that an OpenSandbox route ignored. */
void farm_count_ignored_fields(struct farm *self, int n);
