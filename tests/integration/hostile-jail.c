/* Stands in a jail in QEMU's place and tries to write what is not its own: the template's RAM, the base disk
 * and the layers above it, by every way that it has. Says each way that worked on standard error, which
 * the daemon shows as the guest's last words; "nothing worked" when none did. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_FD 9 /* GUEST_FD_RAM */

static int n_worked;

static void worked(const char *what, const char *on)
{
    n_worked++;
    fprintf(stderr, "%s worked on %s; ", what, on);
}

static void scribble(int fd, const char *on)
{
    char bytes[64];
    memset(bytes, 'X', sizeof bytes);
    if (pwrite(fd, bytes, sizeof bytes, 4096) > 0)
        worked("pwrite", on);
    if (write(fd, bytes, sizeof bytes) > 0)
        worked("write", on);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
        worked("a shared writable mapping", on);
        memset(map, 'X', 4096);
    }
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED && mprotect(map, 4096, PROT_READ | PROT_WRITE) == 0) {
        worked("mprotect", on);
        memset(map, 'X', 4096);
    }
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192) == 0)
        worked("punching a hole", on);
    if (ftruncate(fd, 4096) == 0)
        worked("ftruncate", on);
    if (fchmod(fd, 0666) == 0 && strcmp(on, "RAM") != 0)
        worked("fchmod", on);
}

/* A descriptor that is only to be read, opened anew. */
static void reopen(int fd, const char *on)
{
    static const int modes[] = { O_RDWR, O_WRONLY, O_RDWR | O_TRUNC };
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        int own = open(path, modes[i]);
        if (own >= 0)
            scribble(own, on);
    }
    scribble(fd, on);
}

static void attack_path(const char *path)
{
    if (access(path, F_OK) < 0)
        return;
    if (chmod(path, 0666) == 0)
        worked("chmod", path);
    if (unlink(path) == 0)
        worked("unlink", path);
    if (rename(path, "/tmp/mine") == 0)
        worked("rename", path);
    if (truncate(path, 0) == 0)
        worked("truncate", path);
    int fd = open(path, O_RDWR);
    if (fd >= 0) {
        worked("opening it for writing", path);
        scribble(fd, path);
    }
    fd = open(path, O_RDONLY);
    if (fd >= 0)
        reopen(fd, path);
}

int main(int argc, char **argv)
{
    static const char *const paths[] = { "/image/disk", "/image/kernel", "/image/initrd", "/image/layer-1" };
    int n_seen = 0;
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("QEMU emulator version " VERSION);
        return 0;
    }
    struct stat st;
    if (fstat(RAM_FD, &st) == 0 && st.st_size > 0)
        n_seen++;
    reopen(RAM_FD, "RAM");
    if (fcntl(RAM_FD, F_ADD_SEALS, 0) == 0)
        worked("sealing", "RAM");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        n_seen += access(paths[i], F_OK) == 0;
        attack_path(paths[i]);
    }
    if (n_worked == 0)
        fprintf(stderr, "of %d files nothing worked", n_seen);
    return 1;
}
