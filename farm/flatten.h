/* Chains of disk layers are kept short: what opening them costs grows with their length. Not for web/. */
#pragma once

#include <stddef.h>

struct chain;
struct farm;
struct farm_stock;
struct ram_base;

/* How many of a chain's layers are of the template below, which all that come from it share. */
size_t flatten_shared(struct farm *farm, const struct ram_base *base, const struct chain *chain);
/* A chain may have grown: looks soon, in the background. */
void flatten_request(struct farm *farm);
/* The daemon ends. */
void flatten_cut_off(struct farm_stock *stock);
