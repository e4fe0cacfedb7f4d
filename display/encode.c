/* PNG is where the time goes, so it is written here: filter per row, one zlib stream by ISA-L's
 * igzip at level 1, three chunks. igzip takes a fifteenth of the time of libdeflate's fastest levels
 * on a desktop and makes 20 to 35 % more bytes of it (44 instead of 33 KB for an empty XFCE, 87
 * instead of 71 KB for a browser): time is what a caller waits for.
 *
 * PNG and JPEG are read, filtered and packed in bands that stay in the CPU's cache; nothing of the
 * picture's size is allocated. Reading a 1280x800 frame into memory first costs 0.3 ms, and 0.7 ms on
 * a CPU that was idle before, which is how a screenshot finds it. libjpeg is used directly because
 * TurboJPEG wants the whole picture.
 *
 * The row filter is Sub or Up, whichever leaves more zeros; that is quicker to find than the usual
 * sum of differences and as good on desktops. Rows where neither leaves many (photographs) are
 * decided by that sum. */
#include "display/encode.h"

#include <errno.h>
#include <isa-l.h>
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <string.h>
#include <webp/encode.h>

#define PNG_LEVEL 1
#define BAND_ROWS 16 /* also what libjpeg takes at a time, or twice that */
#define OUTPUT_STEP 65536
#define JPEG_444_QUALITY 80
#define JPEG_EXACT_QUALITY 96 /* from here on the quick transform would show */

static const uint32_t *read_whole(const struct encode_rows *self, int y, int count maybe_unused,
                                  uint32_t *scratch maybe_unused)
{
    return (const uint32_t *)self->data + (size_t)y * (size_t)self->width;
}

struct encode_rows encode_rows_of(const uint32_t *pixels, int width, int height)
{
    return (struct encode_rows){ width, height, read_whole, pixels };
}

/* --- PNG ------------------------------------------------------------------------------------------ */

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

/* Filters count rows, of which the first is number y, into out; returns where it ended. */
static uint8_t *filter_band(const uint32_t *pixels, int width, int y, int count, uint8_t *lines[2],
                            uint8_t *out)
{
    size_t n = (size_t)width * 3;
    for (int end = y + count; y < end; y++, pixels += width, out += n + 1) {
        uint8_t *row = lines[y & 1], *above = lines[~y & 1];
        to_rgb(pixels, row, width);
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
        z->next_out = buf_reserve(self->out, OUTPUT_STEP);
        z->avail_out = OUTPUT_STEP;
        if (!z->next_out || isal_deflate(z) != COMP_OK)
            return -ENOMEM;
        self->out->size += OUTPUT_STEP - z->avail_out;
    } while (z->avail_out == 0);
    return 0;
}

static int pack_rows(const struct encode_rows *rows, struct buf *out)
{
    size_t n = (size_t)rows->width * 3;
    auto_free struct packer *packer = packer_new(out);
    auto_free uint32_t *scratch = malloc((size_t)rows->width * BAND_ROWS * sizeof *scratch);
    auto_free uint8_t *band = malloc((n + 1) * BAND_ROWS);
    auto_free uint8_t *two = calloc(2, n + 3);
    if (!packer || !scratch || !band || !two)
        return -ENOMEM;
    uint8_t *lines[2] = { two + 3, two + n + 6 };
    int r = 0;
    for (int y = 0; y < rows->height && r == 0; y += BAND_ROWS) {
        int count = MIN(BAND_ROWS, rows->height - y);
        const uint32_t *pixels = rows->read(rows, y, count, scratch);
        uint8_t *end = filter_band(pixels, rows->width, y, count, lines, band);
        r = pack(packer, band, (size_t)(end - band), y + count == rows->height);
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

struct bytes *encode_png(const struct encode_rows *rows)
{
    auto_buf struct buf out = BUF_INIT;
    uint8_t header[13] = { [8] = 8, [9] = 2 };
    put_u32(header, (uint32_t)rows->width);
    put_u32(header + 4, (uint32_t)rows->height);
    buf_append(&out, "\x89PNG\r\n\x1a\n", 8);
    size_t chunk = begin_chunk(&out, "IHDR");
    buf_append(&out, header, sizeof header);
    end_chunk(&out, chunk);
    chunk = begin_chunk(&out, "IDAT");
    int r = pack_rows(rows, &out);
    end_chunk(&out, chunk);
    end_chunk(&out, begin_chunk(&out, "IEND"));
    return r == 0 && !out.failed ? bytes_copy(out.data, out.size) : NULL;
}

/* --- JPEG ----------------------------------------------------------------------------------------- */

struct jpeg {
    struct jpeg_compress_struct compress;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf failed; /* libjpeg never returns from an error */
    struct buf out;
    uint32_t *scratch;
};

static void fail_jpeg(j_common_ptr common)
{
    struct jpeg *self = container_of(common->err, struct jpeg, errors);
    longjmp(self->failed, 1);
}

static void drop_message(j_common_ptr common maybe_unused) {}

static void begin_output(j_compress_ptr compress)
{
    struct jpeg *self = container_of(compress, struct jpeg, compress);
    self->destination.next_output_byte = buf_reserve(&self->out, OUTPUT_STEP);
    self->destination.free_in_buffer = OUTPUT_STEP;
    if (!self->destination.next_output_byte)
        longjmp(self->failed, 1);
}

/* libjpeg calls it when all of a step is used, whatever it says about the rest. */
static boolean grow_output(j_compress_ptr compress)
{
    container_of(compress, struct jpeg, compress)->out.size += OUTPUT_STEP;
    begin_output(compress);
    return TRUE;
}

static void end_output(j_compress_ptr compress)
{
    struct jpeg *self = container_of(compress, struct jpeg, compress);
    self->out.size += OUTPUT_STEP - self->destination.free_in_buffer;
}

static void setup_jpeg(struct jpeg *self, int width, int height, int quality)
{
    struct jpeg_compress_struct *c = &self->compress;
    jpeg_create_compress(c);
    self->destination = (struct jpeg_destination_mgr){
        .init_destination = begin_output,
        .empty_output_buffer = grow_output,
        .term_destination = end_output,
    };
    c->dest = &self->destination;
    c->image_width = (JDIMENSION)width;
    c->image_height = (JDIMENSION)height;
    c->input_components = 4;
    c->in_color_space = JCS_EXT_BGRX;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    c->dct_method = quality < JPEG_EXACT_QUALITY ? JDCT_IFAST : JDCT_ISLOW;
    /* The default is 4:2:0. */
    if (quality >= JPEG_444_QUALITY)
        c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = 1;
}

static void write_jpeg(struct jpeg *self, const struct encode_rows *rows)
{
    jpeg_start_compress(&self->compress, TRUE);
    for (int y = 0; y < rows->height; y += BAND_ROWS) {
        int count = MIN(BAND_ROWS, rows->height - y);
        const uint32_t *pixels = rows->read(rows, y, count, self->scratch);
        JSAMPROW lines[BAND_ROWS];
        for (int i = 0; i < count; i++)
            lines[i] = (JSAMPROW)(uintptr_t)(pixels + (size_t)i * (size_t)rows->width);
        jpeg_write_scanlines(&self->compress, lines, (JDIMENSION)count);
    }
    jpeg_finish_compress(&self->compress);
}

static int try_jpeg(struct jpeg *self, const struct encode_rows *rows, int quality)
{
    if (setjmp(self->failed) != 0)
        return -ENOMEM;
    setup_jpeg(self, rows->width, rows->height, quality);
    write_jpeg(self, rows);
    return 0;
}

struct bytes *encode_jpeg(const struct encode_rows *rows, int quality)
{
    struct bytes *bytes = NULL;
    struct jpeg *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->compress.err = jpeg_std_error(&self->errors);
    self->errors.error_exit = fail_jpeg;
    self->errors.output_message = drop_message;
    self->scratch = malloc((size_t)rows->width * BAND_ROWS * sizeof *self->scratch);
    if (self->scratch && try_jpeg(self, rows, quality) == 0)
        bytes = bytes_copy(self->out.data, self->out.size);
    jpeg_destroy_compress(&self->compress);
    buf_deinit(&self->out);
    free(self->scratch);
    free(self);
    return bytes;
}

/* --- WebP ----------------------------------------------------------------------------------------- */

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
