/* Fields of looking for things on the screen; the rows are in rows-sight.h. */
#pragma once

#include "api/table-screen.h"

/* What a condition has besides its kind. region is the caller's. */
#define CONDITION_FIELDS                                                                           \
    { .name = "x", .type = API_INTEGER, .max = SIZE_MAX_PX, .text = "Of a `pixel`." },             \
    { .name = "y", .type = API_INTEGER, .max = SIZE_MAX_PX, .text = "Of a `pixel`." },             \
    { .name = "color", .type = API_STRING, .min = 7, .max = 7, .text = "Of a `pixel`: `#rrggbb`." }, \
    PICTURE("Of an `image`: "),                                                                    \
    TOLERANCE,                                                                                     \
    MIN_SCORE,                                                                                     \
    { .name = "text", .type = API_STRING, .min = 1, .max = 256,                                    \
      .text = "Of `text`: what must be on the screen, see `desktop_find`. Of `window`: a part of a title, " \
              "whatever the case." },                                                              \
    { .name = "absent", .type = API_BOOLEAN, .fallback = "false",                                  \
      .text = "Wait until what is looked for is not there." }

#define PICTURE(what)                                                                              \
    { .name = "picture", .type = API_STRING, .min = 4, .max = 1400000,                             \
      .text = what "a PNG in base64, at most 1 MiB and 262144 pixels. Transparent pixels match anything." }
#define TOLERANCE                                                                                  \
    { .name = "tolerance", .type = API_INTEGER, .max = 255,                                        \
      .text = "By how much each channel may differ, 0 to 255. Default: 0 for a `pixel`, 24 for a picture." }
#define MIN_SCORE                                                                                  \
    { .name = "min_score", .type = API_NUMBER, .min = 0.5, .max = 1, .fallback = "0.95",           \
      .text = "The share of a picture's pixels, and of those where it is not flat, that must match." }

extern const struct api_field api_find_sight_body[], api_find_sight_result[];
extern const struct api_field api_marks_body[], api_marks_result[];
extern const struct api_field api_compare_query[], api_compare_result[];
extern const struct api_field api_watch_body[], api_sight_event[];
/* "found" of a wait and of an event. */
extern const struct api_field api_found_fields[];
