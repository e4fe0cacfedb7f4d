/* The server's own state, for the files of web/. Others use web/web.h. */
#pragma once

#include "base/list.h"
#include "web/exports.h"
#include "web/rerun.h"
#include "web/guard.h"
#include "web/idempotency.h"
#include "web/listener.h"
#include "web/metrics.h"
#include "web/session.h"
#include "web/web.h"

struct lws_context;
struct lws_vhost;

struct web {
    struct farm *farm;
    struct loop *loop;
    struct web_limits limits;
    struct guard_hosts hosts; /* its lists are owned copies */
    char *ui_dir;             /* NULL: the built-in pages */
    int port;

    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct list listeners; /* struct listener */
    struct list conns;     /* struct conn */
    int n_conns;
    int n_requests;

    struct list proxies; /* struct proxy */
    struct tickets *tickets;
    char *proxy_domain; /* below it each port of a guest has a name; NULL: none but localhost */

    struct exports *exports; /* NULL: no folder for them */
    struct reruns *reruns;
    struct sessions *sessions;
    struct idempotency *idempotency;
    struct metrics metrics;
    struct bytes *openapi; /* made when first asked for */
};

/* Waits for the first bytes of a request. */
void server_await_request(struct conn *conn);
/* From the listener: the socket of a connection is writable, or its caller has gone. */
void server_handle_socket(void *data, int events);
