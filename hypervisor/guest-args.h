/* A machine spec becomes QEMU's arguments. Pure: the same spec gives the same text, which golden
 * files pin (tests/golden/args-*.txt). Everything that is not a file of the image reaches QEMU as
 * a descriptor with one of these numbers, so the jail needs no directory of ours. */
#pragma once

#include "hypervisor/argv.h"
#include "hypervisor/machine.h"

/* Descriptor numbers inside QEMU, the same in every guest. 0 and 1 are /dev/null. */
enum guest_fd {
    GUEST_FD_STDERR = 2,     /* memfd of 64 KiB, sealed against growth: QEMU's words */
    GUEST_FD_QMP = 3,        /* listening unix sockets */
    GUEST_FD_CONSOLE = 4,
    GUEST_FD_AGENT = 5,
    GUEST_FD_NET = 6,        /* only with a network */
    GUEST_FD_OVERLAY_RW = 7, /* only with a disk; both form fdset 1 */
    GUEST_FD_OVERLAY_RO = 8,
    GUEST_FD_RAM = 9,        /* memfd */
    GUEST_FD_QGA = 10,       /* a listening unix socket: the port of the QEMU guest agent */
    GUEST_FD_FLASH = 11,     /* memfd with the firmware's variables; only with UEFI */
    GUEST_FD_TPM = 12,       /* a connected unix socket: swtpm's control; only with a TPM */
    GUEST_FD_COUNT,          /* not a descriptor of QEMU: first number free for the jail */
};

/* Where the image's files lie inside the jail. */
#define GUEST_PATH_KERNEL "/image/kernel"
#define GUEST_PATH_INITRD "/image/initrd"
#define GUEST_PATH_BASE "/image/disk"
#define GUEST_PATH_MEDIA "/image/media-%d" /* from 1 */

/* Names inside the machine that later code uses over QMP. */
#define GUEST_NODE_BASE "base"       /* block node of the base disk (format layer); of an empty one: zeroes */
#define GUEST_NODE_OVERLAY "overlay" /* block node of the first overlay (format layer) */
#define GUEST_NODE_LAYER "layer-%d"  /* of a layer of the origin, from 1 */
#define GUEST_NODE_FORK "fork-%d"    /* of a layer that came with a state, from 1 */
#define GUEST_NODE_PLACEHOLDER "placeholder" /* the disk of a guest that waits for its state */
#define GUEST_PATH_LAYER "/image/layer-%d"
#define GUEST_FDSET_OVERLAY 1
#define GUEST_FDSET_FLASH 2
#define GUEST_NODE_FLASH "variables"
#define GUEST_FDSET_RESTORED 200 /* and the number of a layer that came with a state */
#define GUEST_FDSET_SAVED 1000   /* and the number of an overlay that came with a save */
#define GUEST_DEVICE_DISK "vda"      /* qdev id of the disk, on whatever bus */
#define GUEST_NODE_MEDIA "media-%d"  /* block node of a CD-ROM, from 1 */
#define GUEST_DEVICE_MEDIA "cd-%d"   /* qdev id of its drive */
#define GUEST_DEVICE_GPU "gpu"       /* the tablet is bound to it; the PS/2 mouse, with its horizontal
                                      * wheel, is not */
/* A guest that opens this port says that its desktop is up; nothing is ever read or written. */
#define GUEST_READY_PORT "org.deskfarm.ready.0"
#define GUEST_READY_DEVICE "ready-port" /* its qdev id, named by VSERPORT_CHANGE */
#define GUEST_READY_CHARDEV "ready"
#define GUEST_AGENT_PORT "org.deskfarm.agent.0"
#define GUEST_QGA_PORT "org.qemu.guest_agent.0"

/* Appends the arguments, argv[0] (qemu) included, to out. The spec has passed machine_check. */
void guest_args(const struct machine_spec *spec, const char *qemu, struct argv *out);
