#include "hypervisor/guest-files.h"

#include "hypervisor/guest.h"
#include "hypervisor/ram.h"

#include "base/fs.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(GUEST_FD_COUNT == 13, "GUEST_FILES_INIT has one -1 per descriptor");

int guest_files_new_words(int64_t bytes, struct error *err)
{
    auto_fd int fd = memfd_create("deskfarm-words", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_errno(err, errno, "creating the place for a process's words");
    return steal_fd(&fd);
}

static int open_overlay(struct guest_files *self, const char *dir, struct error *err)
{
    auto_free char *path = fs_join(dir, GUEST_FILE_OVERLAY);
    if (!path)
        return error_errno(err, ENOMEM, "opening the overlay");
    static const struct {
        int as, mode;
    } rows[] = { { GUEST_FD_OVERLAY_RW, O_RDWR }, { GUEST_FD_OVERLAY_RO, O_RDONLY } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = open(path, rows[i].mode | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return error_errno(err, errno, "opening %s", path);
        self->fds[rows[i].as] = fd;
    }
    return 0;
}

static int open_sockets(struct guest_files *self, bool with_network, const char *dir,
                        struct error *err)
{
    static const struct {
        int as;
        const char *name;
    } rows[] = {
        { GUEST_FD_QMP, GUEST_SOCK_QMP },
        { GUEST_FD_CONSOLE, GUEST_SOCK_CONSOLE },
        { GUEST_FD_AGENT, GUEST_SOCK_AGENT },
        { GUEST_FD_QGA, GUEST_SOCK_QGA },
        { GUEST_FD_NET, GUEST_SOCK_NET },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].as == GUEST_FD_NET && !with_network)
            continue;
        int fd = sock_listen(dir, rows[i].name, err);
        if (fd < 0)
            return fd;
        self->fds[rows[i].as] = fd;
    }
    return 0;
}

static int open_ram(const struct machine_spec *spec, struct error *err)
{
    if (!spec->origin)
        return ram_create(spec->name, (int64_t)spec->memory_mib << 20, err);
    int fd = fcntl(spec->origin->ram_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? error_errno(err, errno, "taking the template's RAM") : fd;
}

/* The variables as the firmware's package has them, and nothing of another guest. */
static int open_flash(const struct machine_spec *spec, struct error *err)
{
    auto_buf struct buf variables = BUF_INIT;
    int64_t bytes = profile_flash_bytes(&spec->shape);
    const char *path = profile_variables(&spec->shape);
    int r = fs_read(path, (size_t)bytes, &variables, err);
    if (r < 0)
        return r;
    if ((int64_t)variables.size != bytes)
        return error_set(err, ERROR_GUEST_FAILED, "%s has %zu bytes, and not %lld", path, variables.size,
                         (long long)bytes);
    auto_fd int fd = memfd_create("deskfarm-variables", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, variables.data, variables.size) != (ssize_t)variables.size || fchmod(fd, 0666) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_errno(err, errno, "making the firmware's variables");
    return steal_fd(&fd);
}

int guest_files_open(struct guest_files *self, const struct machine_spec *spec, const char *dir,
                     struct error *err)
{
    int fd = guest_files_new_words(GUEST_WORDS_BYTES, err);
    if (fd < 0)
        return fd;
    self->fds[GUEST_FD_STDERR] = fd;
    fd = open_ram(spec, err);
    if (fd < 0)
        return fd;
    self->fds[GUEST_FD_RAM] = fd;
    if (profile_flash_bytes(&spec->shape)) {
        fd = open_flash(spec, err);
        if (fd < 0)
            return fd;
        self->fds[GUEST_FD_FLASH] = fd;
    }
    int r = machine_has_disk(spec) ? open_overlay(self, dir, err) : 0;
    return r < 0 ? r : open_sockets(self, spec->network != MACHINE_NETWORK_NONE, dir, err);
}

void guest_files_close(struct guest_files *self)
{
    for (size_t i = 0; i < GUEST_FD_COUNT; i++)
        util_close_ptr(&self->fds[i]);
    *self = (struct guest_files)GUEST_FILES_INIT;
}

size_t guest_files_rows(const struct guest_files *self, struct process_fd *rows)
{
    size_t n = 0;
    for (int i = 0; i < GUEST_FD_COUNT; i++)
        if (self->fds[i] >= 0)
            rows[n++] = (struct process_fd){ self->fds[i], i };
    return n;
}

/* Length of the UTF-8 sequence at text, 0 when there is none. Overlong forms are let through. */
static size_t utf8_length(const char *text, size_t size)
{
    uint8_t c = (uint8_t)text[0];
    size_t n = c < 0x80             ? 1
               : (c & 0xe0) == 0xc0 ? 2
               : (c & 0xf0) == 0xe0 ? 3
               : (c & 0xf8) == 0xf0 ? 4
                                    : 0;
    if (n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (((uint8_t)text[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static void clean(const char *text, size_t size, char *out, size_t out_size)
{
    size_t at = 0;
    for (size_t i = 0; i < size && at + 4 < out_size;) {
        size_t n = utf8_length(text + i, size - i);
        if (text[i] == '\n' && i + 1 < size) {
            memcpy(out + at, "; ", 2);
            at += 2;
        } else if (n > 1) {
            memcpy(out + at, text + i, n);
            at += n;
        } else if (text[i] != '\n') {
            uint8_t c = (uint8_t)text[i];
            out[at++] = n == 0 ? '?' : c < 0x20 || c == 0x7f ? ' ' : (char)c;
        }
        i += MAX(n, (size_t)1);
    }
    out[at] = 0;
}

void guest_files_words(int words_fd, char *out, size_t size)
{
    out[0] = 0;
    auto_free char *all = malloc(GUEST_WORDS_BYTES + 1);
    ssize_t n = all && words_fd >= 0 ? pread(words_fd, all, GUEST_WORDS_BYTES, 0) : -1;
    if (n <= 0)
        return;
    all[n] = 0;
    size_t length = strlen(all);
    while (length > 0 && all[length - 1] == '\n')
        length--;
    /* "; " takes a byte more than the newline that it stands for: leave room. */
    size_t from = 0;
    if (length * 2 >= size && length > size / 2) {
        from = length - size / 2;
        const char *line = memchr(all + from, '\n', length - from);
        if (line && line + 1 < all + length)
            from = (size_t)(line + 1 - all);
    }
    clean(all + from, length - from, out, size);
}
