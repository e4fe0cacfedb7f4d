/* Who is calling: API key, session cookie, or a local caller while there are no keys. */
#pragma once

#include "web/request.h"

/* Fills self->who; role none when the caller is not known. */
void caller_identify(struct request *self);
/* The secret that the request shows, by a header or a cookie; NULL when it shows none. */
const char *caller_secret(const struct request *self);
/* Why a caller of role none is refused, as unauthorized. */
int caller_refuse(const struct request *self, struct error *err);
