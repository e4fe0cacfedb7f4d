/* What happened in a recording, as the API lists it: actions, events and marks. For workers. */
#pragma once

#include "replay/reading.h"

struct note_filter {
    const char *kind;          /* "action", "event", "mark"; NULL: all */
    const char *q;             /* text that some string in it contains, whatever the case; NULL: all */
    int64_t from_us, until_us; /* by at_us; until 0: no end */
    size_t limit;
};

/* Whether the entry is a note, and its kind. */
const char *note_kind(const struct index_entry *entry);
/* The note at place with "kind", "at_us" and "id" (its place, "segment-offset"); NULL when it cannot be
 * read. New reference. */
json_t *note_read(const struct reading *reading, struct place place);
bool note_contains(const json_t *note, const char *q);
/* Appends those that fit. */
void note_list(const struct reading *reading, const struct note_filter *filter, json_t *items);
