/* How a request to deskfarm-desktop went, in the helper's own words. Pure. */
#pragma once

#include "base/json.h"

#define ANSWER_MAX 8192 /* bytes of its JSON */

/* What the helper wrote to the result pipe of a request, as the result of an END: an object, or one
 * with "error" when there is none or it is not what it should be. Never NULL but for memory. */
json_t *answer_read(const void *text, size_t size);
