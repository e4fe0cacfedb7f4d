/* The VNC viewers of one desktop, at the daemon's end.
 *
 * Each viewer has a process in the helper (stream/vnc/main.c) and a socket to it. What changes is told
 * as soon as the socket takes it; what it does not take is merged: damage into one bit per tile, all
 * else into its newest state. So a viewer that stalls costs a kilobyte and nobody's time, and after
 * VNC_STALL_US it is dropped.
 *
 * The display is held, and the picture kept, while a viewer is there that has shown its password. The
 * helper is started for the first viewer and ends VNC_LINGER_US after the last.
 *
 * What the helper sends is checked like what a client sends: it may be anything. */
#pragma once

#include "base/buf.h"
#include "display/display.h"
#include "stream/vnc/wire.h"

#define VNC_VIEWERS_MAX 16
#define VNC_STALL_US 15000000
#define VNC_HELLO_US 45000000 /* from the connection to the right password */
#define VNC_LINGER_US 2000000

struct vnc_export;
struct vnc_viewer;

/* No callback may free the export. */
struct vnc_export_ops {
    /* Starts the helper with fd at VNC_HELPER_FD; fd stays the caller's. */
    int (*start)(void *data, int fd, struct error *err);
    /* A viewer's process ended by a signal (status as from waitpid), or (0) the helper did. */
    void (*crashed)(void *data, int status);
};

/* May close any viewer. */
struct vnc_viewer_ops {
    void (*greeted)(void *data); /* has shown its password, or needed none */
    void (*denied)(void *data);  /* a wrong password */
    /* Of a viewer in control. qnum and keysym as the viewer said; 0: it did not. */
    void (*key)(void *data, unsigned qnum, uint32_t keysym, bool is_down);
    void (*pointer)(void *data, unsigned mask, int x, int y); /* x, y may lie outside */
    void (*cut)(void *data, const uint8_t *text, size_t size); /* UTF-8 as it came */
    void (*resize)(void *data, int width, int height);
    /* The last: the viewer left, or was dropped. Not after vnc_viewer_close. */
    void (*gone)(void *data, const char *why);
};

struct vnc_viewer_spec {
    int fd; /* its connection; taken over, also on failure */
    bool can_control;
    const char *password; /* NULL: none; at most VNC_PASSWORD_MAX bytes count */
    const char *name;     /* of the desktop */
    const struct vnc_viewer_ops *ops;
    void *data;
};

/* display is borrowed and must outlive it. NULL when memory is short. */
struct vnc_export *vnc_export_new(struct loop *loop, struct display *display,
                                  const struct vnc_export_ops *ops, void *data);
/* Closes all viewers; gone is not called. Takes NULL, returns NULL. */
struct vnc_export *vnc_export_free(struct vnc_export *self);
/* quota_exceeded beyond VNC_VIEWERS_MAX. */
int vnc_export_add(struct vnc_export *self, const struct vnc_viewer_spec *spec,
                   struct vnc_viewer **ret, struct error *err);
int vnc_export_n_viewers(const struct vnc_export *self);

void vnc_viewer_close(struct vnc_viewer *self);
void vnc_viewer_set_control(struct vnc_viewer *self, bool can_control);
bool vnc_viewer_can_control(const struct vnc_viewer *self);
/* While paused nothing of the viewer is read. */
void vnc_viewer_pause(struct vnc_viewer *self, bool is_paused);
/* The guest's clipboard, UTF-8. Counted by the viewer. */
void vnc_viewer_set_clipboard(struct vnc_viewer *self, struct bytes *text);
/* The guest does not take the size that the viewer asked for. */
void vnc_viewer_refuse_size(struct vnc_viewer *self);

/* For tests: a packet as if the viewer's process had sent it. -EPROTO: the viewer was dropped. */
int vnc_viewer_feed(struct vnc_viewer *self, const uint8_t *packet, size_t size);
