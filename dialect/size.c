/* How large a picture of the screen a model is shown.
 *
 * An API that scales pictures down by itself answers with coordinates of the smaller one, and every click
 * misses. So the picture is made here to fit what the API takes as it is:
 *
 *   computer_20241022, _20250124, _20251124   long edge 1568, 1.15 million pixels (about 1600 tokens)
 *   computer_toolset_20260801, and no version long edge 2000 (of more than 20 pictures in a request,
 *                                             larger ones are refused), 4784 tokens of 750 pixels
 *   OpenAI                                    as it is, long edge 2560
 *   Gemini                                    long edge 1440, coordinates do not depend on it
 *   UI-TARS                                   multiples of 28, 100 to 16384 blocks of 28x28
 *   OSWorld                                   as it is */
#include "dialect/turn.h"

#include <math.h>
#include <string.h>

#define BLOCK 28

struct limit {
    double edge, pixels; /* 0: none */
};

static struct limit limit_of(enum dialect dialect, const char *tool)
{
    bool is_old = tool && (strcmp(tool, "computer_20241022") == 0 || strcmp(tool, "computer_20250124") == 0 ||
                           strcmp(tool, "computer_20251124") == 0);
    switch (dialect) {
    case DIALECT_ANTHROPIC: return is_old ? (struct limit){ 1568, 1.15e6 } : (struct limit){ 2000, 4784 * 750.0 };
    case DIALECT_OPENAI: return (struct limit){ 2560, 0 };
    case DIALECT_GEMINI: return (struct limit){ 1440, 0 };
    default: return (struct limit){ 0, 0 };
    }
}

static int blocks(double pixels, double (*round_to)(double))
{
    return MAX((int)round_to(pixels / BLOCK), 1) * BLOCK;
}

/* Each side a multiple of 28, as close to the screen's as the limits of the area allow. */
static struct turn_size in_blocks(struct turn_size screen)
{
    double w = screen.width, h = screen.height;
    const double least = 100.0 * BLOCK * BLOCK, most = 16384.0 * BLOCK * BLOCK;
    struct turn_size size = { blocks(w, round), blocks(h, round) };
    double area = (double)size.width * size.height;
    if (area > most) {
        double by = sqrt(w * h / most);
        size = (struct turn_size){ blocks(w / by, floor), blocks(h / by, floor) };
    } else if (area < least) {
        double by = sqrt(least / (w * h));
        size = (struct turn_size){ blocks(w * by, ceil), blocks(h * by, ceil) };
    }
    return size;
}

struct turn_size turn_image_size(enum dialect dialect, const char *tool, struct turn_size screen)
{
    if (dialect == DIALECT_UI_TARS)
        return in_blocks(screen);
    struct limit limit = limit_of(dialect, tool);
    double w = screen.width, h = screen.height, by = 1;
    if (limit.edge > 0)
        by = MIN(by, limit.edge / MAX(w, h));
    if (limit.pixels > 0)
        by = MIN(by, sqrt(limit.pixels / (w * h)));
    if (by >= 1)
        return screen;
    return (struct turn_size){ MAX((int)floor(w * by), 1), MAX((int)floor(h * by), 1) };
}
