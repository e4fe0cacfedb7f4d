#include "hypervisor/profile.h"

#include <string.h>
#include <unistd.h>

#define VIDEO_MIN (16 << 20) /* up to 2560x1600 */
#define FLASH_BYTES 540672   /* of Debian's OVMF_VARS_4M */

static const struct {
    const char *name;
    struct machine_shape shape;
} profiles[] = {
    [MACHINE_LINUX] = { "linux", { .profile = MACHINE_LINUX } },
    [MACHINE_GENERIC] = { "generic",
                          { .profile = MACHINE_GENERIC, .firmware = FIRMWARE_UEFI, .display = DISPLAY_VGA,
                            .input = INPUT_USB, .bus = BUS_AHCI, .card = CARD_E1000E } },
    [MACHINE_WINDOWS] = { "windows",
                          { .profile = MACHINE_WINDOWS, .firmware = FIRMWARE_SECURE, .display = DISPLAY_VGA,
                            .input = INPUT_USB, .bus = BUS_AHCI, .card = CARD_E1000E, .has_tpm = true } },
};

/* Names of a part's values, in their order. */
struct part {
    const char *key;
    const char *const *names;
    size_t n, offset;
};

static const struct {
    const char *code, *variables;
} firmware_files[] = {
    [FIRMWARE_BIOS] = { "/usr/share/seabios/bios-256k.bin", NULL },
    [FIRMWARE_UEFI] = { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
    [FIRMWARE_SECURE] = { "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" },
};

static const char *const firmwares[] = { "bios", "uefi", "secure" };
static const char *const displays[] = { "virtio", "vga" };
static const char *const inputs[] = { "virtio", "usb" };
static const char *const buses[] = { "virtio", "ahci", "nvme" };
static const char *const cards[] = { "virtio", "e1000e" };

#define PART(key, names, field) { key, names, ARRAY_LEN(names), offsetof(struct machine_shape, field) }
static const struct part parts[] = {
    PART("firmware", firmwares, firmware), PART("display", displays, display), PART("input", inputs, input),
    PART("disk_bus", buses, bus),          PART("network_card", cards, card),
};

/* Enumerations here have the size of an unsigned int. */
static unsigned *value_of(struct machine_shape *self, const struct part *part)
{
    return (unsigned *)(void *)((char *)self + part->offset);
}

const struct machine_shape *profile_shape(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i].shape;
    return NULL;
}

const char *profile_name(enum machine_profile profile)
{
    return profiles[profile].name;
}

static int read_part(struct machine_shape *self, const struct part *part, const char *name, struct error *err)
{
    for (size_t i = 0; i < part->n; i++) {
        if (strcmp(part->names[i], name) == 0) {
            *value_of(self, part) = (unsigned)i;
            return 0;
        }
    }
    return error_set(err, ERROR_BAD_VALUE, "%s: \"%.40s\" is none that there is", part->key, name);
}

int profile_read(struct machine_shape *ret, const json_t *image, struct error *err)
{
    const char *name = json_get_string(image, "profile", "linux");
    const struct machine_shape *shape = profile_shape(name);
    int r = 0;
    if (!shape)
        return error_set(err, ERROR_BAD_VALUE, "profile: \"%.40s\" is none that there is", name);
    *ret = *shape;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++) {
        const char *value = json_get_string(image, parts[i].key, NULL);
        r = value ? read_part(ret, &parts[i], value, err) : 0;
    }
    ret->has_tpm = json_get_bool(image, "tpm", ret->has_tpm);
    return r;
}

json_t *profile_json(const struct machine_shape *self)
{
    struct machine_shape own = *self, usual = profiles[self->profile].shape;
    json_t *object = json_pack("{ss}", "profile", profile_name(self->profile));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (*value_of(&own, &parts[i]) != *value_of(&usual, &parts[i]))
            json_object_set_new(object, parts[i].key, json_string(parts[i].names[*value_of(&own, &parts[i])]));
    if (own.has_tpm != usual.has_tpm)
        json_object_set_new(object, "tpm", json_boolean(own.has_tpm));
    return object;
}

int64_t profile_video_bytes(const struct machine_shape *self, int width, int height)
{
    int64_t bytes = VIDEO_MIN;
    if (self->display != DISPLAY_VGA)
        return 0;
    while (bytes < (int64_t)width * height * 4)
        bytes *= 2;
    return bytes;
}

int64_t profile_flash_bytes(const struct machine_shape *self)
{
    return self->firmware == FIRMWARE_BIOS ? 0 : FLASH_BYTES;
}

const char *profile_firmware(const struct machine_shape *self)
{
    return firmware_files[self->firmware].code;
}

const char *profile_variables(const struct machine_shape *self)
{
    return firmware_files[self->firmware].variables;
}

bool profile_can_save(const struct machine_shape *self)
{
    return self->bus != BUS_NVME;
}

bool profile_draws_cursor(const struct machine_shape *self)
{
    return self->display == DISPLAY_VGA;
}

int profile_check_host(const struct machine_shape *self, struct error *err)
{
    const char *file = profile_firmware(self);
    if (self->has_tpm && access(PROFILE_SWTPM, X_OK) < 0)
        return error_set(err, ERROR_NOT_READY, "this machine has a TPM, and %s is missing: install the package swtpm",
                         PROFILE_SWTPM);
    if (access(file, R_OK) == 0)
        return 0;
    return error_set(err, ERROR_NOT_READY, "this machine's firmware %s is missing: install the package %s", file,
                     self->firmware == FIRMWARE_BIOS ? "seabios" : "ovmf");
}
