/* Guest images in the cache: a directory per recipe and hash, named by a link (images/README.md). */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "farm/inside.h"
#include "hypervisor/machine.h"

/* All strings are allocated; paths are absolute and name the hashed directory, so a sandbox keeps its
 * image when a newer build takes over the name. */
struct image {
    char *name, *dir, *hash, *description;
    char *kernel, *initrd, *cmdline; /* NULL: none; cmdline goes with kernel */
    char *disk; /* NULL: it begins empty */
    int64_t disk_bytes; /* 0: a guest without a disk */
    char *media[MACHINE_MEDIA_MAX]; /* CD-ROMs in that order, then NULL */
    int cpus, memory_mib, width, height; /* defaults */
    struct machine_shape shape;
    enum inside_kind agent;
    int settle_ms;   /* without an agent: up when the screen, once it has changed, stands still for so long */
    bool signals_up; /* the guest tells when its desktop is up (guest_is_up) */
};

/* unknown_image when the cache has none of that name. name comes from a request. */
int image_load(struct image *ret, const char *cache_dir, const char *name, struct error *err);
void image_deinit(struct image *self);
/* What of a machine is the image's: shape, boot files, disk, media. Borrowed from the image. */
void image_fill_machine(const struct image *self, int64_t disk_mib, struct machine_spec *spec);
json_t *image_json(const struct image *self);
/* Appends image_json of each image in the cache, by name. */
void image_list(const char *cache_dir, json_t *items);
