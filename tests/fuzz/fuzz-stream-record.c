/* A recording, and the coded tiles in it: any bytes are read up to the first wrong entry. */
#include "stream/record.h"
#include "stream/tile-code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t pixels[TILE_SIZE * TILE_SIZE];
    if (size < 3)
        return 0;
    /* The checksums would keep a fuzzer out: tiles are tried without them as well. */
    int width = data[0] % TILE_SIZE + 1, height = data[1] % TILE_SIZE + 1;
    tile_code_decode((enum tile_code)(1 + data[2] % 3), data + 3, size - 3, width, height, pixels);
    tile_code_decode_true(data + 3, size - 3, pixels, width * height);
    struct record record;
    int64_t time_us;
    if (record_read_file_header(&data, &size) < 0)
        return 0;
    while (record_read_entry(&data, &size, &time_us, &record) == 0)
        if (record.type == RECORD_TRUE)
            tile_code_decode_true(record.payload, record.size, pixels, TILE_SIZE * TILE_SIZE);
    return 0;
}
