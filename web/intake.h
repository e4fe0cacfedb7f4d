/* Requests that libwebsockets does not get to see: WebSockets, tunnels, and what goes to a port of
 * a guest.
 *
 * The bytes of a request are looked at before they are read (web/server.c). When its head is for
 * one of these, it is parsed here, read off the socket, and the connection belongs to somebody else
 * until conn_end or conn_resume. libwebsockets meanwhile holds the socket open and is not told. */
#pragma once

#include "web/head.h"
#include "web/listener.h"

struct request;

enum {
    INTAKE_OURS = 1, /* taken; the connection may be gone already */
    INTAKE_WAIT = 2, /* the head has not come whole: look again when there is more */
};

/* 0: libwebsockets' business. */
int intake_look(struct conn *conn, const char *bytes, size_t size);

/* Reads the head off the socket and makes a request of it, nothing checked yet. NULL: the
 * connection is gone. */
struct request *intake_request(struct conn *conn, const struct head *head);
