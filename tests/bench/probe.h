/* The probe guest from the host's side (images/probe/README.md): commands to its console, and the
 * newest of what it reported. Fields are read by whoever turns the loop. */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "base/loop.h"

struct probe {
    int fd;
    struct watch *watch;
    struct buf in;
    bool is_ready, is_closed;
    int64_t last_id;    /* of a command */
    int64_t painted_id; /* of the newest fill that was painted */
    int n_keys;         /* key events that the guest received */
    int64_t key_us;     /* when the report of the newest came here */
    char error[256];    /* what the guest refused; "" when nothing */
};

/* Takes fd over, a connection to the guest's console, made before the guest is ready. */
struct probe *probe_new(struct loop *loop, int fd);
struct probe *probe_free(struct probe *self);
/* Returns the command's id. colour is 0xRRGGBB. */
int64_t probe_fill(struct probe *self, int x, int y, int w, int h, uint32_t colour);
