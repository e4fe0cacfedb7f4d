/* PNG is where the time goes, so it is written here: filter per row, one zlib stream by ISA-L's
 * igzip at level 1, three chunks. igzip takes a fifteenth of the time of libdeflate's fastest levels
 * on a desktop and makes 20 to 35 % more bytes of it (44 instead of 33 KB for an empty XFCE, 87
 * instead of 71 KB for a browser): time is what a caller waits for. Rows are filtered and packed in
 * bands that stay in the CPU's cache; nothing of the picture's size is allocated.
 *
 * The row filter is Sub or Up, whichever leaves more zeros; that is quicker to find than the usual
 * sum of differences and as good on desktops. Rows where neither leaves many (photographs) are
 * decided by that sum. */
#include "display/encode.h"

#include <errno.h>
#include <isa-l.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#define PNG_LEVEL 1
#define BAND_ROWS 16
#define PACK_STEP 65536
#define JPEG_444_QUALITY 80

static void put_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static void to_rgb(const uint32_t *from, uint8_t *to, int n)
{
    for (int i = 0; i < n; i++, to += 3) {
        to[0] = (uint8_t)(from[i] >> 16);
        to[1] = (uint8_t)(from[i] >> 8);
        to[2] = (uint8_t)from[i];
    }
}

static unsigned count_differing(const uint8_t *row, const uint8_t *other, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += row[i] != other[i];
    return count;
}

static unsigned sum_differences(const uint8_t *row, const uint8_t *other, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        int8_t d = (int8_t)(row[i] - other[i]);
        sum += (unsigned)(d < 0 ? -d : d);
    }
    return sum;
}

static bool is_up_better(const uint8_t *row, const uint8_t *above, size_t n)
{
    unsigned up = count_differing(row, above, n), sub = count_differing(row, row - 3, n);
    if (up > n / 2 && sub > n / 2)
        return sum_differences(row, above, n) < sum_differences(row, row - 3, n);
    return up < sub;
}

/* Filters row (n bytes, with 3 zero bytes before it) into out: type byte and n bytes. */
static void filter_row(const uint8_t *row, const uint8_t *above, size_t n, uint8_t *out)
{
    bool is_up = is_up_better(row, above, n);
    const uint8_t *other = is_up ? above : row - 3;
    *out++ = is_up ? 2 : 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(row[i] - other[i]);
}

/* Filters count rows from y on into out; returns where it ended. */
static uint8_t *filter_band(const uint32_t *pixels, int width, int y, int count, uint8_t *lines[2],
                            uint8_t *out)
{
    size_t n = (size_t)width * 3;
    for (int end = y + count; y < end; y++, out += n + 1) {
        uint8_t *row = lines[y & 1], *above = lines[~y & 1];
        to_rgb(pixels + (size_t)y * (size_t)width, row, width);
        filter_row(row, above, n, out);
    }
    return out;
}

/* The zlib stream under way. */
struct packer {
    struct isal_zstream stream;
    uint8_t level_buf[ISAL_DEF_LVL1_DEFAULT];
    struct buf *out;
};

static struct packer *packer_new(struct buf *out)
{
    struct packer *self = malloc(sizeof *self);
    if (!self)
        return NULL;
    isal_deflate_init(&self->stream);
    self->stream.level = PNG_LEVEL;
    self->stream.level_buf = self->level_buf;
    self->stream.level_buf_size = sizeof self->level_buf;
    self->stream.gzip_flag = IGZIP_ZLIB;
    self->out = out;
    return self;
}

static int pack(struct packer *self, uint8_t *data, size_t size, bool is_last)
{
    struct isal_zstream *z = &self->stream;
    z->next_in = data;
    z->avail_in = (uint32_t)size;
    z->end_of_stream = is_last;
    do {
        z->next_out = buf_reserve(self->out, PACK_STEP);
        z->avail_out = PACK_STEP;
        if (!z->next_out || isal_deflate(z) != COMP_OK)
            return -ENOMEM;
        self->out->size += PACK_STEP - z->avail_out;
    } while (z->avail_out == 0);
    return 0;
}

static int pack_pixels(const uint32_t *pixels, int width, int height, struct buf *out)
{
    size_t n = (size_t)width * 3;
    auto_free struct packer *packer = packer_new(out);
    auto_free uint8_t *band = malloc((n + 1) * BAND_ROWS);
    auto_free uint8_t *rows = calloc(2, n + 3);
    if (!packer || !band || !rows)
        return -ENOMEM;
    uint8_t *lines[2] = { rows + 3, rows + n + 6 };
    int r = 0;
    for (int y = 0; y < height && r == 0; y += BAND_ROWS) {
        int count = MIN(BAND_ROWS, height - y);
        uint8_t *end = filter_band(pixels, width, y, count, lines, band);
        r = pack(packer, band, (size_t)(end - band), y + count == height);
    }
    return r;
}

/* A chunk begins with its length, which is filled in when it ends. Offsets, since out moves. */
static size_t begin_chunk(struct buf *out, const char *type)
{
    size_t start = out->size;
    buf_append(out, "\0\0\0", 4);
    buf_append(out, type, 4);
    return start;
}

static void end_chunk(struct buf *out, size_t start)
{
    uint8_t *at = buf_reserve(out, 4);
    if (!at)
        return;
    size_t size = out->size - start - 8;
    put_u32(out->data + start, (uint32_t)size);
    put_u32(at, crc32_gzip_refl(0, out->data + start + 4, size + 4));
    out->size += 4;
}

struct bytes *encode_png(const uint32_t *pixels, int width, int height)
{
    auto_buf struct buf out = BUF_INIT;
    uint8_t header[13] = { [8] = 8, [9] = 2 };
    put_u32(header, (uint32_t)width);
    put_u32(header + 4, (uint32_t)height);
    buf_append(&out, "\x89PNG\r\n\x1a\n", 8);
    size_t chunk = begin_chunk(&out, "IHDR");
    buf_append(&out, header, sizeof header);
    end_chunk(&out, chunk);
    chunk = begin_chunk(&out, "IDAT");
    int r = pack_pixels(pixels, width, height, &out);
    end_chunk(&out, chunk);
    end_chunk(&out, begin_chunk(&out, "IEND"));
    return r == 0 && !out.failed ? bytes_copy(out.data, out.size) : NULL;
}

/* The worst case is reserved; a cached still should not keep it. */
static struct bytes *shrink(struct bytes *self)
{
    struct bytes *small = self ? realloc(self, sizeof *self + self->size) : NULL;
    return small ? small : self;
}

struct bytes *encode_jpeg(const uint32_t *pixels, int width, int height, int quality)
{
    int sampling = quality >= JPEG_444_QUALITY ? TJSAMP_444 : TJSAMP_420;
    unsigned long size = tjBufSize(width, height, sampling);
    tjhandle tj = tjInitCompress();
    struct bytes *jpeg = tj ? bytes_new(size) : NULL;
    unsigned char *at = jpeg ? jpeg->data : NULL;
    if (jpeg && tjCompress2(tj, (const unsigned char *)pixels, width, 0, height, TJPF_BGRX, &at,
                            &size, sampling, quality, TJFLAG_NOREALLOC) < 0)
        jpeg = bytes_unref(jpeg);
    if (jpeg)
        jpeg->size = size;
    if (tj)
        tjDestroy(tj);
    return shrink(jpeg);
}

static int write_webp(const uint8_t *data, size_t size, const WebPPicture *picture)
{
    return buf_append(picture->custom_ptr, data, size) == 0;
}

struct bytes *encode_webp(const uint32_t *pixels, int width, int height, int quality)
{
    auto_buf struct buf out = BUF_INIT;
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return NULL;
    /* The least effort: a client that waits wants speed first. */
    if (quality >= 100)
        WebPConfigLosslessPreset(&config, 0);
    else {
        config.quality = (float)quality;
        config.method = 0;
    }
    picture.use_argb = quality >= 100;
    picture.width = width;
    picture.height = height;
    picture.writer = write_webp;
    picture.custom_ptr = &out;
    bool is_good = WebPPictureImportBGRX(&picture, (const uint8_t *)pixels, width * 4) &&
                   WebPEncode(&config, &picture);
    WebPPictureFree(&picture);
    return is_good && !out.failed ? bytes_copy(out.data, out.size) : NULL;
}
