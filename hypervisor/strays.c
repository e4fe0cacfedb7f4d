/* A daemon may die at any moment of a start: before QEMU listens, so that nobody can be asked who it is
 * (guest_end_orphan), or before its pid is in the journal. bwrap goes on without a daemon and starts
 * QEMU. All of them carry QEMU's arguments, and with them the guest's name, which is unique. A swtpm that QEMU
 * has not spoken to has the name in its own. */
#include "hypervisor/strays.h"

#include "hypervisor/tpm.h"

#include "base/fs.h"
#include "base/id.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define ARGUMENTS_MAX 131072

/* The argument, and what stands before the name in the next one. */
static const struct mark {
    const char *argument, *prefix;
} marks[] = { { "-name", "guest=" }, { "--tpmstate", "dir=" TPM_DIR } };

static bool is_word(const char *at, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(at, word, n) == 0;
}

/* The name behind a mark in a list of words that end with NUL each; false: there is none. */
static bool find_name(const struct buf *words, char name[ID_MAX])
{
    const char *end = (const char *)words->data + words->size;
    const struct mark *before = NULL;
    for (const char *at = (const char *)words->data; at < end; at += strnlen(at, (size_t)(end - at)) + 1) {
        size_t n = strnlen(at, (size_t)(end - at)), skip = before ? strlen(before->prefix) : 0;
        if (before && n > skip && memcmp(at, before->prefix, skip) == 0) {
            const char *comma = memchr(at, ',', n);
            size_t n_name = (comma ? (size_t)(comma - at) : n) - skip;
            snprintf(name, ID_MAX, "%.*s", (int)MIN(n_name, (size_t)ID_MAX), at + skip);
            return n_name < ID_MAX && id_is_valid(name);
        }
        before = NULL;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++)
            if (is_word(at, n, marks[i].argument))
                before = &marks[i];
    }
    return false;
}

static bool is_qemu(pid_t pid)
{
    char path[64];
    auto_buf struct buf comm = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    return fs_read(path, 64, &comm, NULL) == 0 && strncmp(buf_str(&comm), "qemu-system-", 12) == 0;
}

/* With the pidfd open the pid cannot go to somebody else, so what is read after that is its own. */
static bool look_at(pid_t pid, stray_fn is_stray, void *data)
{
    char path[64], name[ID_MAX];
    auto_buf struct buf words = BUF_INIT;
    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    if (pidfd < 0 || fs_read(path, ARGUMENTS_MAX, &words, NULL) < 0 || !find_name(&words, name) ||
        !is_stray(data, name, pid, is_qemu(pid)))
        return false;
    return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}

int strays_end(stray_fn is_stray, void *data)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]))
            n += look_at((pid_t)atoi(entry->d_name), is_stray, data);
    if (proc)
        closedir(proc);
    return n;
}
