/* Fields of the operations on sandboxes; the rows are in rows-sandbox.h. */
#pragma once

#include "api/table.h"

#define IDLE { .name = "idle", .type = API_OBJECT, .is_nullable = true,                            \
    .text = "What happens when nobody uses it; null or absent: nothing. A use is a request that "    \
            "reaches into it (an action, a screenshot, a command, a viewer, for as long as it "      \
            "lasts), not one for its state or for lists.",                                           \
    .fields = FIELDS{                                                                                \
        { .name = "seconds", .type = API_INTEGER, .is_required = true, .min = 1, .max = 31536000,    \
          .text = "How long without a use." },                                                       \
        { .name = "action", .type = API_STRING, .values = VALUES{ "hibernate", "delete", NULL },     \
          .fallback = "\"hibernate\"", .text = "`hibernate` puts it to disk until it is used again." },\
        END } }

extern const struct api_field api_sandbox_fields[], api_sandbox_element, api_pagination_fields[];
extern const struct api_field api_create_body[], api_list_query[];
extern const struct api_field api_snapshot_fields[], api_snapshot_element, api_snapshot_query[];
