/* What a key may hold, and the daemon as a whole. Everything is found out before anything starts. Not for
 * web/.
 *
 * A sandbox is charged with its CPUs and memory while it has a guest, and with the whole size of its disk
 * always. A checkpoint is charged to the key of its sandbox with what its files take: devices, pages, its own
 * layer of the disk and, of one below which there is no template, the RAM. A template is charged to nobody. */
#pragma once

#include "farm/keys.h"

struct charge;
struct farm;
struct sandbox;

/* Room for `count` more sandboxes like this, by the key's limits and the daemon's; quota_exceeded. */
int quota_check(struct farm *farm, const struct principal *who, const struct charge *each, int64_t count,
                struct error *err);
/* Room for the guest of a sandbox that hibernates. */
int quota_check_wake(struct farm *farm, const struct sandbox *sandbox, struct error *err);
/* Room for a checkpoint of a sandbox, whose key pays for it, if every page of its RAM was written: in
 * *ret_mib. It is to be held (struct fork) until the checkpoint is listed. */
int quota_check_checkpoint(struct farm *farm, const struct sandbox *sandbox, int64_t *ret_mib, struct error *err);
/* Room for a checkpoint of so many MiB of this key's. */
int quota_check_disk(struct farm *farm, const char *owner, int64_t mib, struct error *err);
/* What is held by a key's id, "" for those of no key; NULL: by all. */
struct key_limits quota_held(struct farm *farm, const char *owner);
