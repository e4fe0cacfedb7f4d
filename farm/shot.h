/* A shot: the still that an answer carries, taken once the screen is on. */
#pragma once

#include "base/error.h"
#include "display/settle-wait.h"
#include "display/still.h"
#include "farm/op.h"
#include "input/action.h"

/* Masks of a request; the rest of SETTLE_MASKS_MAX is for what surrounds a region. */
#define SHOT_MASKS_MAX (SETTLE_MASKS_MAX - 4)

struct shot_params {
    struct still_params still; /* not resolved */
    double scale;              /* of the region; 0: none, width and height count */
    int64_t if_changed_since;  /* frame id; 0: always a picture */
    bool is_cropped;           /* with if_changed_since: only the part that holds the changes */
};

/* From the query of GET …/screenshot, from the "screenshot" object of a request (NULL: defaults), and
 * from a screenshot or zoom action whose region is in native pixels already. bad_value names the
 * field. */
int shot_params_from_query(struct shot_params *ret, const json_t *query, struct error *err);
int shot_params_from_object(struct shot_params *ret, const json_t *object, struct error *err);
void shot_params_from_action(struct shot_params *ret, const struct action *action,
                             const struct rect *region);

/* Makes a size of params' scale, if it has one. */
void shot_apply_scale(struct shot_params *params, const struct frame *frame);
/* What answers say of an image. etag: at least 96 bytes. */
json_t *shot_image_json(const struct still *still, char *etag, size_t size);

/* The settle parameters of a request object (first_ms, quiet_ms, max_ms, masks). */
int shot_settle_params(struct settle_params *ret, const json_t *object, struct error *err);
/* Masks everything outside region of a screen of width x height. */
void shot_mask_outside(struct settle_params *params, struct rect region, int width, int height);
/* {"result","first_ms","last_ms","waited_ms","changed":[rects]}; times count from the injection. */
json_t *shot_settle_json(struct settle *settle);

struct shot;
struct shot_result {
    json_t *image;       /* owned by the receiver; NULL when unchanged */
    struct bytes *bytes; /* borrowed; NULL when unchanged */
    enum still_format format;
    char etag[96];
    bool is_unchanged;
};
/* The shot is gone when this runs. Never inside shot_start. err NULL on success. */
typedef void (*shot_fn)(void *data, struct shot_result *result, const struct error *err);

/* Waits up to SHOT_SCREEN_US for a screen, then takes the current frame. */
#define SHOT_SCREEN_US 10000000
struct shot *shot_start(struct sandbox *sandbox, const struct shot_params *params, shot_fn done,
                        void *data, struct error *err);
struct shot *shot_cancel(struct shot *self);

/* Runs done once the screen is on, or with not_ready after SHOT_SCREEN_US. Never inside the call. */
struct screen_wait;
typedef void (*screen_fn)(void *data, const struct error *err);
struct screen_wait *screen_wait_start(struct sandbox *sandbox, screen_fn done, void *data);
struct screen_wait *screen_wait_cancel(struct screen_wait *self);
