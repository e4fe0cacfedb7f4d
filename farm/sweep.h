/* Throws away files of the state directory that no sandbox and no checkpoint names: layers, RAM,
 * device states, directories of guests. Whatever a daemon left half-written when it died is such a
 * file, so nothing else has to be undone. Not for web/. */
#pragma once

struct farm;

/* Kills what runs for guests that are none of this farm's sandboxes (any more). At the start, when everything
 * was read from the journal and before a guest is started. */
void sweep_end_strays(struct farm *farm);
/* At the start: all of it, temporary files too. */
void sweep_begin(struct farm *farm);
/* Soon, by a bulk worker; what is being written just now stays. */
void sweep_request(struct farm *farm);
