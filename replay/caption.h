/* A line of text drawn into a picture, as subtitles are burnt into a film. Pure. */
#pragma once

#include "base/util.h"

/* Draws UTF-8 text in the lower middle of the picture (0xffRRGGBB, rows without gaps), white on a dark bar. The end
 * of what is too long is kept. Line ends are shown as a mark. NULL or "": nothing. */
void caption_draw(uint32_t *pixels, int width, int height, const char *text);
