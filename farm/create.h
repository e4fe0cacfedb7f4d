/* From the body of POST /v1/sandboxes to a starting sandbox, and what farm.c lends it for that. */
#pragma once

#include "farm/farm.h"
#include "farm/sandbox-impl.h"

const char *farm_cache_dir(const struct farm *self);
/* 0 when all are taken. */
uid_t farm_take_uid(struct farm *self);
/* Whether a create without `boot` uses templates. */
bool farm_uses_templates(const struct farm *self);

/* A listed sandbox without a guest begins as a new one does. */
int create_begin_again(struct sandbox *sandbox, struct error *err);
/* The template that it waited for is there, or err says why not: then it is powered on. */
void create_handle_baked(struct sandbox *sandbox, struct checkpoint *template, const struct error *err);

/* Allocated. */
char *farm_sandbox_dir(struct farm *self, const char *id);
