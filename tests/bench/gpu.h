/* QEMU's virtio-gpu, driven from outside: this program takes the place of a guest's driver, so that QEMU's
 * own console, VNC server and D-Bus display are measured with pictures made at known times and without a
 * guest's own work. Registers are reached by the qtest protocol (QEMU docs/devel/qtest.rst), the queue and
 * the pixels lie in the guest's RAM, a memfd that both have mapped. The device is that of every guest
 * (OASIS virtio 1.2, 5.7: 2D commands only).
 *
 * Blocking; failures end the program. */
#pragma once

#include "display/source.h"

#define GPU_RAM_MIB 64
#define GPU_SLOT 5 /* on bus 0; -device virtio-gpu-pci,addr=5 */

struct gpu {
    int qtest_fd;
    uint8_t *ram;
    uint32_t *pixels; /* of the screen, in the guest's RAM */
    int width, height;
    uint16_t n_sent;  /* commands */
};

/* ram_fd: GPU_RAM_MIB of shared memory, the guest's. The screen is black and on afterwards. */
void gpu_start(struct gpu *self, int qtest_fd, int ram_fd, int width, int height);
/* Shows what pixels hold there. Returns when QEMU has copied them. */
void gpu_flush(struct gpu *self, struct rect r);
