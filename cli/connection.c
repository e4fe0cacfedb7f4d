#include "cli/connection.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEAD_MAX 65536
#define WAIT_MS 30000

struct connection {
    void *curl;
    int fd;
    bool is_tls;
    struct buf rest; /* came behind the answer's head */
};

struct connection *connection_free(struct connection *self)
{
    if (!self)
        return NULL;
    if (self->curl)
        curl_easy_cleanup(self->curl);
    buf_deinit(&self->rest);
    free(self);
    return NULL;
}

int connection_fd(const struct connection *self)
{
    return self->fd;
}

ssize_t connection_read(struct connection *self, void *out, size_t size)
{
    size_t n = MIN(size, self->rest.size);
    if (n > 0) {
        memcpy(out, self->rest.data, n);
        buf_consume(&self->rest, n);
        return (ssize_t)n;
    }
    CURLcode code = curl_easy_recv(self->curl, out, size, &n);
    return code == CURLE_OK ? (ssize_t)n : code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

ssize_t connection_write(struct connection *self, const void *bytes, size_t size)
{
    size_t n = 0;
    CURLcode code = curl_easy_send(self->curl, bytes, size, &n);
    return code == CURLE_OK ? (ssize_t)n : code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

void connection_end(struct connection *self)
{
    if (!self->is_tls)
        shutdown(self->fd, SHUT_WR);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static bool wait_for(const struct connection *self, short events)
{
    struct pollfd fd = { .fd = self->fd, .events = events };
    return poll(&fd, 1, WAIT_MS) > 0;
}

static int send_head(struct connection *self, const struct buf *head)
{
    for (size_t at = 0; at < head->size;) {
        ssize_t n = connection_write(self, head->data + at, head->size - at);
        if (n < 0 && (n != -EAGAIN || !wait_for(self, POLLOUT)))
            return -EIO;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Reads until the answer's head is there; of a refusal until its end. Returns the status. */
static int read_head(struct connection *self, struct buf *in, size_t *ret_size)
{
    char bytes[4096];
    for (;;) {
        const char *text = buf_str(in), *end = strstr(text, "\r\n\r\n");
        int status = 0;
        if (end && sscanf(text, "HTTP/1.%*d %d", &status) != 1)
            return -EPROTO;
        *ret_size = end ? (size_t)(end - text) + 4 : 0;
        if (status == 101)
            return status;
        size_t space = MIN(sizeof bytes, HEAD_MAX - in->size);
        ssize_t n = space ? connection_read(self, bytes, space) : 0;
        if (n == 0)
            return status ? status : -EPROTO;
        if (n < 0 && (n != -EAGAIN || !wait_for(self, POLLIN)))
            return status ? status : -EIO;
        if (n > 0)
            buf_append(in, bytes, (size_t)n);
    }
}

static void write_head(const struct cli *cli, const char *target, const char *protocol,
                       const char *headers, struct buf *out)
{
    const char *host = cli->url ? strstr(cli->url, "://") + 3 : "localhost";
    buf_printf(out,
               "GET %s HTTP/1.1\r\nHost: %.*s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"
               "Accept: application/json\r\nUser-Agent: deskfarm/" DESKFARM_VERSION "\r\n%s",
               target, (int)strcspn(host, "/"), host, protocol, headers);
    if (cli->key)
        buf_printf(out, "Authorization: Bearer %s\r\n", cli->key);
    buf_puts(out, "\r\n");
}

static int open_stream(struct connection *self, struct cli *cli, const char *target)
{
    char detail[CURL_ERROR_SIZE] = "";
    self->curl = cli_curl_new(cli, target);
    if (!self->curl)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    curl_easy_setopt(self->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(self->curl);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, NULL);
    if (code != CURLE_OK)
        return cli_fail_unreachable(cli, (int)code, detail);
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(self->curl, CURLINFO_ACTIVESOCKET, &fd);
    self->fd = fd;
    self->is_tls = cli->url && strncmp(cli->url, "https:", 6) == 0;
    return CLI_OK;
}

static int upgrade(struct connection *self, struct cli *cli, const struct buf *head)
{
    auto_buf struct buf answer = { .limit = HEAD_MAX + 1 };
    size_t size = 0;
    int status = send_head(self, head) < 0 ? -EIO : read_head(self, &answer, &size);
    if (status < 0)
        return cli_fail(cli, CLI_UNREACHABLE, "unreachable",
                        "the connection ended before the daemon's answer");
    struct bytes *rest = bytes_copy(answer.data + size, answer.size - size);
    if (!rest)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    int r =
        status == 101 ? CLI_OK : cli_fail_text(cli, status, (const char *)rest->data, rest->size);
    buf_append(&self->rest, rest->data, rest->size);
    bytes_unref(rest);
    return r;
}

int connection_open(struct connection **ret, struct cli *cli, struct request *request,
                    const char *protocol, const char *headers)
{
    auto_buf struct buf head = BUF_INIT;
    int status = cli_complete_id(cli, request);
    if (status != CLI_OK)
        return status;
    auto_free char *target = request_target(request);
    struct connection *self = calloc(1, sizeof *self);
    if (!self || !target) {
        free(self);
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    }
    write_head(cli, target, protocol, headers, &head);
    status = open_stream(self, cli, target);
    if (status == CLI_OK)
        status = upgrade(self, cli, &head);
    if (status == CLI_OK)
        *ret = self;
    else
        connection_free(self);
    return status;
}
