/* PNG is where the time goes, so it is written here: filter per row, one zlib stream by
 * libdeflate's fastest level, three chunks. The row filter is Sub or Up, whichever leaves more
 * zeros; that is quicker to find than the usual sum of differences and as good on desktops. Rows
 * where neither leaves many (photographs) are decided by that sum. */
#include "display/encode.h"

#include <libdeflate.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#define PNG_LEVEL 1
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

static void filter_image(const uint32_t *pixels, int width, int height, uint8_t *lines[2],
                         uint8_t *out)
{
    size_t n = (size_t)width * 3;
    for (int y = 0; y < height; y++, out += n + 1) {
        uint8_t *row = lines[y & 1], *above = lines[~y & 1];
        to_rgb(pixels + (size_t)y * (size_t)width, row, width);
        filter_row(row, above, n, out);
    }
}

/* Closes the chunk whose length field is at start and whose data ends at end: length and CRC. */
static uint8_t *close_chunk(uint8_t *start, const char *type, uint8_t *end)
{
    memcpy(start + 4, type, 4);
    put_u32(start, (uint32_t)(end - start - 8));
    put_u32(end, libdeflate_crc32(0, start + 4, (size_t)(end - start - 4)));
    return end + 4;
}

static struct bytes *pack_png(const uint8_t *filtered, size_t size, int width, int height)
{
    static const uint8_t magic[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    struct libdeflate_compressor *deflate = libdeflate_alloc_compressor(PNG_LEVEL);
    size_t bound = deflate ? libdeflate_zlib_compress_bound(deflate, size) : 0;
    struct bytes *png = deflate ? bytes_new(bound + 128) : NULL;
    size_t packed = 0;
    if (png) {
        uint8_t *at = png->data;
        memcpy(at, magic, sizeof magic);
        at += sizeof magic;
        put_u32(at + 8, (uint32_t)width);
        put_u32(at + 12, (uint32_t)height);
        memcpy(at + 16, (uint8_t[]){ 8, 2, 0, 0, 0 }, 5);
        at = close_chunk(at, "IHDR", at + 21);
        packed = libdeflate_zlib_compress(deflate, filtered, size, at + 8, bound);
        at = close_chunk(at, "IDAT", at + 8 + packed);
        at = close_chunk(at, "IEND", at + 8);
        png->size = (size_t)(at - png->data);
    }
    libdeflate_free_compressor(deflate);
    return packed ? png : bytes_unref(png);
}

/* The worst case is reserved; a cached still should not keep it. */
static struct bytes *shrink(struct bytes *self)
{
    struct bytes *small = self ? realloc(self, sizeof *self + self->size) : NULL;
    return small ? small : self;
}

struct bytes *encode_png(const uint32_t *pixels, int width, int height)
{
    size_t n = (size_t)width * 3, size = (n + 1) * (size_t)height;
    auto_free uint8_t *filtered = malloc(size);
    auto_free uint8_t *rows = calloc(2, n + 3);
    if (!filtered || !rows)
        return NULL;
    uint8_t *lines[2] = { rows + 3, rows + n + 6 };
    filter_image(pixels, width, height, lines, filtered);
    return shrink(pack_png(filtered, size, width, height));
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
