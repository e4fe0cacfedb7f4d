/* Fields of the operations on the screen; the rows are in rows-screen.h. */
#pragma once

#include "api/table.h"

#define SIZE_MAX_PX 8192
#define FRAME_MAX 9007199254740991.0 /* 2^53 - 1: what a JSON number holds exactly */

#define AGENT { .name = "agent", .type = API_STRING,                                               \
                .values = VALUES{ "absent", "waiting", "ready", NULL },                            \
                .text = "Whether the agent in the guest answers; `absent`: the image has none." }

#define SCREEN_SIZE { .name = "display", .type = API_OBJECT, .text = "Size of the screen. Default: that of the image.",   \
                      .fields = api_screen_size }

extern const struct api_field api_screen_size[], api_shot_fields[];
extern const struct api_field api_display_fields[], api_resize_body[];
extern const struct api_field api_actions_body[], api_actions_result[];
extern const struct api_field api_screenshot_query[], api_changed_result[];
extern const struct api_field api_wait_body[], api_wait_result[];
