#include "hypervisor/host-facts.h"

#include "base/clock.h"
#include "base/fs.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <signal.h>

#define LIMIT_US 5000000

void host_facts_parse_version(const char *text, char *out, size_t size)
{
    const char *at = strstr(text, "version ");
    size_t n = at ? strcspn(at + 8, " \t\r\n(") : 0;
    snprintf(out, size, "%.*s", (int)MIN(n, size - 1), at ? at + 8 : "");
}

/* What the child prints, until it has closed its end or the time is over. */
static void read_words(int fd, char *out, size_t size)
{
    size_t n = 0;
    for (int64_t end_us = clock_now_us() + LIMIT_US; n + 1 < size;) {
        int64_t left_us = end_us - clock_now_us();
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (left_us <= 0 || poll(&ready, 1, (int)(left_us / 1000) + 1) <= 0)
            break;
        ssize_t got = read(fd, out + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    out[n] = 0;
}

static void ask_qemu(const char *qemu, char *out, size_t size)
{
    const char *name = qemu ? qemu : "qemu-system-x86_64";
    char *const argv[] = { (char *)(uintptr_t)name, (char *)(uintptr_t) "--version", NULL };
    char *const envp[] = { (char *)(uintptr_t) "LANG=C", NULL };
    char words[256] = "";
    int pipe_fds[2];
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
    int r = posix_spawnp(&pid, name, &actions, NULL, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (r == 0) {
        read_words(pipe_fds[0], words, sizeof words);
        kill(pid, SIGKILL); /* it has printed, or is late */
        waitpid(pid, NULL, 0);
    }
    close(pipe_fds[0]);
    host_facts_parse_version(words, out, size);
}

static void read_cpu_model(char *out, size_t size)
{
    auto_buf struct buf text = BUF_INIT;
    if (fs_read("/proc/cpuinfo", 1 << 20, &text, NULL) < 0)
        return;
    const char *line = strstr(buf_str(&text), "model name");
    const char *at = line ? strchr(line, ':') : NULL;
    if (!at)
        return;
    at += 1 + strspn(at + 1, " \t");
    snprintf(out, size, "%.*s", (int)MIN(strcspn(at, "\n"), size - 1), at);
}

void host_facts_look(struct host_facts *ret, const char *qemu)
{
    struct utsname name;
    *ret = (struct host_facts){ 0 };
    ask_qemu(qemu, ret->qemu, sizeof ret->qemu);
    read_cpu_model(ret->cpu_model, sizeof ret->cpu_model);
    if (uname(&name) == 0)
        snprintf(ret->kernel, sizeof ret->kernel, "%s", name.release);
}

static bool differ(const char *there, const char *here)
{
    return *there && *here && strcmp(there, here) != 0;
}

int host_facts_check(const struct host_facts *there, const struct host_facts *here, enum accel accel,
                     struct error *err)
{
    if (differ(there->qemu, here->qemu))
        return error_set(err, ERROR_CONFLICT, "it was taken by QEMU %s, and this host has %s: a state loads "
                         "only into the version that wrote it", there->qemu, here->qemu);
    if (accel == ACCEL_KVM && differ(there->cpu_model, here->cpu_model))
        return error_set(err, ERROR_CONFLICT, "it was taken under KVM on a %s, and this host is a %s: the guest "
                         "relies on the processor that it has seen", there->cpu_model, here->cpu_model);
    return 0;
}
