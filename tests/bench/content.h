/* Pictures to measure with: a desktop (flat windows, icons, antialiased text, a wallpaper with a
 * gradient) and noise. Deterministic. */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint32_t content_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline void content_noise(uint32_t *pixels, int width, int height)
{
    uint32_t state = 1;
    for (int i = 0; i < width * height; i++)
        pixels[i] = 0xff000000u | content_random(&state);
}

static inline void content_fill(uint32_t *pixels, int width, int height, int x, int y, int w, int h,
                                uint32_t colour)
{
    for (int row = y; row < y + h && row < height; row++)
        for (int col = x; col < x + w && col < width; col++)
            pixels[row * width + col] = colour;
}

/* Lines of letters: 96 glyphs of 7x11 with soft edges, chosen by a fixed sequence. */
static inline void content_text(uint32_t *pixels, int width, int height, int x, int y, int columns,
                                int lines, uint32_t seed)
{
    static uint8_t glyphs[96][11][7];
    if (!glyphs[1][5][3]) {
        uint32_t state = 7;
        for (int g = 0; g < 96; g++)
            for (int stroke = 0; stroke < 4; stroke++) {
                int sx = (int)(content_random(&state) % 6), sy = (int)(content_random(&state) % 8);
                int is_tall = (int)(content_random(&state) & 1);
                for (int k = 0; k < 5; k++) {
                    int gx = is_tall ? sx : (sx + k) % 7, gy = is_tall ? (sy + k) % 11 : sy;
                    glyphs[g][gy][gx] = 255;
                    if (gx + 1 < 7 && glyphs[g][gy][gx + 1] < 90)
                        glyphs[g][gy][gx + 1] = 90;
                }
            }
        glyphs[1][5][3] = 255;
    }
    uint32_t state = seed;
    for (int line = 0; line < lines; line++)
        for (int col = 0; col < columns; col++) {
            uint32_t g = content_random(&state) % 120;
            if (g >= 96)
                continue;
            for (int gy = 0; gy < 11; gy++)
                for (int gx = 0; gx < 7; gx++) {
                    int px = x + col * 8 + gx, py = y + line * 17 + gy;
                    uint32_t v = 255 - glyphs[g][gy][gx];
                    if (px < width && py < height && v < 255)
                        pixels[py * width + px] = 0xff000000u | v << 16 | v << 8 | v;
                }
        }
}

static inline void content_desktop(uint32_t *pixels, int width, int height)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            pixels[y * width + x] = 0xff000000u | (uint32_t)(30 + 40 * y / height) << 16 |
                                    (uint32_t)(60 + 60 * y / height + 10 * x / width) << 8 |
                                    (uint32_t)(110 + 50 * y / height);
    content_fill(pixels, width, height, 0, 0, width, 26, 0xff2b2b2b);
    content_text(pixels, width, height, 8, 7, 40, 1, 3);
    uint32_t state = 5;
    for (int i = 0; i < 8; i++) {
        int top = 60 + (height > 120 ? i * 84 % (height - 120) : 0);
        for (int y = top; y < top + 48 && y < height; y++)
            for (int x = 0; x < 48 && x + 30 < width; x++)
                pixels[y * width + 30 + x] = 0xff000000u | (uint32_t)(x * 5) << 16 |
                                             (uint32_t)((y - top) * 5) << 8 |
                                             (content_random(&state) & 15);
    }
    int w = width * 6 / 10, h = height * 7 / 10;
    content_fill(pixels, width, height, 120, 60, w, h, 0xfffafafa);
    content_fill(pixels, width, height, 120, 60, w, 30, 0xffd6d6d6);
    content_text(pixels, width, height, 130, 110, w / 8 - 4, h / 17 - 4, 11);
    content_fill(pixels, width, height, width / 2, height / 3, w * 2 / 3, h * 2 / 3, 0xffffffff);
    content_fill(pixels, width, height, width / 2, height / 3, w * 2 / 3, 30, 0xff3584e4);
    content_text(pixels, width, height, width / 2 + 10, height / 3 + 50, w / 16, h * 2 / 51 - 4,
                 17);
}
