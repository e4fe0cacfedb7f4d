/* A client of the live view that sends anything: first a byte that says in how many pieces, then
 * messages. The viewer, its hub and a test screen are real; whatever comes, they stay within their
 * limits. */
#include "display/source-test.h"
#include "stream/hub.h"

#include <stdlib.h>

static struct loop loop;
static struct worker_pool *pool;
static struct display *display;
static struct source *source;
static struct hub *hub;

static void on_wake(void *data)
{
    *(bool *)data = true;
}

static void on_input(void *data, const struct client_record *input)
{
    (void)data;
    if (input->x < 0 || input->x > 319 || input->y < 0 || input->y > 199)
        abort();
}

static const struct viewer_ops ops = { .wake = on_wake, .input = on_input };

static void setup(void)
{
    loop_init(&loop);
    pool = worker_pool_new(&loop, 1, 1);
    display = display_new(&loop, pool, NULL, NULL);
    source = source_test_new(320, 200);
    display_attach(display, source, NULL);
    hub = hub_new(&loop, pool, display);
    display_hold(display);
    display_flush(display);
}

static void drain(struct viewer *viewer)
{
    struct bytes *message;
    for (int i = 0; i < 4 && (message = viewer_next(viewer)); i++)
        bytes_unref(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_woken = false;
    if (!hub)
        setup();
    if (size < 2)
        return 0;
    struct viewer *viewer = viewer_new(hub, &ops, &is_woken);
    if (data[0] & 1)
        viewer_set_role(viewer, VIEWER_CONTROL, VIEWER_PERSON, "");
    source_test_fill(source, (struct rect){ data[0], data[1] % 100, 64, 64 },
                     0xff000000u | data[1]);
    size_t piece = size / (data[0] % 4 + 1u) + 1;
    int r = 0;
    for (size_t at = 1; at < size && r == 0; at += piece) {
        struct error err = { 0 };
        r = viewer_feed(viewer, data + at, MIN(piece, size - at), &err);
        loop_turn(&loop, false);
        drain(viewer);
    }
    viewer_free(viewer);
    if (hub_stats(hub).n_viewers != 0 || hub_stats(hub).n_shown != 0)
        abort();
    loop_turn(&loop, false);
    return 0;
}
