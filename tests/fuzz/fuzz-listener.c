/* Messages as a hostile QEMU could send them, fed to a display through its sink. Each message is a
 * kind byte, six 32-bit arguments and a length byte; the pixels are the bytes that follow. */
#include "display/display.h"
#include "display/source-test.h"

#include <string.h>

#define HEAD (1 + 6 * 4 + 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct source *source, const uint8_t *at, size_t n)
{
    const struct source_sink *sink = source->sink;
    int32_t a[6];
    memcpy(a, at + 1, sizeof a);
    /* Half of the messages get small arguments, so that some are right. */
    for (int i = 0; i < 6 && at[0] & 8; i++)
        a[i] &= 63;
    uint32_t format = at[0] & 16 ? (uint32_t)a[5] : 0x20020888;
    struct pixels p = { at + HEAD, n, (uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2], format };
    switch (at[0] & 7) {
    case 0:
        sink->disable(source->sink_data);
        break;
    case 1:
    case 2:
        sink->scanout(source->sink_data, &p);
        break;
    case 3:
        sink->cursor_move(source->sink_data, a[0], a[1], a[2] & 1);
        break;
    case 4:
        sink->cursor_define(source->sink_data, a[0], a[1], a[2], a[3], at + HEAD, n);
        break;
    default:
        sink->update(source->sink_data, a[3], a[4], &p);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loop loop;
    loop_init(&loop);
    struct worker_pool *pool = worker_pool_new(&loop, 1, 1);
    struct display *display = display_new(&loop, pool, NULL, NULL);
    struct source *source = source_test_new(16, 16);
    display_attach(display, source, NULL);
    display_hold(display);
    while (size >= HEAD) {
        size_t n = MIN((size_t)data[HEAD - 1] * 64, size - HEAD);
        feed(source, data, n);
        display_flush(display);
        data += HEAD + n;
        size -= HEAD + n;
    }
    display_free(display);
    worker_pool_free(pool);
    loop_deinit(&loop);
    return 0;
}
