/* Which tiles keep changing in ways that cost many bytes, and where a film seems to play. Pure.
 *
 * A tile is hot when it was fed HEAT_CHANGES times within a second. A region is the box around the
 * hot tiles, when they fill most of it, are at least HEAT_SHARE of the screen, and have been so for
 * HEAT_WARM_US. It is cold when nothing in it was fed for HEAT_COOL_US. */
#pragma once

#include "display/frame.h"

#define HEAT_CHANGES 10
#define HEAT_TILES_MIN 12
#define HEAT_SIDE_MIN 3 /* tiles: the rows that a scroll brings are no film */
#define HEAT_SHARE 24 /* one twenty-fourth of the screen's tiles */
#define HEAT_FILL 2   /* at least one half of the box */
#define HEAT_WARM_US 500000
#define HEAT_COOL_US 2000000

struct heat;

struct heat *heat_new(void);
struct heat *heat_free(struct heat *self);
/* Tile index of a screen of columns x rows tiles cost many bytes at now_us. A screen of another
 * size begins anew. */
void heat_feed(struct heat *self, int columns, int rows, int index, int64_t now_us);
/* The hot region in tiles; empty (w 0) when there is none. */
struct rect heat_region(struct heat *self, int64_t now_us);
