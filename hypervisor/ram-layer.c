/* The pagemap has one 64-bit word per page. A page of a private file mapping is the guest's own when
 * it is present and not file-backed (bit 63 set, bit 61 clear) or swapped (bit 62).
 *
 * Costs on a slow machine: 2 ms per GiB of RAM for the pagemap, 1.5 to 3 us per page for the copy in
 * either direction. */
#include "hypervisor/ram-layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC UINT64_C(0x314d41524b534544) /* "DESKRAM1" */
#define PAGEMAP_CHUNK 65536                /* pages looked at with one read */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61)
#define COPY_BYTES (256 << 10)

struct header {
    uint64_t magic, page_bytes, ram_bytes, n_runs, pages_at;
};

struct run {
    uint32_t first, count; /* pages */
};

struct ram_layer {
    _Atomic int refs;
    int fd;
    const uint8_t *map; /* the whole file */
    size_t size;
    const struct header *header;
    const struct run *runs;
    int64_t n_pages;
};

/* --- The view -------------------------------------------------------------------------------- */

static int open_proc(pid_t pid, const char *name, int mode, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, mode | O_CLOEXEC);
    return fd < 0 ? error_errno(err, errno, "opening %s", path) : fd;
}

static int find_mappings(struct ram_view *self, pid_t pid, const int64_t *beside, struct error *err)
{
    int r = ram_find_mapping(pid, &self->mappings[0], err);
    self->n_mappings = 1;
    for (size_t i = 0; r == 0 && i < RAM_BESIDE_MAX; i++)
        if (beside[i])
            r = ram_find_beside(pid, beside[i], &self->mappings[self->n_mappings++], err);
    return r;
}

int ram_view_open(struct ram_view *ret, pid_t pid, const int64_t beside[RAM_BESIDE_MAX], struct error *err)
{
    struct ram_view self = RAM_VIEW_INIT;
    int r = self.mem_fd = open_proc(pid, "mem", O_RDWR, err);
    if (r >= 0)
        r = self.pagemap_fd = open_proc(pid, "pagemap", O_RDONLY, err);
    if (r >= 0)
        r = find_mappings(&self, pid, beside, err);
    if (r < 0) {
        ram_view_close(&self);
        return r;
    }
    *ret = self;
    return 0;
}

void ram_view_close(struct ram_view *self)
{
    util_close_ptr(&self->mem_fd);
    util_close_ptr(&self->pagemap_fd);
    *self = (struct ram_view)RAM_VIEW_INIT;
}

static uint64_t mapping_pages(const struct ram_mapping *mapping)
{
    return (mapping->end - mapping->start) / RAM_PAGE;
}

static uint64_t view_bytes(const struct ram_view *view)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < view->n_mappings; i++)
        bytes += mapping_pages(&view->mappings[i]) * RAM_PAGE;
    return bytes;
}

/* Where a page lies in the process; n is cut to the pages that follow there. page is inside the view. */
static uint64_t locate(const struct ram_view *view, uint64_t page, size_t *n)
{
    const struct ram_mapping *mapping = view->mappings;
    for (; page >= mapping_pages(mapping); mapping++)
        page -= mapping_pages(mapping);
    *n = MIN(*n, (size_t)(mapping_pages(mapping) - page));
    return mapping->start + page * RAM_PAGE;
}

/* --- Reading and writing all of it ------------------------------------------------------------ */

static int read_all(int fd, void *to, size_t size, off_t at)
{
    for (size_t n = 0; n < size;) {
        ssize_t got = pread(fd, (uint8_t *)to + n, size - n, at + (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        n += (size_t)got;
    }
    return 0;
}

static int write_all(int fd, const void *from, size_t size, off_t at)
{
    for (size_t n = 0; n < size;) {
        ssize_t put = pwrite(fd, (const uint8_t *)from + n, size - n, at + (off_t)n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        n += (size_t)put;
    }
    return 0;
}

/* --- Finding private pages --------------------------------------------------------------------- */

static bool is_private(uint64_t entry)
{
    return (entry & PAGEMAP_SWAPPED) || ((entry & PAGEMAP_PRESENT) && !(entry & PAGEMAP_FILE));
}

static int add_page(struct buf *runs, uint32_t page)
{
    struct run *last = runs->size ? (struct run *)(void *)(runs->data + runs->size) - 1 : NULL;
    if (last && last->first + last->count == page) {
        last->count++;
        return 0;
    }
    struct run run = { page, 1 };
    return buf_append(runs, &run, sizeof run);
}

static int find_private(const struct ram_view *view, struct buf *runs, struct error *err)
{
    uint64_t n_pages = view_bytes(view) / RAM_PAGE;
    auto_free uint64_t *entries = malloc(PAGEMAP_CHUNK * sizeof *entries);
    int r = entries ? 0 : -ENOMEM;
    size_t n = 0;
    for (uint64_t at = 0; r == 0 && at < n_pages; at += n) {
        n = PAGEMAP_CHUNK;
        uint64_t first = locate(view, at, &n) / RAM_PAGE;
        r = read_all(view->pagemap_fd, entries, n * sizeof *entries, (off_t)(first * sizeof *entries));
        for (size_t i = 0; r == 0 && i < n; i++)
            if (is_private(entries[i]))
                r = add_page(runs, (uint32_t)(at + i));
    }
    return r < 0 ? error_errno(err, -r, "looking for the guest's pages") : 0;
}

/* --- Layers ------------------------------------------------------------------------------------ */

static size_t align_page(size_t bytes)
{
    return (bytes + RAM_PAGE - 1) / RAM_PAGE * RAM_PAGE;
}

static int64_t count_pages(const struct run *runs, size_t n_runs)
{
    int64_t n = 0;
    for (size_t i = 0; i < n_runs; i++)
        n += runs[i].count;
    return n;
}

/* Takes over fd, a file in the layer's form. */
static struct ram_layer *layer_new(int fd, size_t size)
{
    struct ram_layer *self = calloc(1, sizeof *self);
    void *map = self ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED) {
        free(self);
        close(fd);
        return NULL;
    }
    self->refs = 1;
    self->fd = fd;
    self->map = map;
    self->size = size;
    self->header = map;
    self->runs = (const struct run *)(const void *)(self->map + RAM_LAYER_HEADER);
    self->n_pages = count_pages(self->runs, self->header->n_runs);
    return self;
}

/* Pages on their way into the layer's file. Through a buffer that stays in the cache, and then by write:
 * a mapping of the file would fault, and clear each page before it is filled, which takes half as long
 * again. */
struct copy {
    uint8_t *buffer; /* COPY_BYTES */
    size_t n;
    int fd;
    off_t at;
};

static int copy_flush(struct copy *self)
{
    int r = write_all(self->fd, self->buffer, self->n, self->at);
    self->at += (off_t)self->n;
    self->n = 0;
    return r;
}

static int copy_run(struct copy *self, const struct ram_view *view, const struct run *run)
{
    size_t n = 0;
    int r = 0;
    for (uint32_t done = 0; r == 0 && done < run->count; done += (uint32_t)n) {
        n = MIN((size_t)(run->count - done), (COPY_BYTES - self->n) / RAM_PAGE);
        uint64_t from = locate(view, (uint64_t)run->first + done, &n);
        r = read_all(view->mem_fd, self->buffer + self->n, n * RAM_PAGE, (off_t)from);
        self->n += n * RAM_PAGE;
        if (r == 0 && self->n == COPY_BYTES)
            r = copy_flush(self);
    }
    return r;
}

static int fill(int fd, const struct ram_view *view, const struct header *header, const struct buf *runs)
{
    auto_free uint8_t *buffer = malloc(COPY_BYTES);
    struct copy copy = { .buffer = buffer, .fd = fd, .at = (off_t)header->pages_at };
    const struct run *run = (const struct run *)(const void *)runs->data;
    int r = buffer ? write_all(fd, header, sizeof *header, 0) : -ENOMEM;
    if (r == 0 && runs->size)
        r = write_all(fd, runs->data, runs->size, RAM_LAYER_HEADER);
    for (size_t i = 0; r == 0 && i < header->n_runs; i++)
        r = copy_run(&copy, view, &run[i]);
    return r == 0 ? copy_flush(&copy) : r;
}

int ram_layer_capture(struct ram_layer **ret, const struct ram_view *view, struct error *err)
{
    auto_buf struct buf runs = BUF_INIT;
    int r = find_private(view, &runs, err);
    if (r < 0)
        return r;
    struct header header = { .magic = MAGIC, .page_bytes = RAM_PAGE, .ram_bytes = view_bytes(view),
                             .n_runs = runs.size / sizeof(struct run) };
    int64_t n_pages = count_pages((const struct run *)(const void *)runs.data, header.n_runs);
    header.pages_at = RAM_LAYER_HEADER + align_page(runs.size);
    size_t size = header.pages_at + (size_t)n_pages * RAM_PAGE;
    auto_fd int fd = memfd_create("deskfarm-layer", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return error_errno(err, errno, "making room for %lld pages", (long long)n_pages);
    r = fill(fd, view, &header, &runs);
    if (r < 0)
        return error_errno(err, -r, "copying the guest's pages");
    *ret = layer_new(steal_fd(&fd), size);
    return *ret ? 0 : error_errno(err, ENOMEM, "copying the guest's pages");
}

static int write_run(const struct ram_view *view, const struct run *run, const uint8_t **from)
{
    size_t n = 0;
    for (uint32_t done = 0; done < run->count; done += (uint32_t)n) {
        n = run->count - done;
        uint64_t to = locate(view, (uint64_t)run->first + done, &n);
        int r = write_all(view->mem_fd, *from, n * RAM_PAGE, (off_t)to);
        if (r < 0)
            return r;
        *from += n * RAM_PAGE;
    }
    return 0;
}

int ram_layer_inject(const struct ram_layer *self, const struct ram_view *view, struct error *err)
{
    if (self->header->ram_bytes != view_bytes(view))
        return error_set(err, ERROR_BAD_VALUE, "the checkpoint is of %llu bytes of RAM, the guest has %llu",
                         (unsigned long long)self->header->ram_bytes,
                         (unsigned long long)view_bytes(view));
    const uint8_t *from = self->map + self->header->pages_at;
    for (size_t i = 0; i < self->header->n_runs; i++) {
        int r = write_run(view, &self->runs[i], &from);
        if (r < 0)
            return error_errno(err, -r, "writing the guest's pages");
    }
    return 0;
}

struct ram_layer *ram_layer_ref(struct ram_layer *self)
{
    if (self)
        atomic_fetch_add(&self->refs, 1);
    return self;
}

struct ram_layer *ram_layer_unref(struct ram_layer *self)
{
    if (self && atomic_fetch_sub(&self->refs, 1) == 1) {
        munmap((void *)(uintptr_t)self->map, self->size);
        close(self->fd);
        free(self);
    }
    return NULL;
}

int64_t ram_layer_pages(const struct ram_layer *self)
{
    return self->n_pages;
}

int64_t ram_layer_runs(const struct ram_layer *self)
{
    return (int64_t)self->header->n_runs;
}

/* --- Files ------------------------------------------------------------------------------------- */

/* Copies what is not a hole. */
static int copy_data(int from, int to, int64_t size)
{
    auto_free uint8_t *chunk = malloc(COPY_BYTES);
    if (!chunk)
        return -ENOMEM;
    for (off_t at = 0; at < size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        off_t end = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (end < 0)
            return -errno;
        for (at = data; at < MIN(end, (off_t)size);) {
            size_t n = (size_t)MIN((off_t)COPY_BYTES, MIN(end, (off_t)size) - at);
            int r = read_all(from, chunk, n, at);
            if (r == 0)
                r = write_all(to, chunk, n, at);
            if (r < 0)
                return r;
            at += (off_t)n;
        }
    }
    return 0;
}

static int store(int from, int64_t size, const char *path, struct error *err)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "creating %s", path);
    int r = ftruncate(fd, size) < 0 ? -errno : copy_data(from, fd, size);
    if (r == 0 && fdatasync(fd) < 0)
        r = -errno;
    if (r < 0) {
        unlink(path);
        return error_errno(err, -r, "writing %s", path);
    }
    return 0;
}

int ram_layer_store(const struct ram_layer *self, const char *path, struct error *err)
{
    return store(self->fd, (int64_t)self->size, path, err);
}

static int check(const struct ram_layer *self)
{
    uint64_t next = 0, n_pages = self->header->ram_bytes / RAM_PAGE;
    for (size_t i = 0; i < self->header->n_runs; i++) {
        const struct run *run = &self->runs[i];
        if (run->first < next || !run->count || (uint64_t)run->first + run->count > n_pages)
            return -EBADMSG;
        next = (uint64_t)run->first + run->count;
    }
    uint64_t size = self->header->pages_at + (uint64_t)self->n_pages * RAM_PAGE;
    return size == self->size ? 0 : -EBADMSG;
}

/* Before anything is read by it. */
static bool header_is_sane(const struct header *header, int64_t ram_bytes, int64_t size)
{
    return header->magic == MAGIC && header->page_bytes == RAM_PAGE &&
           header->ram_bytes >= (uint64_t)ram_bytes &&
           header->ram_bytes - (uint64_t)ram_bytes <= (uint64_t)RAM_BESIDE_BYTES_MAX && header->n_runs <= RAM_LAYER_RUNS_MAX &&
           header->pages_at ==
               RAM_LAYER_HEADER + align_page((size_t)header->n_runs * sizeof(struct run)) &&
           header->pages_at <= (uint64_t)size;
}

static int open_sized(const char *path, int64_t limit, int64_t *ret_size, struct error *err)
{
    struct stat st;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, errno, "opening %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > limit)
        return error_set(err, ERROR_BAD_VALUE, "%s is no such file, or larger than %lld bytes", path,
                         (long long)limit);
    *ret_size = st.st_size;
    return steal_fd(&fd);
}

static int load(const char *path, const char *label, int64_t limit, int64_t bytes, int64_t *ret_size,
                struct error *err)
{
    int64_t size = 0;
    auto_fd int file = open_sized(path, limit, &size, err);
    if (file < 0)
        return file;
    auto_fd int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, bytes ? bytes : size) < 0)
        return error_errno(err, errno, "making room for %s", path);
    int r = copy_data(file, fd, size);
    if (r < 0)
        return error_errno(err, -r, "reading %s", path);
    *ret_size = size;
    return steal_fd(&fd);
}

int ram_layer_load(struct ram_layer **ret, const char *path, int64_t ram_bytes, struct error *err)
{
    struct header header;
    int64_t size;
    auto_fd int fd = load(path, "deskfarm-layer", 2 * ram_bytes + RAM_BESIDE_BYTES_MAX + (1 << 20), 0, &size, err);
    if (fd < 0)
        return fd;
    if (size < RAM_LAYER_HEADER || read_all(fd, &header, sizeof header, 0) < 0 ||
        !header_is_sane(&header, ram_bytes, size))
        return error_set(err, ERROR_BAD_VALUE, "%s is no layer of this RAM", path);
    struct ram_layer *self = layer_new(steal_fd(&fd), (size_t)size);
    if (!self)
        return error_errno(err, ENOMEM, "reading %s", path);
    if (check(self) < 0) {
        ram_layer_unref(self);
        return error_set(err, ERROR_BAD_VALUE, "%s is damaged", path);
    }
    *ret = self;
    return 0;
}

/* --- Whole RAM --------------------------------------------------------------------------------- */

int ram_seal(int ram_fd, struct error *err)
{
    if (fcntl(ram_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_errno(err, errno, "sealing a template's RAM");
    return 0;
}

int ram_copy(int ram_fd, const char *name, struct error *err)
{
    struct stat st;
    if (fstat(ram_fd, &st) < 0)
        return error_errno(err, errno, "copying the guest's RAM");
    auto_fd int fd = ram_create(name, st.st_size, err);
    if (fd < 0)
        return fd;
    int r = copy_data(ram_fd, fd, st.st_size);
    if (r < 0)
        return error_errno(err, -r, "copying the guest's RAM");
    r = ram_seal(fd, err);
    return r < 0 ? r : steal_fd(&fd);
}

int ram_store(int ram_fd, const char *path, struct error *err)
{
    struct stat st;
    return fstat(ram_fd, &st) < 0 ? error_errno(err, errno, "writing %s", path)
                                  : store(ram_fd, st.st_size, path, err);
}

int ram_load(const char *path, const char *name, int64_t bytes, struct error *err)
{
    int64_t size = 0;
    auto_fd int file = open_sized(path, bytes, &size, err);
    auto_fd int fd = file < 0 ? file : ram_create(name, bytes, err);
    if (fd < 0)
        return fd;
    int r = copy_data(file, fd, size);
    if (r < 0)
        return error_errno(err, -r, "reading %s", path);
    r = ram_seal(fd, err);
    return r < 0 ? r : steal_fd(&fd);
}

int ram_load_sealed(const char *path, int64_t limit, struct error *err)
{
    int64_t size;
    auto_fd int fd = load(path, "deskfarm-state", limit, 0, &size, err);
    if (fd < 0)
        return fd;
    int r = fchmod(fd, 0444) < 0 ? error_errno(err, errno, "reading %s", path) : ram_seal(fd, err);
    return r < 0 ? r : steal_fd(&fd);
}
