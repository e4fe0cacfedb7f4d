/* From the body of POST /v1/sandboxes to a starting sandbox, and what farm.c lends it for that. */
#pragma once

#include "farm/farm.h"
#include "farm/sandbox-impl.h"

const char *farm_cache_dir(const struct farm *self);
int farm_check_quota(struct farm *self, const struct principal *who, const struct charge *more,
                     struct error *err);
/* 0 when all are taken. */
uid_t farm_take_uid(struct farm *self);
/* Allocated. */
char *farm_sandbox_dir(struct farm *self, const char *id);
