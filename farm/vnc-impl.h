/* What the files of farm/vnc*.c know of each other. */
#pragma once

#include "farm/control.h"
#include "farm/fenced.h"
#include "farm/sandbox-impl.h"
#include "farm/vnc.h"
#include "input/held.h"
#include "stream/vnc/export.h"

/* One deskfarm-vnc. The newest is the one in use; others are on their way out. */
struct vnc_helper {
    struct list link;
    struct vnc *vnc;
    struct fenced *fenced;
};

struct vnc {
    struct sandbox *sandbox;
    struct vnc_export *export;
    struct list seats, ports, helpers;
};

/* A listening socket for desktop viewers. */
struct vnc_port {
    struct list link;
    struct vnc *vnc;
    int fd;
    struct watch *watch;
    struct timer *timer; /* after a wrong password nobody is let in for a while */
    bool can_control, is_unix;
    char *address; /* host:port, or a path */
    char password[VNC_PASSWORD_MAX + 1]; /* "": none is asked for */
};

/* One viewer and what it does with keyboard and pointer. */
struct vnc_seat {
    struct list link;
    struct vnc *vnc;
    struct vnc_viewer *viewer;
    struct seat seat;     /* zeroed for a viewer that only watches */
    struct timer *idle;   /* gives control back */
    struct op *pasting;   /* a text of the viewer on its way into the guest's clipboard */
    const struct vnc_port *port; /* NULL: it came over the API, or the port is closed */
    unsigned mask;               /* of buttons that are down */
    bool is_down[HELD_KEYS]; /* by evdev code */
    struct {
        uint32_t keysym;
        uint16_t code;
    } pressed[16]; /* keysyms that are down; a release names the keysym, which may be another by then */
};

/* --- vnc.c ------------------------------------------------------------------------------------- */

int vnc_add(struct vnc *self, const struct sandbox_viewer *viewer, const struct vnc_port *port,
            struct error *err);

/* --- vnc-input.c ------------------------------------------------------------------------------- */

void vnc_seat_key(struct vnc_seat *self, unsigned qnum, uint32_t keysym, bool is_down);
/* mask: RFB's buttons: left, middle, right, wheel up, down, left, right, back. */
void vnc_seat_pointer(struct vnc_seat *self, unsigned mask, int x, int y);
/* Control is lost, and with it all that was held. */
void vnc_seat_forget(struct vnc_seat *self);
bool vnc_seat_holds(const struct vnc_seat *self);

/* --- vnc-port.c -------------------------------------------------------------------------------- */

struct vnc_port *vnc_port_free(struct vnc_port *self);
int vnc_port_new(struct vnc *vnc, const json_t *request, struct vnc_port **ret, struct error *err);
/* Somebody did not know the password. */
void vnc_port_slow_down(struct vnc_port *self);

/* --- vnc-helper.c ------------------------------------------------------------------------------ */

int vnc_helper_start(struct vnc *self, int fd, struct error *err);
struct vnc_helper *vnc_helper_free(struct vnc_helper *self);
