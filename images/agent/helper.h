/* deskfarm-desktop, the program in the desktop's session that does what needs its display. */
#pragma once

#include "images/agent/channel.h"

#define HELPER_SOCKET "/run/deskfarm/desktop.sock"
#define HELPER_UID 1000

/* Listens at path, whose directory is made, for a helper that runs as uid. */
int helper_open(const char *path, uid_t uid);
/* Hands the request over as it came. Ends the channel or starts it. */
void helper_start(struct channel *channel, const uint8_t *json, size_t size);
