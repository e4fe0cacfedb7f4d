/* What tests run inside a guest: an HTTP/1.1 server with a WebSocket, as well-behaved or not as its
 * path says, and two servers of plain bytes. Static, a child per connection.
 *
 *   guest-server PORT
 *
 *   PORT      HTTP: /            a page that opens a WebSocket and shows what comes back
 *                   /head        the request's head as it came
 *                   /echo        the body (of a Content-Length), as it comes
 *                   /bytes/N /chunked/N /close/N  N bytes, their end told in three ways
 *                   /cookies /redirect /interim /garbage /nothing /bighead /stall /cut /ticks
 *                   /ws          a WebSocket that sends back what it gets
 *   PORT + 1  bytes: all back; after the caller's end the number of them, and its own end
 *   PORT + 2  bytes: "first\n" and its own end; then counts the caller's into /tmp/counted
 *
 * Byte i of a body is the low byte of i * i / 7 + i. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char head[65536];
static size_t head_size, got; /* of the head; of all that was read */

static void put(int fd, const void *data, size_t size)
{
    for (const char *at = data; size > 0;) {
        ssize_t n = write(fd, at, size);
        if (n <= 0)
            _exit(1);
        at += n, size -= (size_t)n;
    }
}

static void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

static void put_bytes(int fd, uint64_t n, bool is_chunked)
{
    static uint8_t block[32768];
    char line[32];
    for (uint64_t at = 0; at < n;) {
        size_t size = n - at < sizeof block ? (size_t)(n - at) : sizeof block;
        for (size_t i = 0; i < size; i++, at++)
            block[i] = (uint8_t)(at * at / 7 + at);
        if (is_chunked)
            put(fd, line, (size_t)sprintf(line, "%zx\r\n", size));
        put(fd, block, size);
        if (is_chunked)
            say(fd, "\r\n");
    }
    if (is_chunked)
        say(fd, "0\r\n\r\n");
}

static const char *field(const char *name)
{
    for (char *line = strchr(head, '\n'); line && *++line; line = strchr(line, '\n'))
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            return line + strlen(name) + 1 + strspn(line + strlen(name) + 1, " ");
    return "";
}

/* --- WebSocket -------------------------------------------------------------------------------- */

static uint32_t turn(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* SHA-1 of a text of at most 119 bytes (FIPS 180-4). */
static void digest(const char *text, uint8_t out[20])
{
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    uint8_t block[128] = { 0 };
    size_t n = strlen(text), blocks = n < 56 ? 1 : 2;
    memcpy(block, text, n);
    block[n] = 0x80;
    block[blocks * 64 - 2] = (uint8_t)(n * 8 >> 8);
    block[blocks * 64 - 1] = (uint8_t)(n * 8);
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[80], v[5];
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 16; i++) {
            const uint8_t *at = block + b * 64 + i * 4;
            w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
        for (int i = 16; i < 80; i++)
            w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? (v[1] & v[2]) | (~v[1] & v[3])
                         : i < 40 ? v[1] ^ v[2] ^ v[3]
                         : i < 60 ? (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])
                                  : v[1] ^ v[2] ^ v[3];
            static const uint32_t k[] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
            uint32_t next = turn(v[0], 5) + f + v[4] + k[i / 20] + w[i];
            memmove(v + 1, v, 4 * sizeof *v);
            v[2] = turn(v[2], 30);
            v[0] = next;
        }
        for (int i = 0; i < 5; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 20; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}

static void put_base64(int fd, const uint8_t *in, int n)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[64], *at = out;
    for (int i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0);
        *at++ = set[v >> 18], *at++ = set[v >> 12 & 63];
        *at++ = i + 1 < n ? set[v >> 6 & 63] : '=', *at++ = i + 2 < n ? set[v & 63] : '=';
    }
    put(fd, out, (size_t)(at - out));
}

/* Reads through what came with the head first. */
static void take(int fd, void *out, size_t size)
{
    for (char *at = out; size > 0;) {
        ssize_t n;
        if (got > head_size) {
            n = (ssize_t)(got - head_size < size ? got - head_size : size);
            memcpy(at, head + head_size, (size_t)n);
            head_size += (size_t)n;
        } else if ((n = read(fd, at, size)) <= 0) {
            _exit(0);
        }
        at += n, size -= (size_t)n;
    }
}

static void echo_frames(int fd)
{
    for (;;) {
        uint8_t h[2], more[8], mask[4], out[10];
        take(fd, h, 2);
        uint64_t size = h[1] & 127;
        size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
        take(fd, more, extra);
        for (size_t i = 0; i < extra; i++)
            size = (i ? size << 8 : 0) | more[i];
        take(fd, mask, 4);
        uint8_t *payload = malloc(size + 1);
        take(fd, payload, size);
        for (uint64_t i = 0; i < size; i++)
            payload[i] ^= mask[i % 4];
        out[0] = (h[0] & 15) == 9 ? 0x8a : h[0];
        out[1] = h[1] & 127;
        memcpy(out + 2, more, extra);
        put(fd, out, 2 + extra);
        put(fd, payload, size);
        free(payload);
        if ((h[0] & 15) == 8)
            _exit(0);
    }
}

static void serve_ws(int fd)
{
    char text[128];
    uint8_t sum[20];
    const char *key = field("Sec-WebSocket-Key");
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    digest(text, sum);
    say(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: ");
    put_base64(fd, sum, 20);
    say(fd, "\r\n\r\n");
    echo_frames(fd);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static const char page[] =
    "<!doctype html><title>guest page</title><h1>From the guest</h1><p id=out>waiting</p><script>\n"
    "document.cookie = 'mine=1';\n"
    "const socket = new WebSocket(`ws://${location.host}/ws`);\n"
    "socket.onopen = () => socket.send('hello from the page');\n"
    "socket.onmessage = (e) => { document.getElementById('out').textContent = `echo: ${e.data}`; };\n"
    "socket.onerror = () => { document.getElementById('out').textContent = 'error'; };\n"
    "</script>\n";

static void put_ok(int fd, const char *more, uint64_t length)
{
    char text[512];
    put(fd, text, (size_t)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%sContent-Length: %llu\r\n\r\n",
                                   more, (unsigned long long)length));
}

static void serve_echo(int fd)
{
    static char block[65536];
    uint64_t left = strtoull(field("Content-Length"), NULL, 10);
    if (strncasecmp(field("Expect"), "100-continue", 12) == 0)
        say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    put_ok(fd, "Content-Type: application/octet-stream\r\n", left);
    while (left > 0) {
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        n = n > 4096 ? 4096 : n;
        take(fd, block, n);
        put(fd, block, n);
        left -= n;
    }
}

static void serve_cookies(int fd)
{
    put_ok(fd, "Set-Cookie: plain=1\r\nSet-Cookie: wide=2; Domain=localhost; Path=/\r\n"
               "Set-Cookie: deskfarm=stolen; Path=/\r\nAccess-Control-Allow-Origin: *\r\n"
               "Clear-Site-Data: \"*\"\r\nContent-Security-Policy: default-src *\r\n"
               "Keep-Alive: timeout=5\r\nX-Kept: yes\r\n", 0);
}

static void serve_odd(int fd, const char *path)
{
    static char big[70000];
    if (strcmp(path, "/garbage") == 0) {
        say(fd, "SSH-2.0-OpenSSH_9.2p1\r\n");
    } else if (strcmp(path, "/bighead") == 0) {
        memset(big, 'a', sizeof big - 1);
        say(fd, "HTTP/1.1 200 OK\r\nX-Big: ");
        say(fd, big);
    } else if (strcmp(path, "/stall") == 0) {
        sleep(60);
    } else if (strcmp(path, "/cut") == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    } else if (strcmp(path, "/interim") == 0) {
        say(fd, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        put_ok(fd, "", 4);
        say(fd, "last");
    } else if (strcmp(path, "/ticks") == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for (int i = 0;; i++, usleep(20000))
            dprintf(fd, "data: %d\n\n", i);
    } else if (strcmp(path, "/redirect") == 0) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /head?x=1\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/nothing") != 0) {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

static void serve_http(int fd)
{
    char *end = NULL, path[256] = "";
    while (!end && got < sizeof head - 1) {
        ssize_t n = read(fd, head + got, sizeof head - 1 - got);
        if (n <= 0)
            return;
        got += (size_t)n;
        end = memmem(head, got, "\r\n\r\n", 4);
    }
    head_size = end ? (size_t)(end - head) + 4 : got;
    sscanf(head, "%*s %255[^ ?]", path);
    uint64_t n = strtoull(strrchr(path, '/') ? strrchr(path, '/') + 1 : "0", NULL, 10);
    if (strcmp(path, "/") == 0) {
        put_ok(fd, "Content-Type: text/html\r\n", sizeof page - 1);
        say(fd, page);
    } else if (strcmp(path, "/head") == 0) {
        put_ok(fd, "Content-Type: text/plain\r\n", head_size);
        put(fd, head, head_size);
    } else if (strcmp(path, "/echo") == 0) {
        serve_echo(fd);
    } else if (strncmp(path, "/bytes/", 7) == 0) {
        put_ok(fd, "", n);
        put_bytes(fd, n, false);
    } else if (strncmp(path, "/chunked/", 9) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        put_bytes(fd, n, true);
    } else if (strncmp(path, "/close/", 7) == 0) {
        say(fd, "HTTP/1.0 200 Fine\r\n\r\n");
        put_bytes(fd, n, false);
    } else if (strcmp(path, "/cookies") == 0) {
        serve_cookies(fd);
    } else if (strcmp(path, "/ws") == 0) {
        serve_ws(fd);
    } else {
        serve_odd(fd, path);
    }
}

/* --- Bytes ------------------------------------------------------------------------------------ */

static void serve_back(int fd)
{
    static char block[65536];
    char text[32];
    uint64_t all = 0;
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0; all += (uint64_t)n)
        put(fd, block, (size_t)n);
    put(fd, text, (size_t)sprintf(text, "[%llu]", (unsigned long long)all));
}

static void serve_first(int fd)
{
    static char block[65536];
    uint64_t all = 0;
    say(fd, "first\n");
    shutdown(fd, SHUT_WR);
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
        all += (uint64_t)n;
    FILE *file = fopen("/tmp/counted", "w");
    fprintf(file, "%llu\n", (unsigned long long)all);
    fclose(file);
}

static void serve(int port, int backlog, void (*fn)(int))
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, backlog) < 0) {
        perror("listening");
        exit(1);
    }
    int ready[2];
    if (pipe(ready) < 0)
        exit(1);
    if (fork() != 0) {
        /* Our process group may be killed as soon as we are gone. */
        char c;
        close(fd);
        close(ready[1]);
        if (read(ready[0], &c, 1) < 0)
            exit(1);
        close(ready[0]);
        return;
    }
    setsid();
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    close(ready[0]);
    close(ready[1]);
    if (!freopen("/dev/null", "r+", stdin) || dup2(0, 1) < 0 || dup2(0, 2) < 0)
        exit(1);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        if (one >= 0 && fork() == 0) {
            close(fd);
            fn(one);
            exit(0);
        }
        if (one >= 0)
            close(one);
    }
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 8000;
    serve(port, 256, serve_http);
    serve(port + 1, 256, serve_back); /* many come at once; beyond it the kernel resets them */
    serve(port + 2, 16, serve_first);
    return 0;
}
