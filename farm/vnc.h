/* The desktop for VNC viewers (RFB 3.8): on connections that web/ brings, and on ports that are opened
 * for desktop viewers. All of it ends with the guest; nothing of it is kept in the journal, so a restart
 * of the daemon closes viewers and ports. */
#pragma once

#include "base/error.h"
#include "base/json.h"

struct sandbox;
struct vnc;

#define VNC_PORTS_MAX 4 /* of a sandbox */

struct sandbox_viewer {
    int fd; /* a stream socket that speaks RFB; taken over, also on failure */
    bool can_control;
    const char *password; /* NULL: none is asked for */
};

/* guest_gone, not_ready (no desktop yet), quota_exceeded. When the viewer goes, fd's other end shows it. */
int sandbox_vnc_add(struct sandbox *self, const struct sandbox_viewer *viewer, struct error *err);
/* Opens a port: {"role","listen","password"} as the row desktop_vnc_open. *ret is {"listen","address",
 * "role","password"}; no other call shows the password. */
int sandbox_vnc_open(struct sandbox *self, const json_t *request, json_t **ret, struct error *err);
/* {"viewers":[{"role"}],"ports":[{"listen","address","role"}]} */
json_t *sandbox_vnc_json(const struct sandbox *self);
/* Closes all ports and viewers. */
void sandbox_vnc_close(struct sandbox *self);

/* Takes NULL. */
bool vnc_has_viewers(const struct vnc *self);
/* For farm/sandbox.c. Takes NULL, returns NULL. */
struct vnc *vnc_free(struct vnc *self);
