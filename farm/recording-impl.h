/* What recording.c and recording-sweep.c know of each other. */
#pragma once

#include "farm/journal.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"

struct recording {
    struct list link;
    struct recordings *owner_list;
    struct sandbox *sandbox; /* that writes it; NULL */
    char id[ID_MAX], sandbox_id[ID_MAX], owner[ID_MAX];
    char image[64], parent[ID_MAX], checkpoint[ID_MAX]; /* parent: a sandbox; "" */
    char reason[ERROR_MESSAGE_MAX];
    json_t *metadata;
    json_t *machine; /* a create request for one like its sandbox; {}: of an older daemon */
    int64_t created_us, ended_us; /* wall clock; ended 0: not */
    int64_t bytes;                /* on disk at the last look, without the segment that is written */
};

struct recordings {
    struct farm *farm;
    struct recording_limits limits;
    struct list all; /* in order of creation */
    struct timer *sweep;
    struct sweep_job *job; /* under way */
    bool is_wanted;        /* another, when it is done */
};

int sweep_recordings_begin(struct recordings *self, struct error *err);
void sweep_recordings_end(struct recordings *self);
/* Looks soon. */
void sweep_recordings_request(struct recordings *self);
/* Out of the journal and the list. */
void recordings_forget(struct recordings *self, struct recording *recording);
