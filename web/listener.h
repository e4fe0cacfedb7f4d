/* Listening sockets and what is known of each accepted connection.
 *
 * We accept ourselves and hand the socket to libwebsockets: limits apply before it spends memory,
 * and each connection keeps where it came from. */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "base/loop.h"

#include <netinet/in.h>

struct lws;
struct web;
struct request;

/* One accepted connection. Lives until libwebsockets has destroyed its side. */
struct conn {
    struct list link;
    struct web *web;
    bool is_unix;
    bool is_local;        /* unix socket, or a peer on loopback */
    struct in6_addr peer; /* IPv4 as mapped address; all zero for unix */
    int fd;              /* a duplicate of the socket that libwebsockets has: answers go out here */
    struct watch *watch; /* on fd, for server_handle_socket */
    struct lws *lws;     /* what it is to libwebsockets */
    uint64_t due; /* consumed_bytes when exactly the request being answered was read; 0: unknown */
    struct request *request; /* the one being answered, or NULL */
};

struct listener;

/* Listens on a numeric address. *port 0 is chosen by the kernel and written back. */
int listener_new_tcp(struct web *web, const char *address, int *port, struct error *err);
/* Listens on dir/api.sock, mode 0600. */
int listener_new_unix(struct web *web, const char *dir, struct error *err);
struct listener *listener_free(struct listener *self);
void listener_free_all(struct web *web);

void conn_free(struct conn *self);
