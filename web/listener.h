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

/* Whoever has a connection while it is not libwebsockets' (web/intake.h). */
struct conn_taker {
    void (*on_socket)(void *data, int events); /* what conn->watch was set to */
    void (*on_gone)(void *data); /* the connection is being destroyed: forget it. May be NULL */
};

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
    const struct conn_taker *taker; /* NULL: libwebsockets */
    void *taken;                    /* its data */
    struct sandbox *used; /* by what the connection has become; NULL: by nothing, or by its request */
    size_t n_seen; /* bytes of a head that is awaited whole; 0: none is */
};

struct listener;

/* Listens on a numeric address. *port 0 is chosen by the kernel and written back. */
int listener_new_tcp(struct web *web, const char *address, int *port, struct error *err);
/* Listens on dir/api.sock, mode 0600. */
int listener_new_unix(struct web *web, const char *dir, struct error *err);
struct listener *listener_free(struct listener *self);
void listener_free_all(struct web *web);

void conn_free(struct conn *self);
/* What the connection was for is over. */
void conn_drop_use(struct conn *self);

/* From here on the socket's events go to taker. */
void conn_take(struct conn *self, const struct conn_taker *taker, void *data);
/* Back to where the next request is awaited: the taker has read exactly its own. */
void conn_resume(struct conn *self);
/* Ends it: what is written goes out, what still comes is dropped. self may be gone. */
void conn_end(struct conn *self);
/* Ends it at once. self is gone. */
void conn_kill(struct conn *self);
/* Whether conn is still there; it is only compared. */
bool listener_has(const struct web *web, const struct conn *conn);
/* From the server, when a connection is destroyed. */
void conn_forget(struct conn *self);
