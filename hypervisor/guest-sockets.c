/* Connections to a guest, and what can be seen of it from outside. */
#include "hypervisor/guest-private.h"

#include "hypervisor/guest-files.h"
#include "hypervisor/ram.h"

#include "base/fs.h"
#include "base/sock.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- Sockets --------------------------------------------------------------------------------- */

int guest_socket_pair(struct guest *self, int fds[2], struct error *err)
{
    if (!self->qmp || !qmp_is_ready(self->qmp))
        return error_set(err, ERROR_NOT_READY, "the guest's control connection is not up");
    auto_fd int theirs = sock_connect(self->dir, GUEST_SOCK_QMP, err);
    if (theirs < 0)
        return theirs;
    fds[0] = accept4(self->qmp_listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fds[0] < 0)
        return error_errno(err, errno, "accepting on the guest's control socket");
    fds[1] = steal_fd(&theirs);
    return 0;
}

/* A D-Bus socket under way. */
struct request {
    int fd;
    struct defer *defer; /* only for an error that was found at once */
    struct error err;
    guest_socket_fn done;
    void *data;
};

static void answer_request(struct request *request, const struct error *err)
{
    int fd = steal_fd(&request->fd);
    if (err)
        util_close_ptr(&fd);
    request->done(request->data, err ? -1 : fd, err);
    defer_free(request->defer);
    free(request);
}

static void handle_request_error(void *data)
{
    struct request *request = data;
    answer_request(request, &request->err);
}

static void handle_add_client(void *data, json_t *result maybe_unused, const struct error *err)
{
    answer_request(data, err);
}

void guest_dbus_socket(struct guest *self, guest_socket_fn done, void *data)
{
    int fds[2];
    struct request *request = calloc(1, sizeof *request);
    struct error err;
    if (!request) {
        error_errno(&err, ENOMEM, "attaching the display");
        done(data, -1, &err);
        return;
    }
    *request = (struct request){ .fd = -1, .done = done, .data = data };
    if (guest_socket_pair(self, fds, &request->err) < 0) {
        error_wrap(&request->err, "attaching the display");
        request->defer = defer_new(self->host->loop, handle_request_error, request);
        if (request->defer)
            defer_request(request->defer);
        else
            answer_request(request, &request->err);
        return;
    }
    request->fd = fds[0];
    /* Both at once: where the first fails, so does the second. */
    qmp_execute_fd(self->qmp, "getfd", json_pack("{s:s}", "fdname", "display"), fds[1], NULL, NULL);
    qmp_execute(self->qmp, "add_client",
                json_pack("{s:s, s:s}", "protocol", "@dbus-display", "fdname", "display"),
                handle_add_client, request);
}

static int connect_channel(struct guest *self, const char *name, struct error *err)
{
    if (self->state == GUEST_ENDED)
        return error_set(err, ERROR_GUEST_GONE, "the guest has ended");
    return sock_connect(self->dir, name, err);
}

int guest_console_connect(struct guest *self, struct error *err)
{
    return connect_channel(self, GUEST_SOCK_CONSOLE, err);
}

int guest_agent_connect(struct guest *self, struct error *err)
{
    return connect_channel(self, GUEST_SOCK_AGENT, err);
}

int guest_qga_connect(struct guest *self, struct error *err)
{
    return connect_channel(self, GUEST_SOCK_QGA, err);
}

/* --- Facts ----------------------------------------------------------------------------------- */

enum guest_state guest_get_state(const struct guest *self)
{
    return self->state;
}

pid_t guest_pid(const struct guest *self)
{
    return self->jailed ? jailed_pid(self->jailed) : 0;
}

struct qmp *guest_qmp(struct guest *self)
{
    return self->qmp;
}

int guest_ram_fd(const struct guest *self)
{
    return self->ram_fd;
}

void guest_last_words(const struct guest *self, char *out, size_t size)
{
    guest_files_words(self->words_fd, out, size);
}

int64_t guest_busy_us(const struct guest *self)
{
    char path[64];
    int64_t sum = -1;
    snprintf(path, sizeof path, "/proc/%d/task", (int)guest_pid(self));
    DIR *dir = guest_pid(self) ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        auto_free char *file = NULL;
        auto_buf struct buf text = BUF_INIT;
        long long running, waiting;
        if (entry->d_name[0] == '.' || asprintf(&file, "%s/%s/schedstat", path, entry->d_name) < 0)
            continue;
        if (fs_read(file, 128, &text, NULL) == 0 && sscanf(buf_str(&text), "%lld %lld", &running, &waiting) == 2)
            sum = MAX(sum, (int64_t)0) + (running + waiting) / 1000;
    }
    if (dir)
        closedir(dir);
    return sum;
}

int guest_check_memory_access(struct guest *self, struct error *err)
{
    pid_t pid = guest_pid(self);
    return pid ? ram_check_access(pid, err)
               : error_set(err, ERROR_NOT_READY, "the guest's process is not known yet");
}

int64_t guest_memory_bytes(const struct guest *self)
{
    char path[64];
    long long anon = 0, shmem = 0;
    auto_buf struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/status", (int)guest_pid(self));
    if (!guest_pid(self) || fs_read(path, 65536, &text, NULL) < 0)
        return 0;
    const char *at = strstr(buf_str(&text), "\nRssAnon:");
    if (at)
        sscanf(at + 9, "%lld", &anon);
    at = strstr(buf_str(&text), "\nRssShmem:");
    if (at)
        sscanf(at + 10, "%lld", &shmem);
    return (anon + shmem) * 1024;
}
