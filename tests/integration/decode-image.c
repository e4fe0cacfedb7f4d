/* Decodes a JPEG or WebP from standard input to a binary PPM, for tests. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/decode.h>

#define INPUT_MAX (64 << 20)

static unsigned char *decode_jpeg(const unsigned char *data, size_t size, int *ret_width, int *ret_height)
{
    int sampling, space;
    tjhandle handle = tjInitDecompress();
    if (tjDecompressHeader3(handle, data, size, ret_width, ret_height, &sampling, &space) < 0)
        return NULL;
    unsigned char *pixels = malloc((size_t)*ret_width * (size_t)*ret_height * 3);
    if (pixels && tjDecompress2(handle, data, size, pixels, *ret_width, 0, *ret_height, TJPF_RGB, 0) < 0) {
        free(pixels);
        pixels = NULL;
    }
    tjDestroy(handle);
    return pixels;
}

int main(void)
{
    unsigned char *data = malloc(INPUT_MAX);
    if (!data)
        return 1;
    size_t size = fread(data, 1, INPUT_MAX, stdin);
    int width, height;
    bool is_webp = size > 12 && memcmp(data + 8, "WEBP", 4) == 0;
    unsigned char *pixels = is_webp ? WebPDecodeRGB(data, size, &width, &height)
                                    : decode_jpeg(data, size, &width, &height);
    if (!pixels) {
        fprintf(stderr, "not a whole JPEG or WebP\n");
        return 1;
    }
    printf("P6\n%d %d\n255\n", width, height);
    size_t bytes = (size_t)width * (size_t)height * 3;
    bool is_written = fwrite(pixels, 1, bytes, stdout) == bytes;
    if (is_webp)
        WebPFree(pixels);
    else
        free(pixels);
    free(data);
    return is_written ? 0 : 1;
}
