/* How far a connection has been read, whoever read it. */
#pragma once

#include "base/util.h"

/* Bytes taken from a TCP socket so far; UINT64_MAX for other sockets. */
uint64_t consumed_bytes(int fd);
