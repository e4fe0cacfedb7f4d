/* Tiles that a box touches are copied before they are drawn on; all others stay shared. Colours alternate so
 * that neighbours can be told apart, and labels are white on the box's colour. Digits are 5x7 pixels, doubled. */
#include "display/overlay.h"

#include <stdio.h>
#include <string.h>

#define ZOOM 2
#define DIGIT_W 5
#define DIGIT_H 7

static const uint8_t digits[10][DIGIT_H] = {
    { 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e }, { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e },
    { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f }, { 0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e },
    { 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 }, { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e },
    { 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e }, { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 },
    { 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e }, { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c },
};

static const uint32_t colors[] = { 0xffd81b60, 0xff1e66c8, 0xff00796b, 0xff8e24aa, 0xffc75300, 0xff37474f };

struct canvas {
    struct frame *frame;
    const struct frame *base;
    bool has_failed;
};

/* The tile at (x, y) as one that may be written. */
static struct tile *own_tile(struct canvas *self, int x, int y)
{
    int i = y / TILE_SIZE * self->frame->columns + x / TILE_SIZE;
    if (self->frame->tiles[i] != self->base->tiles[i])
        return self->frame->tiles[i];
    struct tile *copy = tile_new();
    if (!copy) {
        self->has_failed = true;
        return NULL;
    }
    memcpy(copy->pixels, self->base->tiles[i]->pixels, sizeof copy->pixels);
    copy->hash = 0;
    tile_unref(self->frame->tiles[i]);
    return self->frame->tiles[i] = copy;
}

static void put(struct canvas *self, int x, int y, uint32_t color)
{
    if (x < 0 || y < 0 || x >= self->frame->width || y >= self->frame->height)
        return;
    struct tile *tile = own_tile(self, x, y);
    if (tile)
        tile->pixels[y % TILE_SIZE * TILE_SIZE + x % TILE_SIZE] = color;
}

static void fill(struct canvas *self, struct rect r, uint32_t color)
{
    r = rect_intersect(r, (struct rect){ 0, 0, self->frame->width, self->frame->height });
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            put(self, x, y, color);
}

static void draw_digit(struct canvas *self, int digit, int x, int y)
{
    for (int row = 0; row < DIGIT_H; row++)
        for (int column = 0; column < DIGIT_W; column++)
            if (digits[digit][row] >> (DIGIT_W - 1 - column) & 1)
                fill(self, (struct rect){ x + column * ZOOM, y + row * ZOOM, ZOOM, ZOOM }, 0xffffffff);
}

static void draw_label(struct canvas *self, int number, struct rect box, uint32_t color)
{
    char text[12];
    int n = snprintf(text, sizeof text, "%d", number);
    struct rect label = { box.x, box.y, n * (DIGIT_W + 1) * ZOOM + ZOOM, (DIGIT_H + 2) * ZOOM };
    /* Above the box, so that it hides nothing of it; below its upper edge where there is no room. */
    label.y = box.y >= label.h ? box.y - label.h : box.y;
    label.x = CLAMP(label.x, 0, MAX(self->frame->width - label.w, 0));
    fill(self, label, color);
    for (int i = 0; i < n; i++)
        draw_digit(self, text[i] - '0', label.x + ZOOM + i * (DIGIT_W + 1) * ZOOM, label.y + ZOOM);
}

static void draw_box(struct canvas *self, struct rect box, uint32_t color)
{
    fill(self, (struct rect){ box.x, box.y, box.w, 2 }, color);
    fill(self, (struct rect){ box.x, box.y + box.h - 2, box.w, 2 }, color);
    fill(self, (struct rect){ box.x, box.y, 2, box.h }, color);
    fill(self, (struct rect){ box.x + box.w - 2, box.y, 2, box.h }, color);
}

struct frame *overlay_boxes(const struct frame *base, const struct rect *boxes, int n)
{
    struct canvas canvas = { .frame = frame_new(base->width, base->height, base), .base = base };
    if (!canvas.frame)
        return NULL;
    canvas.frame->id = base->id;
    canvas.frame->epoch = base->epoch;
    canvas.frame->captured_us = base->captured_us;
    for (int i = 0; i < n; i++)
        draw_box(&canvas, boxes[i], colors[(size_t)i % ARRAY_LEN(colors)]);
    for (int i = 0; i < n; i++)
        draw_label(&canvas, i + 1, boxes[i], colors[(size_t)i % ARRAY_LEN(colors)]);
    if (canvas.has_failed)
        return frame_unref(canvas.frame);
    return canvas.frame;
}
