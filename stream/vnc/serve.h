/* One VNC viewer, served by libvncserver in a process of its own (stream/vnc/main.c). */
#pragma once

#include "stream/vnc/wire.h"

struct serve_config {
    int viewer_fd;  /* the viewer's connection; becomes libvncserver's */
    int channel_fd; /* to the daemon */
    bool can_control;
    char password[VNC_PASSWORD_MAX + 1]; /* "": none is asked for */
    char name[VNC_NAME_MAX + 1];         /* of the desktop, as the viewer shows it */
};

/* Calls what would open files later. Before the fence. */
void serve_warm_up(void);
/* Until the viewer or the daemon is gone. */
void serve_run(const struct serve_config *config);
