/* What the guest's desktop copies, for whoever controls it: waits for its clipboard to change, and reads it
 * then. Nothing runs meanwhile, here or in the guest. */
#pragma once

#include "base/buf.h"

#define COPIED_MAX (1024 * 1024) /* bytes; what is larger is not told */

struct sandbox;
struct copied;

/* text is borrowed: UTF-8, as far as the guest keeps to it. Must not free the object. */
typedef void (*copied_fn)(void *data, struct bytes *text);

/* Only what is copied from now on. NULL when memory is short. A guest whose desktop cannot be asked
 * is asked again later. */
struct copied *copied_new(struct sandbox *sandbox, copied_fn fn, void *data);
/* Takes NULL, returns NULL. */
struct copied *copied_free(struct copied *self);
