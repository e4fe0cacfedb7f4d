/* The file is taken whole first, into one without a name, then looked through by a worker: who it is of,
 * whether it loads here, whether its image is here or comes along. Its parts go under fresh ids; until
 * the checkpoint is in the journal nobody names them, so a daemon that dies leaves nothing (farm/sweep.h).
 *
 * Nothing in the file is believed: sizes have limits, the pages' table is read once as a restore would read
 * it, and QEMU, which reads the rest, does so in its jail. An image that comes along is put into the cache
 * only when there is none of its name and hash; one that is there must be the same, file by file, because
 * the disk's layers are differences to it. */
#define LOG_MODULE "import"
#include "farm/export.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/journal.h"
#include "farm/manifest.h"
#include "farm/parcel.h"
#include "farm/quota.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"
#include "hypervisor/argv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGE_FILE_MAX (INT64_C(1) << 40)
#define LOOK_SHIFT 22 /* every 4 MiB: whether there is room for more */

struct import {
    struct list link; /* of the farm */
    struct farm *farm; /* NULL once that is gone */
    struct principal who;
    char name[CHECKPOINT_NAME_MAX + 1];
    bool has_name, is_working, is_cancelled;
    int fd;
    int64_t received;
    import_fn done;
    void *data;
    struct error err;
    /* For the worker. */
    char *state_dir, *cache_dir;
    struct host_facts host;
    enum accel accel;
    char id[ID_MAX], base[ID_MAX];
    struct chain chain;
    struct manifest manifest;
    int64_t bytes, disk_bytes, ram_bytes; /* that its files take */
    json_t *doc;             /* the checkpoint's, as it came */
    json_t *image;           /* "image" of the manifest */
    struct argv made;        /* paths of files that were opened */
    char *image_dir;         /* where an image that comes along is put together; NULL: it does not */
    bool has_image;          /* this host has it already */
    bool has_state, has_ram, has_layer;
    size_t n_disk;
};

static void import_free(struct import *self)
{
    list_remove(&self->link);
    util_close_ptr(&self->fd);
    free(self->state_dir);
    free(self->cache_dir);
    free(self->image_dir);
    json_decref(self->doc);
    json_decref(self->image);
    argv_deinit(&self->made);
    free(self);
}

struct import *import_cancel(struct import *self)
{
    if (self && self->is_working)
        self->is_cancelled = true;
    else if (self)
        import_free(self);
    return NULL;
}

int import_new(struct import **ret, struct farm *farm, const struct principal *who, const char *name,
               struct error *err)
{
    int r = farm_check_ready(farm, err);
    if (r < 0)
        return r;
    struct import *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "importing");
    *self = (struct import){ .farm = farm, .who = *who, .has_name = name != NULL, .fd = -1,
                             .host = *farm_host_facts(farm), .accel = farm_accel(farm),
                             .state_dir = farm_path(farm, "", "", ""), .cache_dir = strdup(farm_cache_dir(farm)) };
    list_append(&farm_stock(farm)->imports, &self->link);
    snprintf(self->name, sizeof self->name, "%s", name ? name : "");
    id_new("cp-", self->id);
    id_new("ram-", self->base);
    r = self->state_dir && self->cache_dir ? 0 : error_errno(err, ENOMEM, "importing");
    if (r == 0)
        r = self->fd = manifest_open_unnamed(self->state_dir, err);
    if (r < 0) {
        import_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

int import_write(struct import *self, const void *bytes, size_t size, struct error *err)
{
    self->received += (int64_t)size;
    if ((self->received ^ (self->received - (int64_t)size)) >> LOOK_SHIFT) {
        int r = quota_check_disk(self->farm, self->who.key_id, self->received >> 20, err);
        if (r < 0) {
            error_wrap(err, "taking the file");
            return r;
        }
    }
    for (size_t n = 0; n < size;) {
        ssize_t put = write(self->fd, (const uint8_t *)bytes + n, size - n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(err, errno, "taking the file");
        n += (size_t)put;
    }
    int64_t left = fs_free_bytes(self->state_dir);
    if (left >= 0 && left < DISK_FREE_MIN)
        return error_set(err, ERROR_DISK_FULL, "taking the file: %s has %lld MiB left", self->state_dir,
                         (long long)(left >> 20));
    return 0;
}

/* --- The worker's: the image -------------------------------------------------------------------- */

static int check_same(const struct import *self, const struct image *image, struct error *err)
{
    const char *name;
    json_t *wanted;
    json_object_foreach (json_object_get(self->image, "files"), name, wanted) {
        char hash[17];
        auto_free char *path = fs_join(image->dir, name);
        if (strchr(name, '/') || !path)
            return error_set(err, ERROR_BAD_VALUE, "its image has a file of no proper name");
        int r = access(path, R_OK) < 0 ? 1 : parcel_hash(path, hash, err);
        if (r < 0)
            return r;
        if (r > 0 || strcmp(hash, json_is_string(wanted) ? json_string_value(wanted) : "") != 0)
            return error_set(err, ERROR_CONFLICT, "this host's build of image %s-%s is another: %s differs. A "
                             "checkpoint needs the very files that it was taken on", self->manifest.image_name,
                             self->manifest.image_hash, name);
    }
    return 0;
}

static int look_for_image(struct import *self, struct error *err)
{
    struct image image = { 0 };
    char name[160];
    snprintf(name, sizeof name, "%s-%s", self->manifest.image_name, self->manifest.image_hash);
    if (json_object_size(json_object_get(self->image, "files")) == 0)
        return error_set(err, ERROR_BAD_VALUE, "it does not say which files its image has");
    if (image_load(&image, self->cache_dir, name, NULL) < 0)
        return 0;
    self->has_image = true;
    int r = check_same(self, &image, err);
    image_deinit(&image);
    return r;
}

/* All files are there; the directory gets its name in one step. */
static int install_image(struct import *self, struct error *err)
{
    struct image image = { 0 };
    char name[160];
    auto_free char *dir = NULL, *link = NULL;
    snprintf(name, sizeof name, "%s-%s", self->manifest.image_name, self->manifest.image_hash);
    if (self->has_image)
        return 0;
    if (!self->image_dir)
        return error_set(err, ERROR_UNKNOWN_IMAGE, "this host has no image %s, and the file does not hold it: "
                         "export it with its image", name);
    if (asprintf(&dir, "%s/images/%s", self->cache_dir, name) < 0 ||
        asprintf(&link, "%s/images/%s", self->cache_dir, self->manifest.image_name) < 0)
        return error_errno(err, ENOMEM, "importing the image");
    if (rename(self->image_dir, dir) < 0)
        return error_errno(err, errno, "putting the image into %s", dir);
    int r = image_load(&image, self->cache_dir, name, err);
    if (r == 0 && strcmp(image.hash, self->manifest.image_hash) != 0)
        r = error_set(err, ERROR_BAD_VALUE, "its image says that it is another");
    if (r == 0)
        r = check_same(self, &image, err);
    image_deinit(&image);
    if (r < 0)
        fs_remove_tree(dir, NULL);
    else if (access(link, F_OK) < 0 && symlink(name, link) < 0)
        log_warn("naming image %s: %s", self->manifest.image_name, strerror(errno));
    return r;
}

/* --- The worker's: files ------------------------------------------------------------------------ */

static int handle_manifest(void *data, const json_t *manifest, struct error *err)
{
    struct import *self = data;
    self->doc = json_deep_copy(json_object_get(manifest, "checkpoint"));
    self->image = json_deep_copy(json_object_get(manifest, "image"));
    int r = manifest_check(manifest, &self->host, self->accel, &self->manifest, err);
    if (r == 0 && self->manifest.is_template && self->who.role != ROLE_ADMIN)
        r = error_set(err, ERROR_FORBIDDEN, "only an admin may import a template");
    for (size_t i = 0; r == 0 && i < self->manifest.n_disk; i++) {
        char id[ID_MAX];
        id_new("ly-", id);
        chain_add(&self->chain, id);
    }
    return r == 0 ? look_for_image(self, err) : r;
}

static int create(struct import *self, const char *folder, const char *name, int *ret_fd, struct error *err)
{
    argv_addf(&self->made, "%s%s/%s", self->state_dir, folder, name);
    if (self->made.failed)
        return error_errno(err, ENOMEM, "importing");
    const char *path = self->made.items[self->made.n - 1];
    *ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd < 0 ? error_errno(err, errno, "creating %s", path) : 0;
}

static int create_image_file(struct import *self, const char *name, int *ret_fd, struct error *err)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    if (n == 0 || name[n] || name[0] == '.')
        return error_set(err, ERROR_BAD_VALUE, "its image has a file of no proper name");
    if (self->has_image)
        return 0;
    if (self->who.role != ROLE_ADMIN)
        return error_set(err, ERROR_FORBIDDEN, "it holds an image that this host lacks: only an admin may bring one");
    if (!self->image_dir && asprintf(&self->image_dir, "%s/images/.import-%s", self->cache_dir, self->id) < 0) {
        self->image_dir = NULL;
        return error_errno(err, ENOMEM, "importing the image");
    }
    int r = fs_mkdirs(self->image_dir, 0755, err);
    auto_free char *path = r == 0 ? fs_join(self->image_dir, name) : NULL;
    if (r < 0)
        return r;
    *ret_fd = path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    /* Guests read it under uids of their own, whatever the daemon's umask is. */
    if (*ret_fd < 0 || fchmod(*ret_fd, 0644) < 0 || chmod(self->image_dir, 0755) < 0)
        return error_errno(err, errno, "writing the image into %s", self->image_dir);
    return 0;
}

static int open_file(void *data, const char *name, int *ret_fd, int64_t *limit, struct error *err)
{
    struct import *self = data;
    char file[ID_MAX + 8];
    size_t at;
    int used = 0;
    *limit = self->manifest.ram_bytes;
    if (strcmp(name, "state") == 0 && !self->has_state) {
        self->has_state = true;
        *limit = CHECKPOINT_STATE_MAX;
        snprintf(file, sizeof file, "%s.state", self->id);
        return create(self, "checkpoints", file, ret_fd, err);
    }
    if (strcmp(name, "ram") == 0 && !self->has_ram) {
        self->has_ram = true;
        snprintf(file, sizeof file, "%s.ram", self->base);
        return create(self, "ram", file, ret_fd, err);
    }
    if (strcmp(name, "layer") == 0 && self->manifest.has_layer && !self->has_layer) {
        self->has_layer = true;
        *limit += RAM_LAYER_HEADER + self->manifest.ram_bytes / RAM_PAGE * 8;
        snprintf(file, sizeof file, "%s.ram", self->id);
        return create(self, "checkpoints", file, ret_fd, err);
    }
    if (sscanf(name, "disk/%zu%n", &at, &used) == 1 && !name[used] && at == self->n_disk && at < self->chain.n) {
        self->n_disk++;
        *limit = self->manifest.disk_bytes + self->manifest.disk_bytes / 64 + (64 << 20);
        snprintf(file, sizeof file, "%s.qcow2", self->chain.ids[at]);
        return create(self, "layers", file, ret_fd, err);
    }
    if (strncmp(name, "image/", 6) == 0) {
        *limit = IMAGE_FILE_MAX;
        return create_image_file(self, name + 6, ret_fd, err);
    }
    return error_set(err, ERROR_BAD_VALUE, "it holds %.80s, which is no part of a checkpoint", name);
}

/* As a restore will find it. */
static int check_parts(struct import *self, struct error *err)
{
    struct ram_layer *layer = NULL;
    struct stat st;
    auto_free char *ram = NULL, *pages = NULL;
    if (!self->has_state || !self->has_ram || self->has_layer != self->manifest.has_layer ||
        self->n_disk != self->chain.n)
        return error_set(err, ERROR_BAD_VALUE, "a part of it is missing");
    if (asprintf(&ram, "%sram/%s.ram", self->state_dir, self->base) < 0 ||
        asprintf(&pages, "%scheckpoints/%s.ram", self->state_dir, self->id) < 0)
        return error_errno(err, ENOMEM, "importing");
    if (stat(ram, &st) < 0 || st.st_size != self->manifest.ram_bytes)
        return error_set(err, ERROR_BAD_VALUE, "its RAM is not as large as its machine says");
    int r = self->has_layer ? ram_layer_load(&layer, pages, self->manifest.ram_bytes, err) : 0;
    ram_layer_unref(layer);
    return r;
}

/* What the manifest says of it is not asked. */
static void count_bytes(struct import *self)
{
    for (size_t i = 0; i < self->made.n; i++) {
        struct stat st = { 0 };
        int64_t *sum = strstr(self->made.items[i], "/layers/") ? &self->disk_bytes
                       : strstr(self->made.items[i], "/ram/")  ? &self->ram_bytes
                                                               : &self->bytes;
        if (stat(self->made.items[i], &st) == 0)
            *sum += st.st_blocks * 512;
    }
}

static void work_import(void *data)
{
    static const struct parcel_ops ops = { .on_manifest = handle_manifest, .open_file = open_file };
    struct import *self = data;
    int r = lseek(self->fd, 0, SEEK_SET) < 0 ? error_errno(&self->err, errno, "importing")
                                             : parcel_read(self->fd, &ops, self, &self->err);
    if (r == 0)
        r = check_parts(self, &self->err);
    if (r == 0)
        r = install_image(self, &self->err);
    count_bytes(self);
    for (size_t i = 0; r < 0 && i < self->made.n; i++)
        unlink(self->made.items[i]);
    for (size_t i = 0; r == 0 && i < self->made.n; i++)
        if (strstr(self->made.items[i], "/layers/"))
            chmod(self->made.items[i], 0400);
    if (r < 0 && self->image_dir)
        fs_remove_tree(self->image_dir, NULL);
}

/* --- The end ------------------------------------------------------------------------------------ */

static int list_it(struct import *self, json_t **ret, struct error *err)
{
    int64_t mib = (self->bytes + self->disk_bytes + self->ram_bytes) >> 20;
    int r = self->manifest.is_template ? 0 : quota_check_disk(self->farm, self->who.key_id, mib, err);
    if (r < 0)
        return r;
    json_object_set_new(self->doc, "bytes", json_integer(self->bytes));
    json_object_set_new(self->doc, "disk_bytes", json_integer(self->disk_bytes));
    json_object_set_new(self->doc, "owner", json_string(self->manifest.is_template ? "" : self->who.key_id));
    json_object_set_new(self->doc, "sandbox", json_string(""));
    json_object_set_new(self->doc, "parent", json_string(""));
    json_object_set_new(self->doc, "hidden", json_false());
    json_object_set_new(self->doc, "pool", json_integer(-1));
    json_object_set_new(self->doc, "base", json_string(self->base));
    json_object_set_new(self->doc, "base_bytes", json_integer(self->manifest.ram_bytes));
    json_object_set_new(self->doc, "chain", chain_json(&self->chain));
    json_object_set_new(self->doc, "created_us", json_integer(clock_wall_us()));
    if (self->has_name)
        json_object_set_new(self->doc, "name", json_string(self->name));
    r = journal_put(farm_journal(self->farm), "checkpoint", self->id, self->doc, err);
    if (r < 0)
        return r;
    checkpoint_adopt(self->farm, self->id, self->doc);
    struct checkpoint *checkpoint = checkpoint_find_any(self->farm, self->id);
    if (!checkpoint)
        return error_errno(err, ENOMEM, "importing");
    *ret = checkpoint_json(checkpoint);
    return 0;
}

static void handle_imported(void *data)
{
    struct import *self = data;
    auto_json json_t *result = NULL;
    if (!self->farm) {
        import_free(self);
        return;
    }
    farm_stock(self->farm)->n_busy--;
    if (!self->err.is_set)
        list_it(self, &result, &self->err);
    if (self->err.is_set) {
        error_wrap(&self->err, "importing");
        sweep_request(self->farm);
    }
    if (!self->is_cancelled)
        self->done(self->data, self->err.is_set ? NULL : result, self->err.is_set ? &self->err : NULL);
    import_free(self);
}

void import_cut_off_all(struct farm_stock *stock)
{
    while (!list_empty(&stock->imports)) {
        struct import *self = list_first(&stock->imports, struct import, link);
        list_remove(&self->link);
        self->farm = NULL;
    }
}

void import_end(struct import *self, import_fn done, void *data)
{
    self->done = done;
    self->data = data;
    self->is_working = true;
    farm_stock(self->farm)->n_busy++;
    if (worker_submit(farm_pool(self->farm), WORK_BULK, work_import, handle_imported, self) == 0)
        return;
    error_errno(&self->err, ENOMEM, "importing");
    handle_imported(self);
}
