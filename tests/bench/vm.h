/* QEMU without a guest, for benchmarks: its processor is halted, its screen is painted by gpu.h, and both
 * of its displays are on: D-Bus for us, and its own VNC server with its own WebSocket for noVNC. What
 * QEMU's input layer gets, from either, is told on trace_fd. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct vm {
    pid_t pid;
    char dir[40];
    int ram_fd, qtest_fd, qmp_fd; /* connected */
    int trace_fd;                 /* lines "input_event_btn … down 1" */
    int vnc_port;                 /* of the WebSocket on 127.0.0.1 */
};

/* Forks: call it before anything has made threads. Ends the program on failure; QEMU ends with it. */
void vm_start(struct vm *self);
/* CPU time that its threads have had. */
int64_t vm_cpu_us(const struct vm *self);
void vm_stop(struct vm *self);
