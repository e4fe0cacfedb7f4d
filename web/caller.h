/* Who is calling: API key, session cookie, or a local caller while there are no keys. */
#pragma once

#include "web/request.h"

/* Fills self->who; role none when the caller is not known. */
void caller_identify(struct request *self);
/* Why a caller of role none is refused, as unauthorized. */
int caller_refuse(const struct request *self, struct error *err);
