/* A probe guest for benchmarks: QEMU with the daemon's own arguments but no jail, a second QMP
 * monitor and a VNC server for the others, and our display and input attached as farm/ does it.
 *
 * Whatever goes wrong ends the program with a message; QEMU never outlives it. */
#pragma once

#include "base/process.h"
#include "display/display.h"
#include "hypervisor/accel.h"
#include "hypervisor/guest-files.h"
#include "hypervisor/qmp.h"
#include "input/input.h"
#include "tests/bench/probe.h"

struct rig {
    struct loop loop;
    struct worker_pool *pool;
    struct timer *limit;
    bool is_late;

    struct process *qemu;
    struct guest_files files;
    enum accel accel;
    char qemu_version[64];
    char dir[64], vnc_path[96];

    struct qmp *qmp;       /* ours, as the daemon has it */
    struct qmp *other_qmp; /* another client's, on a monitor of its own */
    struct probe *probe;
    struct qdbus *console;
    struct display *display; /* held */
    struct input *input;
};

/* Returns when the guest's client runs and its screen is in the display. */
void rig_start(struct rig *self, int width, int height);
void rig_stop(struct rig *self);

void rig_die(struct rig *self, const char *format, ...) printf_like(2, 3) __attribute__((noreturn));

#define RIG_LIMIT_US 60000000

/* Turns the loop until the condition holds. */
#define rig_wait(self, condition)                                                                  \
    do {                                                                                           \
        (self)->is_late = false;                                                                   \
        timer_start((self)->limit, RIG_LIMIT_US);                                                  \
        while (!(condition) && !(self)->is_late)                                                   \
            loop_turn(&(self)->loop, true);                                                        \
        timer_stop((self)->limit);                                                                 \
        if ((self)->is_late)                                                                       \
            rig_die((self), "nothing within %d s: %s", RIG_LIMIT_US / 1000000, #condition);        \
    } while (0)

/* Lets the loop run for that long. */
void rig_pass(struct rig *self, int64_t us);

/* Runs a command and waits for its answer, a new reference. args is stolen; fd is taken over, -1 for
 * none. *ret_us (may be NULL) is when the answer came. */
json_t *rig_call(struct rig *self, struct qmp *qmp, const char *command, json_t *args, int fd,
                 int64_t *ret_us);

/* Plays an action given as JSON; ends the program when it fails. */
struct input_result rig_play(struct rig *self, const char *action_json);

/* The colour of a pixel on the current frame, 0xffRRGGBB; 0 when there is none. */
uint32_t rig_pixel(const struct rig *self, int x, int y);
