/* Exports of checkpoints that come in: the archive, its manifest and its files, as an import reads them, into
 * a file without a name. Without the outer zstd, which would keep a fuzzer out, and with it. What was
 * taken must be whole, of a machine that can be, and no file longer than it may. */
#include "farm/manifest.h"
#include "farm/parcel.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FILE_MAX ((int64_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    struct manifest manifest;
    bool has_manifest;
    size_t n_files;
};

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static int handle_manifest(void *data, const json_t *json, struct error *err)
{
    static const struct host_facts here = { .qemu = "7.2.22", .cpu_model = "any", .kernel = "6.1" };
    struct reader *self = data;
    require(!self->has_manifest);
    self->has_manifest = true;
    int r = manifest_check(json, &here, ACCEL_TCG, &self->manifest, err);
    const struct manifest *m = &self->manifest;
    if (r == 0)
        require(*m->image_name && *m->image_hash && !strpbrk(m->image_name, "/") && !strpbrk(m->image_hash, "/") &&
                m->ram_bytes >= (int64_t)MACHINE_MEMORY_MIB_MIN << 20 && m->disk_bytes >= 0 &&
                m->disk_bytes <= MACHINE_DISK_BYTES_MAX);
    return r;
}

static int open_file(void *data, const char *name, int *ret_fd, int64_t *limit, struct error *err)
{
    struct reader *self = data;
    require(self->has_manifest && *name && strlen(name) < PARCEL_NAME_MAX);
    require(++self->n_files <= PARCEL_FILES_MAX);
    *limit = FILE_MAX;
    if (strncmp(name, "no", 2) == 0)
        return error_set(err, ERROR_BAD_VALUE, "not this one");
    *ret_fd = strncmp(name, "image/", 6) == 0 ? -1 : memfd_create("part", MFD_CLOEXEC);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct parcel_ops ops = { .on_manifest = handle_manifest, .open_file = open_file };
    struct reader reader = { 0 };
    struct error err = { 0 };
    auto_fd int fd = memfd_create("parcel", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        return 0;
    int r = parcel_read(fd, &ops, &reader, &err);
    require(r <= 0 && err.is_set == (r < 0));
    require(r < 0 || reader.has_manifest);
    return 0;
}
