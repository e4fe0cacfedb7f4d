/* What an exported checkpoint says of itself, and whether this host can take it. Not for web/. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "hypervisor/host-facts.h"
#include "hypervisor/machine.h"

struct checkpoint;

/* {"format","version","checkpoint"}; "image" is still to be added. NULL when memory is short. */
json_t *manifest_new(const struct checkpoint *checkpoint);

/* What a manifest was found to say. Strings are in it. */
struct manifest {
    char image_name[64], image_hash[72];
    int64_t ram_bytes, disk_bytes;
    size_t n_disk;
    bool has_layer, is_template;
    enum accel accel;
};

/* Every number is checked against its limits. bad_value: it is no manifest of ours; conflict: its QEMU, its
 * accelerator or its processor is not this host's. May run on a worker. */
int manifest_check(const json_t *manifest, const struct host_facts *here, enum accel accel,
                   struct manifest *ret, struct error *err);
/* A file in dir that has no name. */
int manifest_open_unnamed(const char *dir, struct error *err);
