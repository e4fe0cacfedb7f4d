/* x264 by libavcodec, opened at the first picture (5 to 20 ms, on the worker) and closed with the
 * object. One thread: a film in a window takes a few milliseconds a picture, and slices would
 * spread it over all CPUs for no gain in time. ultrafast and zerolatency: each picture comes out of
 * the same call that took it.
 *
 * Colours are BT.601 limited, converted here in integers; said so in the stream's VUI. */
#include "stream/video.h"

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <pthread.h>
#include <string.h>

struct video {
    _Atomic int refs;
    struct rect region;
    int width, height; /* coded: even */
    /* The worker's. */
    bool has_failed;
    AVCodecContext *context;
    AVFrame *picture;
    AVPacket *packet;
    uint32_t *pixels; /* the region, two rows at a time */
    int64_t pts;
};

/* x264 initialises tables when it is opened. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

struct video *video_new(struct rect region)
{
    struct video *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->refs = 1;
    self->region = region;
    self->width = (region.w + 1) & ~1;
    self->height = (region.h + 1) & ~1;
    return self;
}

struct video *video_ref(struct video *self)
{
    if (self)
        atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

struct video *video_unref(struct video *self)
{
    if (!self || atomic_fetch_sub(&self->refs, 1) != 1)
        return NULL;
    avcodec_free_context(&self->context);
    av_frame_free(&self->picture);
    av_packet_free(&self->packet);
    free(self->pixels);
    free(self);
    return NULL;
}

struct rect video_region(const struct video *self)
{
    return self->region;
}

/* --- On a worker ------------------------------------------------------------------------------ */

static void configure(const struct video *self, AVCodecContext *c)
{
    c->width = self->width;
    c->height = self->height;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){ 1, 60 };
    c->gop_size = 1 << 20;
    c->max_b_frames = 0;
    c->thread_count = 1;
    c->color_range = AVCOL_RANGE_MPEG;
    c->colorspace = AVCOL_SPC_SMPTE170M;
    c->color_primaries = AVCOL_PRI_SMPTE170M;
    c->color_trc = AVCOL_TRC_SMPTE170M;
    av_opt_set(c->priv_data, "preset", "ultrafast", 0);
    av_opt_set(c->priv_data, "tune", "zerolatency", 0);
    av_opt_set(c->priv_data, "profile", "baseline", 0);
    av_opt_set_double(c->priv_data, "crf", VIDEO_CRF, 0);
    av_opt_set(c->priv_data, "forced-idr", "1", 0);
    av_opt_set(c->priv_data, "x264-params",
               "keyint=infinite:scenecut=0:bframes=0:threads=1:sliced-threads=0:repeat-headers=1:"
               "annexb=1", 0);
}

static bool open_encoder(struct video *self)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    self->context = codec ? avcodec_alloc_context3(codec) : NULL;
    self->picture = av_frame_alloc();
    self->packet = av_packet_alloc();
    self->pixels = malloc((size_t)self->width * 2 * sizeof *self->pixels);
    if (!self->context || !self->picture || !self->packet || !self->pixels)
        return false;
    configure(self, self->context);
    self->picture->format = AV_PIX_FMT_YUV420P;
    self->picture->width = self->width;
    self->picture->height = self->height;
    pthread_mutex_lock(&open_lock);
    av_log_set_level(AV_LOG_QUIET);
    int r = avcodec_open2(self->context, codec, NULL);
    pthread_mutex_unlock(&open_lock);
    return r == 0 && av_frame_get_buffer(self->picture, 0) == 0;
}

static uint8_t luma(uint32_t c)
{
    uint32_t r = c >> 16 & 255, g = c >> 8 & 255, b = c & 255;
    return (uint8_t)((66 * r + 129 * g + 25 * b + 128 + (16 << 8)) >> 8);
}

/* Rows a and b, the picture's rows y and y + 1 (ITU-R BT.601, limited range, 8 bits of
 * fraction). */
static void convert_rows(struct video *self, const uint32_t *a, const uint32_t *b, int y)
{
    AVFrame *p = self->picture;
    uint8_t *ya = p->data[0] + y * p->linesize[0], *yb = ya + p->linesize[0];
    uint8_t *u = p->data[1] + y / 2 * p->linesize[1], *v = p->data[2] + y / 2 * p->linesize[2];
    for (int x = 0; x < self->width; x++) {
        ya[x] = luma(a[x]);
        yb[x] = luma(b[x]);
    }
    for (int x = 0; x < self->width; x += 2) {
        uint32_t rb =
            (a[x] & 0xff00ff) + (a[x + 1] & 0xff00ff) + (b[x] & 0xff00ff) + (b[x + 1] & 0xff00ff);
        int g = (int)((a[x] >> 8 & 255) + (a[x + 1] >> 8 & 255) + (b[x] >> 8 & 255) +
                      (b[x + 1] >> 8 & 255));
        int red = (int)(rb >> 16), blue = (int)(rb & 0xffff);
        u[x / 2] = (uint8_t)((-38 * red - 74 * g + 112 * blue + (128 << 10) + 512) >> 10);
        v[x / 2] = (uint8_t)((112 * red - 94 * g - 18 * blue + (128 << 10) + 512) >> 10);
    }
}

/* Odd sizes repeat the last column and row. */
static void convert(struct video *self, const struct frame *frame)
{
    struct rect r = self->region;
    for (int y = 0; y < self->height; y += 2) {
        for (int k = 0; k < 2; k++) {
            uint32_t *row = self->pixels + k * self->width;
            frame_read(frame, (struct rect){ r.x, r.y + MIN(y + k, r.h - 1), r.w, 1 }, row, r.w);
            if (self->width > r.w)
                row[r.w] = row[r.w - 1];
        }
        convert_rows(self, self->pixels, self->pixels + self->width, y);
    }
}

struct video_unit video_encode(struct video *self, const struct frame *frame, bool wants_key)
{
    struct video_unit unit = { 0 };
    if (self->has_failed || (!self->context && !open_encoder(self)) ||
        av_frame_make_writable(self->picture) < 0) {
        self->has_failed = true;
        return unit;
    }
    convert(self, frame);
    self->picture->pts = self->pts++;
    self->picture->pict_type = wants_key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    if (avcodec_send_frame(self->context, self->picture) == 0 &&
        avcodec_receive_packet(self->context, self->packet) == 0) {
        unit.data = bytes_copy(self->packet->data, (size_t)self->packet->size);
        unit.is_key = self->packet->flags & AV_PKT_FLAG_KEY;
        av_packet_unref(self->packet);
    }
    self->has_failed |= !unit.data;
    return unit;
}
