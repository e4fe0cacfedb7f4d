#include "hypervisor/machine.h"

#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void write_uuid(char out[37])
{
    uint8_t b[16];
    id_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

void machine_fill_ids(struct machine_spec *self)
{
    uint8_t m[3];
    id_random(m, sizeof m);
    snprintf(self->mac, sizeof self->mac, "52:54:00:%02x:%02x:%02x", m[0], m[1], m[2]);
    write_uuid(self->uuid);
    write_uuid(self->vmgenid);
}

/* True when text has the form, where 'x' stands for a hexadecimal digit. */
static bool has_form(const char *text, const char *form)
{
    for (; *form; form++, text++) {
        bool is_hex = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f');
        if (*form == 'x' ? !is_hex : *text != *form)
            return false;
    }
    return *text == 0;
}

static int check_range(const char *field, int64_t value, int64_t min, int64_t max,
                       struct error *err)
{
    if (value >= min && value <= max)
        return 0;
    return error_set(err, ERROR_BAD_VALUE, "%s is %lld, it must be %lld to %lld", field,
                     (long long)value, (long long)min, (long long)max);
}

static int check_path(const char *field, const char *path, struct error *err)
{
    if (!path || (path[0] == '/' && strlen(path) < 4096))
        return 0;
    return error_set(err, ERROR_BAD_VALUE, "%s is no absolute path", field);
}

bool machine_has_disk(const struct machine_spec *self)
{
    return self->base_disk || self->disk_bytes;
}

static int check_disk(const struct machine_spec *self, struct error *err)
{
    if (!machine_has_disk(self))
        return 0;
    int r = check_path("base_disk", self->base_disk, err);
    if (r == 0)
        r = check_range("disk_bytes", self->disk_bytes, 512, MACHINE_DISK_BYTES_MAX, err);
    if (r == 0 && self->disk_bytes % 512)
        r = error_set(err, ERROR_BAD_VALUE, "disk_bytes is not a multiple of 512");
    const char *format = self->base_format;
    if (r == 0 && format && strcmp(format, "qcow2") != 0 && strcmp(format, "raw") != 0)
        r = error_set(err, ERROR_BAD_VALUE, "base_format is neither qcow2 nor raw");
    return r;
}

static int check_media(const struct machine_spec *self, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < MACHINE_MEDIA_MAX && self->media[i]; i++)
        r = check_path("media", self->media[i], err);
    return r;
}

static int check_boot(const struct machine_spec *self, struct error *err)
{
    if (!self->kernel && (self->initrd || self->cmdline))
        return error_set(err, ERROR_BAD_VALUE, "initrd and cmdline need a kernel");
    int r = check_path("kernel", self->kernel, err);
    if (r == 0)
        r = check_path("initrd", self->initrd, err);
    if (r == 0 && self->cmdline && strlen(self->cmdline) > MACHINE_CMDLINE_MAX)
        r = error_set(err, ERROR_BAD_VALUE, "cmdline is longer than %d bytes", MACHINE_CMDLINE_MAX);
    return r;
}

static int check_ids(const struct machine_spec *self, struct error *err)
{
    static const char uuid_form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (!self->name || !id_is_valid(self->name))
        return error_set(err, ERROR_BAD_VALUE, "name is no valid id");
    if (!has_form(self->uuid, uuid_form) || !has_form(self->vmgenid, uuid_form))
        return error_set(err, ERROR_BAD_VALUE, "uuid or vmgenid is no UUID in lower case");
    if (self->network != MACHINE_NETWORK_NONE && !has_form(self->mac, "xx:xx:xx:xx:xx:xx"))
        return error_set(err, ERROR_BAD_VALUE, "mac is no MAC address in lower case");
    return 0;
}

int machine_check(const struct machine_spec *self, struct error *err)
{
    int r = check_ids(self, err);
    if (r == 0)
        r = check_range("cpus", self->cpus, 1, MACHINE_CPUS_MAX, err);
    if (r == 0)
        r = check_range("memory_mib", self->memory_mib, MACHINE_MEMORY_MIB_MIN,
                        MACHINE_MEMORY_MIB_MAX, err);
    if (r == 0)
        r = check_range("width", self->width, MACHINE_SIDE_MIN, MACHINE_SIDE_MAX, err);
    if (r == 0)
        r = check_range("height", self->height, MACHINE_SIDE_MIN, MACHINE_SIDE_MAX, err);
    if (r == 0 && self->origin && self->origin->n_layers > GUEST_LAYERS_MAX)
        r = error_set(err, ERROR_BAD_VALUE, "a chain of more than %d disk layers", GUEST_LAYERS_MAX);
    if (r == 0)
        r = check_boot(self, err);
    if (r == 0)
        r = check_media(self, err);
    return r == 0 ? check_disk(self, err) : r;
}

int machine_network_parse(const char *name, enum machine_network *ret, struct error *err)
{
    if (strcmp(name, "none") == 0)
        *ret = MACHINE_NETWORK_NONE;
    else if (strcmp(name, "nat") == 0)
        *ret = MACHINE_NETWORK_NAT;
    else
        return error_set(err, ERROR_BAD_VALUE, "network \"%s\" is neither none nor nat", name);
    return 0;
}

const char *machine_network_name(enum machine_network network)
{
    return network == MACHINE_NETWORK_NAT ? "nat" : "none";
}
