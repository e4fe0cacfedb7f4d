/* One unit in, one picture out: the encoder does not reorder, so whatever the decoder holds back is an
 * error. BT.601, limited range. */
#include "replay/film.h"

#include "display/frame.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <string.h>

struct film {
    AVCodecContext *context;
    AVFrame *frame;
    AVPacket *packet;
};

struct film *film_free(struct film *self)
{
    if (!self)
        return NULL;
    avcodec_free_context(&self->context);
    av_frame_free(&self->frame);
    av_packet_free(&self->packet);
    free(self);
    return NULL;
}

struct film *film_new(int width, int height)
{
    const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
    struct film *self = codec ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    self->context = avcodec_alloc_context3(codec);
    self->frame = av_frame_alloc();
    self->packet = av_packet_alloc();
    if (!self->context || !self->frame || !self->packet)
        return film_free(self);
    self->context->thread_count = 1;
    self->context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    /* What a file says about sizes is not believed. */
    self->context->max_pixels = ((int64_t)width + 16) * (height + 16);
    av_log_set_level(AV_LOG_QUIET);
    return avcodec_open2(self->context, codec, NULL) < 0 ? film_free(self) : self;
}

static uint32_t clip(int v)
{
    return (uint32_t)CLAMP(v >> 8, 0, 255);
}

static void convert(const AVFrame *frame, int width, int height, uint32_t *out, int stride)
{
    for (int y = 0; y < height; y++) {
        const uint8_t *luma = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        const uint8_t *cb = frame->data[1] + (ptrdiff_t)(y / 2) * frame->linesize[1];
        const uint8_t *cr = frame->data[2] + (ptrdiff_t)(y / 2) * frame->linesize[2];
        uint32_t *to = out + (size_t)y * (size_t)stride;
        for (int x = 0; x < width; x++) {
            int c = 298 * (luma[x] - 16) + 128, d = cb[x / 2] - 128, e = cr[x / 2] - 128;
            to[x] = 0xff000000u | clip(c + 409 * e) << 16 | clip(c - 100 * d - 208 * e) << 8 |
                    clip(c + 516 * d);
        }
    }
}

int film_decode(struct film *self, const uint8_t *unit, size_t size, int width, int height,
                uint32_t *out, int stride)
{
    if (size > FRAME_BYTES_MAX || av_new_packet(self->packet, (int)size) < 0)
        return -EPROTO;
    memcpy(self->packet->data, unit, size);
    int r = avcodec_send_packet(self->context, self->packet);
    av_packet_unref(self->packet);
    if (r < 0 || avcodec_receive_frame(self->context, self->frame) < 0)
        return -EPROTO;
    bool is_good = (self->frame->format == AV_PIX_FMT_YUV420P ||
                    self->frame->format == AV_PIX_FMT_YUVJ420P) &&
                   self->frame->width >= width && self->frame->height >= height;
    if (is_good)
        convert(self->frame, width, height, out, stride);
    av_frame_unref(self->frame);
    return is_good ? 0 : -EPROTO;
}
