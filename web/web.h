/* The HTTP side of the daemon: API, pages and metrics on TCP addresses and a unix socket. */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "farm/farm.h"

/* 0 takes the default in brackets. */
struct web_limits {
    int connections;             /* open at once, all listeners [512] */
    int connections_per_address; /* of one peer address; loopback counts as one [256] */
    int requests;                /* being answered at once [1024] */
    size_t body_bytes;           /* of routes that take large bodies [8 MiB]; others 256 KiB */
    int idle_s;                  /* a kept-alive connection without a request [60] */
    int header_s;                /* from connect or first byte to the last header byte [20] */
};

struct web_config {
    const char *const *addresses; /* numeric, NULL-terminated; NULL: 127.0.0.1 only */
    int port;                     /* of all addresses; 0: the kernel chooses one (see web_port) */
    const char *socket_dir; /* the unix socket is socket_dir/api.sock, mode 0600; NULL: none */
    const char *const
        *hosts;         /* more names that a Host header may carry, NULL-terminated, or NULL */
    const char *ui_dir; /* serve pages from here instead of the built-in ones; NULL: built-in */
    const char *proxy_domain; /* PORT-ID.DOMAIN are names of this daemon; NULL: only .localhost */
    struct web_limits limits;
};

struct web;

/* Binds everything before it returns: port_in_use when an address is taken, bad_config when one is
 * not numeric. Serves as soon as the loop runs. Borrows farm and loop; config may go after return.
 */
int web_new(struct web **ret, const struct web_config *config, struct farm *farm, struct loop *loop,
            struct error *err);
/* The TCP port really bound; 0 when there is no address. */
int web_port(const struct web *self);
/* Cancels what is being answered, closes everything. Must be called before farm_free, while the
 * loop can still turn; turns it until the last handle is closed. Takes NULL, returns NULL. */
struct web *web_free(struct web *self);
