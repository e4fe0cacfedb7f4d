/* libavformat's muxer with x264. Times are milliseconds. A frame is handed to the encoder when the next
 * one comes, so that its duration is known; without frames out of order each gives one packet, and the
 * file has as many samples as the recording has frames. */
#include "replay/movie.h"

#include "display/frame.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <string.h>

#define CRF 20

struct movie {
    AVFormatContext *file;
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *picture;
    AVPacket *packet;
    int64_t last_ms; /* of the picture that waits; -1: none */
    bool has_picture;
};

static void destroy(struct movie *self)
{
    if (self->file)
        avio_closep(&self->file->pb);
    avformat_free_context(self->file);
    avcodec_free_context(&self->codec);
    av_frame_free(&self->picture);
    av_packet_free(&self->packet);
    free(self);
}

void movie_cancel(struct movie *self)
{
    if (self)
        destroy(self);
}

static int fail(struct error *err, int code, const char *doing)
{
    char text[128] = "";
    av_strerror(code, text, sizeof text);
    if (code == AVERROR(ENOSPC))
        return error_set(err, ERROR_DISK_FULL, "%s: %s", doing, text);
    return error_set(err, ERROR_INTERNAL, "%s: %s", doing, text);
}

static int open_codec(struct movie *self, int width, int height)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    AVCodecContext *c = self->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return AVERROR_ENCODER_NOT_FOUND;
    c->width = (width + 1) & ~1;
    c->height = (height + 1) & ~1;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){ 1, 1000 };
    c->gop_size = 250;
    c->max_b_frames = 0;
    c->thread_count = 1; /* a bulk job: it shall not be felt */
    c->color_range = AVCOL_RANGE_MPEG;
    c->colorspace = AVCOL_SPC_SMPTE170M;
    c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_opt_set(c->priv_data, "preset", "veryfast", 0);
    av_opt_set_double(c->priv_data, "crf", CRF, 0);
    return avcodec_open2(c, codec, NULL);
}

static int open_file(struct movie *self, const char *path)
{
    int r = avformat_alloc_output_context2(&self->file, NULL, "mp4", path);
    if (r < 0)
        return r;
    self->stream = avformat_new_stream(self->file, NULL);
    if (!self->stream)
        return AVERROR(ENOMEM);
    self->stream->time_base = self->codec->time_base;
    r = avcodec_parameters_from_context(self->stream->codecpar, self->codec);
    if (r == 0)
        r = avio_open(&self->file->pb, path, AVIO_FLAG_WRITE);
    return r < 0 ? r : avformat_write_header(self->file, NULL);
}

struct movie *movie_new(const char *path, int width, int height, struct error *err)
{
    struct movie *self = calloc(1, sizeof *self);
    if (!self) {
        error_errno(err, ENOMEM, "writing a film");
        return NULL;
    }
    av_log_set_level(AV_LOG_QUIET);
    self->last_ms = -1;
    self->picture = av_frame_alloc();
    self->packet = av_packet_alloc();
    int r = self->picture && self->packet ? open_codec(self, width, height) : AVERROR(ENOMEM);
    if (r == 0)
        r = open_file(self, path);
    if (r >= 0) {
        self->picture->format = AV_PIX_FMT_YUV420P;
        self->picture->width = self->codec->width;
        self->picture->height = self->codec->height;
        r = av_frame_get_buffer(self->picture, 0);
    }
    if (r >= 0)
        return self;
    fail(err, r, "beginning a film");
    destroy(self);
    return NULL;
}

/* --- Pictures --------------------------------------------------------------------------------- */

static uint8_t luma(uint32_t c)
{
    return (uint8_t)((66 * (c >> 16 & 255) + 129 * (c >> 8 & 255) + 25 * (c & 255) + 128 + 4096) >> 8);
}

static uint32_t at(const uint32_t *pixels, int width, int height, int x, int y)
{
    return x < 0 || y < 0 || x >= width || y >= height ? 0xff000000u : pixels[(size_t)y * (size_t)width + x];
}

/* BT.601, limited range; colour of a square of four is their mean's. */
static void draw(AVFrame *p, const uint32_t *pixels, int width, int height)
{
    int dx = (p->width - width) / 2, dy = (p->height - height) / 2;
    for (int y = 0; y < p->height; y += 2) {
        for (int x = 0; x < p->width; x += 2) {
            int r = 0, g = 0, b = 0;
            for (int k = 0; k < 4; k++) {
                uint32_t c = at(pixels, width, height, x + (k & 1) - dx, y + k / 2 - dy);
                p->data[0][(y + k / 2) * p->linesize[0] + x + (k & 1)] = luma(c);
                r += (int)(c >> 16 & 255);
                g += (int)(c >> 8 & 255);
                b += (int)(c & 255);
            }
            p->data[1][y / 2 * p->linesize[1] + x / 2] = (uint8_t)((-38 * r - 74 * g + 112 * b + 131584) >> 10);
            p->data[2][y / 2 * p->linesize[2] + x / 2] = (uint8_t)((112 * r - 94 * g - 18 * b + 131584) >> 10);
        }
    }
}

static int write_packets(struct movie *self, int64_t duration_ms)
{
    int r;
    while ((r = avcodec_receive_packet(self->codec, self->packet)) == 0) {
        self->packet->duration = duration_ms;
        av_packet_rescale_ts(self->packet, self->codec->time_base, self->stream->time_base);
        self->packet->stream_index = 0;
        r = av_interleaved_write_frame(self->file, self->packet);
        if (r < 0)
            return r;
    }
    return r == AVERROR(EAGAIN) || r == AVERROR_EOF ? 0 : r;
}

/* The picture that waits lasts until next_ms. */
static int encode(struct movie *self, int64_t next_ms)
{
    if (!self->has_picture)
        return 0;
    self->picture->pts = self->last_ms;
    int r = avcodec_send_frame(self->codec, self->picture);
    return r < 0 ? r : write_packets(self, MAX(next_ms - self->last_ms, 1));
}

int movie_add(struct movie *self, const uint32_t *pixels, int from_width, int from_height, int64_t time_us,
              struct error *err)
{
    int64_t ms = MAX(time_us / 1000, self->last_ms + 1);
    int r = encode(self, ms);
    if (r == 0)
        r = av_frame_make_writable(self->picture);
    if (r < 0)
        return fail(err, r, "writing a film");
    draw(self->picture, pixels, from_width, from_height);
    self->has_picture = true;
    self->last_ms = ms;
    return 0;
}

int movie_end(struct movie *self, int64_t end_us, struct error *err)
{
    int64_t end_ms = MAX(end_us / 1000, self->last_ms + 1);
    int r = encode(self, end_ms);
    if (r == 0)
        r = avcodec_send_frame(self->codec, NULL);
    if (r == 0)
        r = write_packets(self, MAX(end_ms - self->last_ms, 1));
    if (r == 0)
        r = av_write_trailer(self->file);
    destroy(self);
    return r < 0 ? fail(err, r, "completing a film") : 0;
}
