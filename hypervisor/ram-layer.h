/* What a guest has written to its RAM: the pages of a private mapping that are not the file's any
 * more. A checkpoint is a template's RAM with one layer above it. Memory of devices that the device state
 * lacks (a VGA's pixels) is counted as more RAM behind its end; there, a page is the guest's own once it was
 * touched.
 *
 * A layer is complete relative to the sealed memfd below it, whatever was restored in between: the
 * pages that a restore writes are private pages too. So layers never chain; the cost of one follows
 * everything that was written since the template. On disk and in memory it has the same form:
 *
 *   0      header: magic, page size, bytes of RAM and what is beside it, number of runs, offset of the pages
 *   4096   runs: first page and number of pages, 32 bits each, growing, not overlapping
 *   …      the pages, from the next multiple of 4096
 *
 * All calls that take a view or a path block: they are a worker's. A layer never changes once it is
 * made, so any thread may read it. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "hypervisor/ram.h"

#define RAM_PAGE 4096
#define RAM_LAYER_HEADER 4096
#define RAM_LAYER_RUNS_MAX (1 << 26)
#define RAM_BESIDE_MAX 2             /* memories of devices */
#define RAM_BESIDE_BYTES_MAX ((int64_t)1 << 30)

/* A guest's RAM from outside its jail. The descriptors stay bound to that process, whoever gets its
 * pid later. */
struct ram_view {
    int mem_fd, pagemap_fd;
    struct ram_mapping mappings[1 + RAM_BESIDE_MAX]; /* pages are counted through all of them */
    size_t n_mappings;
};

#define RAM_VIEW_INIT { -1, -1, { { 0, 0 } }, 0 }

/* beside: sizes of the devices' memories, 0 for none. */
int ram_view_open(struct ram_view *ret, pid_t pid, const int64_t beside[RAM_BESIDE_MAX], struct error *err);
void ram_view_close(struct ram_view *self);

struct ram_layer;

/* Copies the private pages out. The guest must stand still. Of RAM that is shared no page is private. */
int ram_layer_capture(struct ram_layer **ret, const struct ram_view *view, struct error *err);
/* Writes the pages into a guest that waits for its state. bad_value when its RAM has another size. */
int ram_layer_inject(const struct ram_layer *self, const struct ram_view *view, struct error *err);
/* Writes it to a new file and syncs that; nothing is left behind on failure. */
int ram_layer_store(const struct ram_layer *self, const char *path, struct error *err);
/* Reads it back into memory; every number is checked against ram_bytes, which what lies beside the RAM may
 * exceed, and the file's size. */
int ram_layer_load(struct ram_layer **ret, const char *path, int64_t ram_bytes, struct error *err);

/* Thread-safe; unref takes NULL, returns NULL. */
struct ram_layer *ram_layer_ref(struct ram_layer *self);
struct ram_layer *ram_layer_unref(struct ram_layer *self);

int64_t ram_layer_pages(const struct ram_layer *self);
int64_t ram_layer_runs(const struct ram_layer *self);

/* --- Whole RAM -------------------------------------------------------------------------------- */

/* A sealed copy of a memfd whose guest stands still, holes stay holes. Returns a descriptor. */
int ram_copy(int ram_fd, const char *name, struct error *err);
/* Nothing can write or resize it from here on. Fails (EBUSY) while a shared writable mapping is
 * left: the guest must have ended. */
int ram_seal(int ram_fd, struct error *err);
/* To a new sparse file, synced; and from one into a sealed memfd of that many bytes. */
int ram_store(int ram_fd, const char *path, struct error *err);
int ram_load(const char *path, const char *name, int64_t bytes, struct error *err);
/* Any file of at most limit bytes as a sealed memfd: a device state that is handed to a jail. */
int ram_load_sealed(const char *path, int64_t limit, struct error *err);
