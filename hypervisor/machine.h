/* What a guest is made of. Plain data: nothing here touches the system. */
#pragma once

#include "base/error.h"
#include "hypervisor/accel.h"
#include "hypervisor/profile.h"

enum machine_network { MACHINE_NETWORK_NONE, MACHINE_NETWORK_NAT };

/* Limits, both ends included. A value outside is bad_value. */
#define MACHINE_CPUS_MAX 64
#define MACHINE_MEMORY_MIB_MIN 64
#define MACHINE_MEMORY_MIB_MAX (1024 * 1024)
#define MACHINE_SIDE_MIN 64
#define MACHINE_SIDE_MAX 8192           /* width and height, pixels */
#define MACHINE_DISK_BYTES_MAX (INT64_C(16) << 40)
#define MACHINE_NAME_MAX 31             /* id_is_valid(): it becomes a file and a process name */
#define MACHINE_CMDLINE_MAX 2000        /* the kernel takes 2047 bytes on x86 */
#define MACHINE_MEDIA_MAX 4             /* of the six ports that the machine's AHCI has; the disk has the first */

/* What a guest is restored from instead of being powered on: it starts with this RAM and waits for a
 * state (hypervisor/restore.h). */
#define GUEST_LAYERS_MAX 32 /* frozen overlays in a chain */
struct machine_origin {
    int ram_fd;                /* a sealed memfd of memory_mib, mapped privately */
    const char *const *layers; /* immutable overlays above base_disk, bottom first; shown by path */
    size_t n_layers;
};

/* All strings are borrowed for the length of the call that takes the spec. */
struct machine_spec {
    struct machine_shape shape; /* zero: profile linux */
    enum accel accel;
    enum machine_network network;
    const char *name;      /* the sandbox's id */
    int cpus, memory_mib;
    int width, height;     /* the screen at power-on, native pixels */
    const char *kernel;    /* NULL: boot from the disk, by the firmware */
    const char *initrd;    /* NULL: none; only with kernel */
    const char *cmdline;   /* NULL: empty; only with kernel */
    const char *base_disk; /* NULL: the disk begins empty. An absolute path, immutable, readable by everybody */
    const char *base_format; /* "qcow2" or "raw"; NULL: "qcow2" */
    const struct machine_origin *origin; /* NULL: power-on */
    int64_t disk_bytes;    /* size of the overlay; at least the base's; a multiple of 512; 0: no disk */
    const char *media[MACHINE_MEDIA_MAX]; /* read-only CD-ROM drives up to the first NULL; as base_disk, raw */
    char mac[18];          /* "52:54:00:…"; only with a network */
    char uuid[37];         /* SMBIOS system UUID */
    char vmgenid[37];      /* generation id: new in each fork */
};

/* With a base or empty. */
bool machine_has_disk(const struct machine_spec *self);
/* Fills mac, uuid and vmgenid with random values (locally administered unicast MAC, version 4). */
void machine_fill_ids(struct machine_spec *self);
/* Checks every limit. bad_value names the field. */
int machine_check(const struct machine_spec *self, struct error *err);

/* "none" or "nat"; anything else is bad_value. */
int machine_network_parse(const char *name, enum machine_network *ret, struct error *err);
const char *machine_network_name(enum machine_network network);
