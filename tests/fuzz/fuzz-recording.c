/* What reads recordings back: the index of a segment, and the canvas that paints its records, without the
 * checksums that would keep a fuzzer out. */
#include "replay/canvas.h"
#include "replay/hand.h"
#include "stream/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_index struct index scanned = { 0 }, read = { 0 };
    index_scan(&scanned, data, size);
    index_read(&read, data, size, (int64_t)size);
    struct canvas *canvas = canvas_new();
    struct record record;
    for (int n = 0; canvas && n < 64 && record_next(&data, &size, &record) == 0; n++) {
        struct hand_event event;
        if (hand_parse(&record, n, &event))
            hand_key_name(event.code);
        /* A larger screen costs time and shows nothing new. */
        if (record.type == RECORD_SCREEN && record.size == 16 &&
            (record_get_u16(record.payload + 8) > 300 || record_get_u16(record.payload + 10) > 300))
            break;
        if (canvas_apply(canvas, &record) < 0)
            break;
    }
    struct canvas_state state = canvas ? canvas_state(canvas) : (struct canvas_state){ 0 };
    uint32_t *copy = malloc((size_t)state.width * (size_t)state.height * 4 + 4);
    if (copy && state.pixels)
        canvas_draw_cursor(canvas, copy);
    free(copy);
    canvas_free(canvas);
    return 0;
}
