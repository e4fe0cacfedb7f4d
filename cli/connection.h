/* A connection to the daemon that leaves HTTP behind: a tunnel of bytes or a WebSocket. libcurl makes
 * it, so it goes wherever requests go (TCP, TLS, a unix socket); after the answer's head the bytes
 * are the caller's. Nothing here blocks but the opening. */
#pragma once

#include "cli/cli.h"

struct connection;

/* Opens it: a GET of the request's operation with Upgrade: protocol and more headers ("name:
 * value\r\n" lines, or ""). Completes the id and prints what went wrong, as cli_send. */
int connection_open(struct connection **ret, struct cli *cli, struct request *request,
                    const char *protocol, const char *headers);
/* Takes NULL, returns NULL. */
struct connection *connection_free(struct connection *self);

int connection_fd(const struct connection *self);
/* Bytes read, 0 at the end, -EAGAIN, or another negative value when the connection is lost. */
ssize_t connection_read(struct connection *self, void *out, size_t size);
ssize_t connection_write(struct connection *self, const void *bytes, size_t size);
/* Nothing more is written; reading goes on. Over TLS, which has no such thing, it does nothing. */
void connection_end(struct connection *self);
