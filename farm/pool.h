/* QEMUs that were started in advance and wait for a state: per template, farm_config.pool of them.
 *
 * Starting a QEMU in its jail is most of what a restore costs. A spare belongs to a template's RAM and
 * machine, so it serves new sandboxes, live forks and restores of everything that came from that
 * template. A template's pool is filled when it is first used, and again shortly after a spare was
 * taken, off the critical path. Memory of an idle spare: about 30 MiB. Not for web/. */
#pragma once

#include "farm/checkpoint.h"

#include <sys/types.h>

struct guest;
struct farm_stock;

/* Somebody uses this RAM and machine: keep spares for it when it is a template's. */
void pool_touch(struct farm *farm, const struct checkpoint *checkpoint);
/* A spare that fits: guest, directory and uid are the caller's; *ret_known is how many layers of the
 * checkpoint's chain it shows already. NULL: none is ready. */
struct guest *pool_claim(struct farm *farm, const struct checkpoint *checkpoint, char **ret_dir,
                         uid_t *ret_uid, size_t *ret_known);
bool pool_has_uid(const struct farm_stock *stock, uid_t uid);
/* The size of a template's pool has changed. */
void pool_resize(struct farm *farm, struct checkpoint *template);
/* {"size","ready","bytes"} of a template. */
json_t *pool_json(struct farm *farm, const struct checkpoint *template);
/* Memory that spares hold; NULL: those of all templates. */
int64_t pool_bytes(const struct farm_stock *stock, const struct checkpoint *template);
int pool_count(const struct farm_stock *stock);
/* Ends the spares of a template that is deleted; NULL: all. */
void pool_drop(struct farm *farm, const struct checkpoint *template);
