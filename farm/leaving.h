/* Guests that were taken from their sandbox and are being ended: their directory and uid are theirs
 * until they are gone. Not for web/. */
#pragma once

#include "base/list.h"

#include <sys/types.h>

struct farm;
struct farm_stock;
struct guest;

/* Kills the guest (NULL: it is gone already) and removes its directory, taken over, when it has
 * ended. */
void leaving_add(struct farm *farm, struct guest *guest, char *dir, uid_t uid);
bool leaving_has_uid(const struct farm_stock *stock, uid_t uid);
/* Forgets them all; the next daemon's sweep finds what is left. */
void leaving_free_all(struct farm_stock *stock);
