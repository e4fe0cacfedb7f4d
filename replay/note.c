#include "replay/note.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *note_kind(const struct index_entry *entry)
{
    switch (entry->type) {
    case RECORD_ACTION: return "action";
    case RECORD_EVENT: return "event";
    case RECORD_MARK: return "mark";
    default: return NULL;
    }
}

/* When it happened: for an action its first event, else when it was begun; its record comes later. */
static int64_t time_of(const json_t *note, const struct index_entry *entry)
{
    const json_t *injected = json_array_get(json_object_get(note, "injected_us"), 0);
    if (json_is_integer(injected))
        return json_integer_value(injected);
    return json_get_int(note, "queued_us", json_get_int(note, "time_us", entry->time_us));
}

json_t *note_read(const struct reading *reading, struct place place)
{
    char id[48];
    const struct index_entry *entry = reading_entry(reading, place);
    const char *kind = entry ? note_kind(entry) : NULL;
    json_t *note = kind ? reading_note(reading, place) : NULL;
    if (!note)
        return NULL;
    snprintf(id, sizeof id, "%d-%u", reading->segments[place.segment].number, entry->offset);
    json_object_set_new(note, "at_us", json_integer((json_int_t)time_of(note, entry)));
    json_object_set_new(note, "kind", json_string(kind));
    json_object_set_new(note, "id", json_string(id));
    return note;
}

static bool text_contains(const char *text, const char *q)
{
    size_t n = strlen(q);
    for (; *text; text++)
        if (strncasecmp(text, q, n) == 0)
            return true;
    return n == 0;
}

bool note_contains(const json_t *note, const char *q)
{
    const char *key;
    const json_t *value;
    size_t i;
    if (json_is_string(note))
        return text_contains(json_string_value(note), q);
    json_array_foreach((json_t *)(uintptr_t)note, i, value)
        if (note_contains(value, q))
            return true;
    json_object_foreach((json_t *)(uintptr_t)note, key, value)
        if (note_contains(value, q))
            return true;
    return false;
}

static bool fits(const json_t *note, const struct note_filter *filter)
{
    int64_t at_us = json_get_int(note, "at_us", 0);
    return (!filter->kind || strcmp(filter->kind, json_get_string(note, "kind", "")) == 0) &&
           at_us >= filter->from_us && (!filter->until_us || at_us <= filter->until_us) &&
           (!filter->q || note_contains(note, filter->q));
}

void note_list(const struct reading *reading, const struct note_filter *filter, json_t *items)
{
    for (struct place at = reading_first(reading);
         reading_entry(reading, at) && json_array_size(items) < filter->limit; reading_next(reading, &at)) {
        json_t *note = note_kind(reading_entry(reading, at)) ? note_read(reading, at) : NULL;
        if (note && fits(note, filter))
            json_array_append(items, note);
        json_decref(note);
    }
}
