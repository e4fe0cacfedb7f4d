#include "tests/bench/vm.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/sock.h"
#include "base/util.h"
#include "tests/bench/gpu.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_US 20000000
#define FIRMWARE_BYTES 65536
#define HLT 0xf4

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* A free one now; somebody else may take it, and then QEMU says so. */
static int find_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("looking for a free port");
    close(fd);
    return ntohs(address.sin_port);
}

static void write_firmware(const char *path)
{
    uint8_t halt[FIRMWARE_BYTES];
    memset(halt, HLT, sizeof halt);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, halt, sizeof halt) != (ssize_t)sizeof halt)
        die(path);
    close(fd);
}

static void run_qemu(const struct vm *self, int trace_fd)
{
    char firmware[64], ram[96], qtest[80], qmp[80], vnc[64];
    snprintf(firmware, sizeof firmware, "%s/halt", self->dir);
    snprintf(ram, sizeof ram, "memory-backend-file,id=ram,size=%dM,share=on,mem-path=/proc/self/fd/%d",
             GPU_RAM_MIB, self->ram_fd);
    snprintf(qtest, sizeof qtest, "unix:%s/qtest,server=on,wait=off", self->dir);
    snprintf(qmp, sizeof qmp, "unix:%s/qmp,server=on,wait=off", self->dir);
    snprintf(vnc, sizeof vnc, "127.0.0.1:20,to=200,websocket=%d", self->vnc_port);
    write_firmware(firmware);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fcntl(self->ram_fd, F_SETFD, 0);
    dup2(trace_fd, STDERR_FILENO);
    execlp("qemu-system-x86_64", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine",
           "pc,memory-backend=ram", "-accel", "tcg", "-m", "64", "-bios", firmware, "-object", ram,
           "-device", "virtio-gpu-pci,addr=5", "-device", "virtio-tablet-pci", "-qtest", qtest,
           "-qtest-log", "/dev/null", "-qmp", qmp, "-display", "dbus,p2p=yes", "-vnc", vnc,
           "-trace", "input_event_btn", NULL);
    _exit(127);
}

static int connect_soon(const struct vm *self, const char *name)
{
    int64_t until = clock_now_us() + START_US;
    for (;;) {
        int fd = sock_connect(self->dir, name, NULL);
        if (fd >= 0)
            return fd;
        if (clock_now_us() > until || waitpid(self->pid, NULL, WNOHANG) == self->pid) {
            char words[2048] = "";
            fcntl(self->trace_fd, F_SETFL, O_NONBLOCK);
            ssize_t n = read(self->trace_fd, words, sizeof words - 1);
            fprintf(stderr, "QEMU does not run: %.*s\n", (int)MAX(n, 0), words);
            exit(1);
        }
        usleep(20000);
    }
}

static void set_blocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

void vm_start(struct vm *self)
{
    int trace[2];
    *self = (struct vm){ .dir = "/tmp/deskfarm-bench-XXXXXX" };
    self->ram_fd = memfd_create("bench-ram", MFD_CLOEXEC);
    if (self->ram_fd < 0 || ftruncate(self->ram_fd, (off_t)GPU_RAM_MIB << 20) < 0 ||
        pipe2(trace, O_CLOEXEC) < 0 || !mkdtemp(self->dir))
        die("preparing QEMU");
    self->vnc_port = find_port();
    self->pid = fork();
    if (self->pid == 0)
        run_qemu(self, trace[1]);
    close(trace[1]);
    self->trace_fd = trace[0];
    self->qtest_fd = connect_soon(self, "qtest");
    self->qmp_fd = connect_soon(self, "qmp");
    set_blocking(self->qtest_fd);
}

int64_t vm_cpu_us(const struct vm *self)
{
    char path[64];
    int64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", self->pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char stat[96];
        long long ns = 0;
        snprintf(stat, sizeof stat, "/proc/%d/task/%.16s/schedstat", self->pid, task->d_name);
        FILE *file = *task->d_name == '.' ? NULL : fopen(stat, "re");
        if (file && fscanf(file, "%lld", &ns) == 1)
            sum += ns / 1000;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

void vm_stop(struct vm *self)
{
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    fs_remove_tree(self->dir, NULL);
}
