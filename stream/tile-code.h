/* Lossless code of a tile: one colour, a palette with runs, or QOI's operations (docs/stream.md,
 * "Coded tiles"). Pure, for workers.
 *
 * On XFCE desktops and terminals as small as zlib at level 1 on the same tile, in a third of the
 * time: 10 us per tile of text, 3 us per tile of window. A page of small text is 10 % larger. */
#pragma once

#include "display/frame.h"

#define TILE_CODE_COLOURS 256
/* A coded tile has at most this many bytes: QOI's longest operation for every pixel. */
#define TILE_CODE_MAX (TILE_SIZE * TILE_SIZE * 4)
/* The same with alpha, per pixel. */
#define TILE_CODE_ALPHA_BYTES 5

enum tile_code { TILE_SOLID, TILE_PALETTE, TILE_GREY_PALETTE, TILE_TRUE };

/* Codes the tile's visible part, width x height pixels, into out (TILE_CODE_MAX bytes) and sets
 * *ret_size. TILE_SOLID writes nothing: its colour is the tile's first pixel. */
enum tile_code tile_code_encode(const struct tile *tile, int width, int height, uint8_t *out,
                                size_t *ret_size);
/* Undoes it: width * height pixels without gaps, 0xffRRGGBB. -EPROTO for what no encoder writes.
 * Not for TILE_SOLID. */
int tile_code_decode(enum tile_code code, const uint8_t *data, size_t size, int width, int height,
                     uint32_t *out);

/* QOI's operations for n pixels of 0xAARRGGBB with straight alpha, into out (TILE_CODE_ALPHA_BYTES
 * per pixel): for cursor shapes. Returns the size. */
size_t tile_code_encode_true(const uint32_t *pixels, int n, uint8_t *out);
/* Fills n pixels; alpha comes as it is. -EPROTO when data ends early or late. */
int tile_code_decode_true(const uint8_t *data, size_t size, uint32_t *out, int n);
