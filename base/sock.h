/* Unix stream sockets by path. All descriptors are close-on-exec and non-blocking. */
#pragma once

#include "base/error.h"

/* Binds name inside dir_path and listens; an old socket of that name is replaced. Works for
 * directories of any length. Returns a descriptor. */
int sock_listen(const char *dir_path, const char *name, struct error *err);
/* Connects to name inside dir_path. Returns a descriptor. */
int sock_connect(const char *dir_path, const char *name, struct error *err);
/* A connected pair. */
int sock_pair(int ret_fds[2], struct error *err);

/* Sends data with one descriptor attached (SCM_RIGHTS). -errno on failure. */
int sock_send_fd(int sock, const void *data, size_t size, int fd);
