#include "farm/manifest.h"

#include "farm/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FORMAT "deskfarm-checkpoint"
#define VERSION 1

json_t *manifest_new(const struct checkpoint *checkpoint)
{
    return json_pack("{ss si so}", "format", FORMAT, "version", VERSION, "checkpoint",
                     checkpoint_document(checkpoint));
}

static bool is_plain(const char *text, size_t max)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    return n > 0 && n <= max && !text[n] && text[0] != '.';
}

static bool is_between(const json_t *doc, const char *key, int64_t low, int64_t high)
{
    int64_t value = json_get_int(doc, key, low - 1);
    return value >= low && value <= high;
}

static int check_machine(const json_t *machine, struct manifest *ret, struct error *err)
{
    enum machine_network network;
    const char *name = json_get_string(machine, "image", ""), *hash = json_get_string(machine, "hash", "");
    if (!is_plain(name, sizeof ret->image_name - 1) || !is_plain(hash, sizeof ret->image_hash - 1))
        return error_set(err, ERROR_BAD_VALUE, "its image has no proper name");
    if (!is_between(machine, "cpus", 1, MACHINE_CPUS_MAX) ||
        !is_between(machine, "memory_mib", MACHINE_MEMORY_MIB_MIN, MACHINE_MEMORY_MIB_MAX) ||
        !is_between(machine, "width", MACHINE_SIDE_MIN, MACHINE_SIDE_MAX) ||
        !is_between(machine, "height", MACHINE_SIDE_MIN, MACHINE_SIDE_MAX) ||
        !is_between(machine, "disk_mib", 0, MACHINE_DISK_BYTES_MAX >> 20) ||
        machine_network_parse(json_get_string(machine, "network", ""), &network, NULL) < 0)
        return error_set(err, ERROR_BAD_VALUE, "its machine is none that could be");
    snprintf(ret->image_name, sizeof ret->image_name, "%s", name);
    snprintf(ret->image_hash, sizeof ret->image_hash, "%s", hash);
    ret->ram_bytes = json_get_int(machine, "memory_mib", 0) << 20;
    ret->disk_bytes = json_get_int(machine, "disk_mib", 0) << 20;
    ret->accel = json_get_int(machine, "accel", ACCEL_TCG) == ACCEL_KVM ? ACCEL_KVM : ACCEL_TCG;
    return 0;
}

int manifest_check(const json_t *manifest, const struct host_facts *here, enum accel accel,
                   struct manifest *ret, struct error *err)
{
    const json_t *doc = json_object_get(manifest, "checkpoint");
    struct host_facts there;
    struct chain chain;
    *ret = (struct manifest){ 0 };
    if (strcmp(json_get_string(manifest, "format", ""), FORMAT) != 0 || !json_is_object(doc))
        return error_set(err, ERROR_BAD_VALUE, "this is no export of a checkpoint");
    if (json_get_int(manifest, "version", 0) != VERSION)
        return error_set(err, ERROR_CONFLICT, "it has version %lld of the format, and this daemon knows %d",
                         (long long)json_get_int(manifest, "version", 0), VERSION);
    int r = check_machine(json_object_get(doc, "machine"), ret, err);
    if (r < 0)
        return r;
    checkpoint_read_host(&there, json_object_get(doc, "host"));
    if (ret->accel != accel)
        return error_set(err, ERROR_CONFLICT, "it was taken under %s, and this daemon uses %s",
                         accel_name(ret->accel), accel_name(accel));
    if (!*there.qemu)
        return error_set(err, ERROR_BAD_VALUE, "it does not say which QEMU it is of");
    chain_read(&chain, json_object_get(doc, "chain"));
    if (chain.n != json_array_size(json_object_get(doc, "chain")) || (chain.n && !ret->disk_bytes))
        return error_set(err, ERROR_BAD_VALUE, "its disk layers are none");
    ret->n_disk = chain.n;
    ret->has_layer = json_get_bool(doc, "layer", false);
    ret->is_template = json_get_bool(doc, "template", false);
    return host_facts_check(&there, here, accel, err);
}

int manifest_open_unnamed(const char *dir, struct error *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/unnamed.XXXXXX", dir) < 0)
        path = NULL;
    fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return error_errno(err, errno, "making a file in %s", dir);
    unlink(path);
    return fd;
}
