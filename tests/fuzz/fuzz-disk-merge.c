/* Disk layers that a guest's QEMU wrote: any bytes are either refused or merged into a file that is itself
 * a layer. */
#include "hypervisor/disk-merge.h"

#include <stdio.h>
#include <stdlib.h>

#define DISK_BYTES (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/fuzz-disk-merge-XXXXXX", to[64], again[64];
static int fd = -1;

static void remove_files(void)
{
    unlink(path);
    unlink(to);
    unlink(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fd < 0) {
        fd = mkstemp(path);
        snprintf(to, sizeof to, "%s.to", path);
        snprintf(again, sizeof again, "%s.again", path);
        atexit(remove_files);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    const char *const layers[] = { path, path };
    unlink(to);
    unlink(again);
    if (disk_merge(layers, 2, DISK_BYTES, to, NULL) < 0) {
        if (access(to, F_OK) == 0)
            abort(); /* nothing is left behind */
        return 0;
    }
    const char *const merged[] = { to };
    if (disk_merge(merged, 1, DISK_BYTES, again, NULL) < 0)
        abort();
    return 0;
}
