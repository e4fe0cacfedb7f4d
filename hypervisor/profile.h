/* What kind of machine a guest gets: one row of a table per profile, of which an image may change single
 * parts once its system has the drivers. Plain data.
 *
 *   linux     direct kernel or BIOS; virtio for everything
 *   generic   any system that boots: UEFI or BIOS, standard VGA, USB input, AHCI, an Intel network card
 *   windows   as generic, with what Windows wants of clock, processor and firmware
 *
 * Every value's zero is what linux has. */
#pragma once

#include "base/error.h"
#include "base/json.h"

enum machine_profile { MACHINE_LINUX, MACHINE_GENERIC, MACHINE_WINDOWS, MACHINE_PROFILE_COUNT };
enum machine_firmware {
    FIRMWARE_BIOS,   /* SeaBIOS; with a kernel: that one */
    FIRMWARE_UEFI,   /* OVMF; its variables live in a flash */
    FIRMWARE_SECURE, /* the same with Secure Boot, Microsoft's keys enrolled */
};
enum machine_display { DISPLAY_VIRTIO, DISPLAY_VGA };
enum machine_input { INPUT_VIRTIO, INPUT_USB };
enum machine_bus { BUS_VIRTIO, BUS_AHCI, BUS_NVME };
enum machine_card { CARD_VIRTIO, CARD_E1000E };

struct machine_shape {
    enum machine_profile profile;
    enum machine_firmware firmware;
    enum machine_display display;
    enum machine_input input;
    enum machine_bus bus;
    enum machine_card card;
    bool has_tpm; /* TPM 2.0 by swtpm */
};

/* NULL for a name that is none. Borrowed. */
const struct machine_shape *profile_shape(const char *name);
const char *profile_name(enum machine_profile profile);
/* "profile" of an image.json ("linux" when absent), and over that "firmware" ("bios", "uefi", "secure"),
 * "display" ("virtio", "vga"), "input" ("virtio", "usb"), "disk_bus" ("virtio", "ahci", "nvme"),
 * "network_card" ("virtio", "e1000e"), "tpm". bad_value names the key. */
int profile_read(struct machine_shape *ret, const json_t *image, struct error *err);
/* What profile_read reads; a part that is as the profile has it is left out. New reference; NULL when memory
 * is short. */
json_t *profile_json(const struct machine_shape *self);

/* Of a display of that size: video memory that is no part of the guest's RAM nor of the device state, so
 * that checkpoints take it with the RAM. Bytes; 0: none. */
int64_t profile_video_bytes(const struct machine_shape *self, int width, int height);
/* The same of the flash that holds the firmware's variables. */
int64_t profile_flash_bytes(const struct machine_shape *self);
/* QEMU has every device's state in a save. Of an NVMe drive 7.2 has none. */
bool profile_can_save(const struct machine_shape *self);
/* The guest draws its pointer into the picture: the host knows no cursor of its own. */
bool profile_draws_cursor(const struct machine_shape *self);

/* Where Debian has them; shown to every QEMU (hypervisor/jail.c). */
const char *profile_firmware(const struct machine_shape *self);
/* What its variables begin as; NULL: it has none. */
const char *profile_variables(const struct machine_shape *self);
#define PROFILE_SWTPM "/usr/bin/swtpm"
/* not_ready, naming the package, when the firmware or swtpm is not installed. */
int profile_check_host(const struct machine_shape *self, struct error *err);
