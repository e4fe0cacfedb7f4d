/* A port of a guest as one of ours. Every connection is a process of its own, as under inetd: none
 * waits for another, and one that is stuck in the daemon or the guest is stuck alone. They end with
 * us. */
#include "cli/relay.h"
#include "cli/verbs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128
#define PROTOCOL "deskfarm-tcp"

/* "8080" or "[LOCAL:]PORT"; LOCAL 0: any that is free. */
static int parse_ports(const char *text, int *ret_local, char remote[8])
{
    char local[8] = "", rest;
    int n = sscanf(text, "%7[0-9]:%7[0-9]%c", local, remote, &rest);
    if (n == 1 && sscanf(text, "%7[0-9]%c", remote, &rest) == 1)
        n = 2;
    *ret_local = atoi(local);
    bool is_good = n == 2 && *ret_local <= 65535 && atoi(remote) >= 1 && atoi(remote) <= 65535;
    return is_good ? 0 : -EINVAL;
}

static int listen_on(int port, int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        return -errno;
    *ret_port = ntohs(at.sin_port);
    return steal_fd(&fd);
}

static int serve(struct cli *cli, struct request *request, int in, int out)
{
    struct connection *tunnel = NULL;
    int status = connection_open(&tunnel, cli, request, PROTOCOL, "");
    if (status != CLI_OK)
        return status;
    int r = relay_run(tunnel, in, out);
    connection_free(tunnel);
    return r < 0 ? cli_fail(cli, CLI_FAILED, "cut", "the connection was cut: %s", strerror(-r)) : CLI_OK;
}

static void serve_in_child(struct cli *cli, struct request *request, int listener, int fd,
                           pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    close(listener);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (getppid() == parent)
        serve(cli, request, fd, fd);
    fflush(stderr);
    _exit(0);
}

static int serve_all(struct cli *cli, struct request *request, int listener)
{
    pid_t parent = getpid();
    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED && errno != EMFILE)
            return cli_fail(cli, CLI_FAILED, "internal", "accepting: %s", strerror(errno));
        if (fd < 0)
            continue;
        pid_t pid = fork();
        if (pid == 0)
            serve_in_child(cli, request, listener, fd, parent);
        if (pid < 0)
            fprintf(stderr, "deskfarm: internal: a connection was refused: %s\n", strerror(errno));
        close(fd);
    }
}

static int run(struct cli *cli, struct request *request)
{
    int local, port = 0;
    char remote[8];
    const char *text = json_get_string(request->path, "port", "");
    if (parse_ports(text, &local, remote) < 0)
        return cli_fail(cli, CLI_USAGE, "bad_value", "\"%.20s\" is not [LOCAL:]PORT", text);
    json_object_set_new(request->path, "port", json_string(remote));
    if (request_own(request, "stdio"))
        return serve(cli, request, STDIN_FILENO, STDOUT_FILENO);
    int status = cli_complete_id(cli, request);
    if (status != CLI_OK)
        return status;
    int listener = listen_on(local, &port);
    if (listener < 0)
        return cli_fail(cli, CLI_FAILED, listener == -EADDRINUSE ? "port_in_use" : "internal",
                        "listening on 127.0.0.1 port %d: %s", local, strerror(-listener));
    printf("127.0.0.1:%d\n", port);
    fflush(stdout);
    status = serve_all(cli, request, listener);
    close(listener);
    return status;
}

static const char *const operands[] = { "id", "port", NULL };

static const struct flag flags[] = {
    { .name = "stdio", .text = "Join the port to standard input and output instead." },
    { .name = NULL },
};

const struct verb verb_port = {
    .name = "port",
    .usage = "ID [LOCAL:]PORT",
    .operation = "sandbox_tunnel",
    .operands = operands,
    .flags = flags,
    .run = run,
    .summary = "Makes a TCP port of a guest one of this host's loopback address.",
    .text =
        "Prints the address and serves until it is ended, any number of connections. Without\n"
        "LOCAL any free port is taken. The port is reached at the guest's own loopback address.\n",
};
