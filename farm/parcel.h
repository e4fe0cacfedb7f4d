/* A checkpoint as one file: a pax archive in zstd, which tar reads. Not for web/.
 *
 *   manifest.json   what it is (farm/export.c)
 *   …               its files, in any order, holes stay holes
 *   hashes.json     XXH3 (64 bits, hexadecimal) of each of them
 *
 * These calls block for as long as the files are long: they are a worker's. They know nothing of
 * checkpoints: names go out and come in as their caller decides. */
#pragma once

#include "base/error.h"
#include "base/json.h"

#define PARCEL_FILES_MAX 64
#define PARCEL_NAME_MAX 80
#define PARCEL_TEXT_MAX 65536 /* bytes of manifest.json and hashes.json */

struct parcel_file {
    char name[PARCEL_NAME_MAX];
    char *path;
};

/* Writes it to fd, from where that stands. */
int parcel_write(int fd, const char *manifest, const struct parcel_file *files, size_t n_files,
                 struct error *err);

struct parcel_ops {
    /* The manifest has been read, and nothing else yet. Negative, with err, refuses the file. */
    int (*on_manifest)(void *data, const json_t *manifest, struct error *err);
    /* A file comes: open where it goes, to be written from 0; -1 in ret_fd only looks at it. limit: it may
     * have at most so many bytes. Negative, with err, refuses it. */
    int (*open_file)(void *data, const char *name, int *ret_fd, int64_t *limit, struct error *err);
};

/* Reads one from fd, which may hold anything. Hashes are compared; files that were opened stay, whatever
 * comes of it. bad_value when it is no such file, is cut, or is damaged. */
int parcel_read(int fd, const struct parcel_ops *ops, void *data, struct error *err);

/* The hash of a whole file, as in hashes.json. */
int parcel_hash(const char *path, char ret[17], struct error *err);
