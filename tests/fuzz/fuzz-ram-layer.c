/* Layers of guest RAM from disk: any bytes are either refused or a layer whose pages lie inside the
 * RAM. */
#include "hypervisor/ram-layer.h"

#include <stdlib.h>

#define RAM_BYTES (64 * RAM_PAGE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/fuzz-ram-layer-XXXXXX";
static int fd = -1;

static void remove_file(void)
{
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ram_layer *layer = NULL;
    if (fd < 0) {
        fd = mkstemp(path);
        atexit(remove_file);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    if (ram_layer_load(&layer, path, RAM_BYTES, NULL) == 0 &&
        (ram_layer_pages(layer) > RAM_BYTES / RAM_PAGE || ram_layer_runs(layer) > ram_layer_pages(layer)))
        abort();
    ram_layer_unref(layer);
    return 0;
}
