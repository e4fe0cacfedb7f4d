/* The manifest: {"format":"deskfarm-checkpoint","version":1,"checkpoint":…,"image":{"name","hash","files":
 * {NAME: hash}}}. "checkpoint" is the journal's document. Files: "state"; "ram" (the RAM below);
 * "layer" (the pages above it); "disk/0", "disk/1", … (frozen overlays, bottom first); "image/NAME". */
#define LOG_MODULE "export"
#include "farm/export.h"

#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/manifest.h"
#include "farm/parcel.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct export {
    struct list link; /* of the farm */
    struct farm *farm;
    struct checkpoint *checkpoint; /* keeps its files from being swept */
    bool is_cancelled, with_image;
    char *state_dir;
    struct image image;
    json_t *manifest;
    struct parcel_file files[PARCEL_FILES_MAX];
    size_t n_files;
    int fd;
    int64_t bytes;
    struct error err;
    export_fn done;
    void *data;
};

static void export_free(struct export *self)
{
    for (size_t i = 0; i < self->n_files; i++)
        free(self->files[i].path);
    list_remove(&self->link);
    util_close_ptr(&self->fd);
    json_decref(self->manifest);
    image_deinit(&self->image);
    checkpoint_unref(self->checkpoint);
    free(self->state_dir);
    free(self);
}

/* Takes over path. */
static int add_file(struct export *self, const char *name, char *path, struct error *err)
{
    if (!path || self->n_files == PARCEL_FILES_MAX) {
        free(path);
        return error_errno(err, ENOMEM, "exporting");
    }
    struct parcel_file *file = &self->files[self->n_files++];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->path = path;
    return 0;
}

static int collect(struct export *self, struct error *err)
{
    const struct checkpoint *checkpoint = self->checkpoint;
    struct farm *farm = self->farm;
    int r = add_file(self, "state", farm_path(farm, "checkpoints", checkpoint->id, ".state"), err);
    if (r == 0)
        r = add_file(self, "ram", farm_path(farm, "ram", checkpoint->base->id, ".ram"), err);
    if (r == 0 && checkpoint->has_layer)
        r = add_file(self, "layer", farm_path(farm, "checkpoints", checkpoint->id, ".ram"), err);
    for (size_t i = 0; r == 0 && i < checkpoint->chain.n; i++) {
        char name[PARCEL_NAME_MAX];
        snprintf(name, sizeof name, "disk/%zu", i);
        r = add_file(self, name, farm_path(farm, "layers", checkpoint->chain.ids[i], ".qcow2"), err);
    }
    return r;
}

/* --- The worker's ------------------------------------------------------------------------------- */

static int add_image(struct export *self)
{
    json_t *files = json_object();
    json_object_set_new(self->manifest, "image",
                        json_pack("{ss ss so}", "name", self->image.name, "hash", self->image.hash, "files", files));
    const char *paths[4 + MACHINE_MEDIA_MAX] = { NULL, self->image.kernel, self->image.initrd, self->image.disk };
    auto_free char *json = fs_join(self->image.dir, "image.json");
    paths[0] = json;
    for (size_t i = 0; i < MACHINE_MEDIA_MAX; i++)
        paths[4 + i] = self->image.media[i];
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char hash[17], name[PARCEL_NAME_MAX];
        if (!paths[i])
            continue;
        const char *file = strrchr(paths[i], '/') + 1;
        int r = parcel_hash(paths[i], hash, &self->err);
        if (r < 0)
            return r;
        if (i > 0) /* what image.json says is no part of the machine */
            json_object_set_new(files, file, json_string(hash));
        snprintf(name, sizeof name, "image/%s", file);
        r = self->with_image ? add_file(self, name, strdup(paths[i]), &self->err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static void work_export(void *data)
{
    struct export *self = data;
    struct stat st;
    int r = add_image(self);
    auto_free char *text = json_dumps(self->manifest, JSON_COMPACT);
    if (r == 0 && !text)
        r = error_errno(&self->err, ENOMEM, "exporting");
    if (r == 0 && (self->fd = manifest_open_unnamed(self->state_dir, &self->err)) < 0)
        r = self->fd;
    if (r == 0)
        r = parcel_write(self->fd, text, self->files, self->n_files, &self->err);
    if (r == 0 && (fstat(self->fd, &st) < 0 || lseek(self->fd, 0, SEEK_SET) < 0))
        r = error_errno(&self->err, errno, "exporting");
    if (r == 0)
        self->bytes = st.st_size;
}

static void handle_exported(void *data)
{
    struct export *self = data;
    if (self->checkpoint) /* the farm is there */
        farm_stock(self->farm)->n_busy--;
    if (!self->is_cancelled) {
        if (self->err.is_set)
            error_wrap(&self->err, "exporting %s", self->checkpoint->id);
        self->done(self->data, self->err.is_set ? -1 : steal_fd(&self->fd), self->bytes,
                   self->err.is_set ? &self->err : NULL);
    }
    export_free(self);
}

int export_new(struct export **ret, struct farm *farm, const struct principal *who, const char *id,
               bool with_image, export_fn done, void *data, struct error *err)
{
    char name[160];
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    if (!checkpoint)
        return -ENOENT;
    struct export *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "exporting");
    *self = (struct export){ .farm = farm, .checkpoint = checkpoint_ref(checkpoint), .with_image = with_image,
                             .fd = -1, .done = done, .data = data, .state_dir = farm_path(farm, "", "", "") };
    list_append(&farm_stock(farm)->exports, &self->link);
    self->manifest = manifest_new(checkpoint);
    snprintf(name, sizeof name, "%s-%s", checkpoint->machine.image_name, checkpoint->machine.image_hash);
    int r = self->manifest && self->state_dir ? image_load(&self->image, farm_cache_dir(farm), name, err)
                                              : error_errno(err, ENOMEM, "exporting");
    if (r == 0)
        r = collect(self, err);
    if (r == 0 && worker_submit(farm_pool(farm), WORK_BULK, work_export, handle_exported, self) < 0)
        r = error_errno(err, ENOMEM, "exporting");
    if (r < 0) {
        export_free(self);
        return r;
    }
    farm_stock(farm)->n_busy++; /* its files keep their names */
    *ret = self;
    return 0;
}

/* Its worker may go on for a while; nobody is told. */
void export_cut_off_all(struct farm_stock *stock)
{
    while (!list_empty(&stock->exports)) {
        struct export *self = list_first(&stock->exports, struct export, link);
        list_remove(&self->link);
        self->checkpoint = checkpoint_unref(self->checkpoint);
        self->is_cancelled = true;
    }
}

struct export *export_cancel(struct export *self)
{
    if (self)
        self->is_cancelled = true;
    return NULL;
}
