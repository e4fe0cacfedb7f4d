/* The cache is written by images/build, never by the daemon. What it says is checked all the same: a
 * file name in image.json may not lead out of the image's directory. */
#include "farm/image.h"

#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define IMAGE_JSON_MAX 65536
#define NAME_MAX_CHARS 63

static bool name_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    return n > 0 && n <= NAME_MAX_CHARS && !name[n] && name[0] != '.';
}

static int take_file(char **ret, const struct image *self, const char *key, const char *file,
                     struct error *err)
{
    if (!file)
        return 0;
    if (!*file || strchr(file, '/') || file[0] == '.')
        return error_set(err, ERROR_UNKNOWN_IMAGE, "image.json: %s is no file name", key);
    *ret = fs_join(self->dir, file);
    if (!*ret || access(*ret, R_OK) < 0)
        return error_errno(err, errno, "opening %s", file);
    return 0;
}

static int take_media(struct image *self, const json_t *doc, struct error *err)
{
    const json_t *files = json_object_get(doc, "media");
    size_t n = json_array_size(files);
    int r = 0;
    if (n > MACHINE_MEDIA_MAX || (files && !json_is_null(files) && !json_is_array(files)))
        return error_set(err, ERROR_UNKNOWN_IMAGE, "image.json: media is no list of at most %d files",
                         MACHINE_MEDIA_MAX);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *file = json_string_value(json_array_get(files, i));
        r = take_file(&self->media[i], self, "media", file ? file : "", err);
    }
    return r;
}

static int fill(struct image *self, const json_t *doc, struct error *err)
{
    /* It may have been asked for by its build: its name is what it calls itself. */
    const char *name = json_get_string(doc, "name", self->name);
    if (name_is_valid(name) && strcmp(name, self->name) != 0) {
        free(self->name);
        self->name = strdup(name);
    }
    self->hash = strdup(json_get_string(doc, "hash", ""));
    self->description = strdup(json_get_string(doc, "description", ""));
    const bool has_kernel = json_get_string(doc, "kernel", NULL) != NULL;
    self->cmdline = has_kernel ? strdup(json_get_string(doc, "cmdline", "")) : NULL;
    self->disk_bytes = MAX(json_get_int(doc, "disk_bytes", 0), (int64_t)0);
    self->cpus = (int)CLAMP(json_get_int(doc, "cpus", 2), 1, 64);
    self->memory_mib = (int)CLAMP(json_get_int(doc, "memory_mib", 2048), 128, 1 << 20);
    self->width = (int)CLAMP(json_get_int(doc, "width", 1280), 320, 8192);
    self->height = (int)CLAMP(json_get_int(doc, "height", 800), 200, 8192);
    self->agent = inside_kind_parse(json_get_string(doc, "agent", "any"));
    self->signals_up = json_get_bool(doc, "signals_up", false);
    self->settle_ms = (int)CLAMP(json_get_int(doc, "settle_ms", 10000), 100, 600000);
    if (!self->name || !self->hash || !self->description || (has_kernel && !self->cmdline))
        return error_errno(err, ENOMEM, "reading image.json");
    int r = profile_read(&self->shape, doc, err);
    if (r < 0)
        return r;
    const struct {
        char **to;
        const char *key;
    } files[] = { { &self->kernel, "kernel" }, { &self->initrd, "initrd" }, { &self->disk, "disk" } };
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
        r = take_file(files[i].to, self, files[i].key, json_get_string(doc, files[i].key, NULL), err);
    return r == 0 ? take_media(self, doc, err) : r;
}

int image_load(struct image *ret, const char *cache_dir, const char *name, struct error *err)
{
    if (!name_is_valid(name))
        return error_set(err, ERROR_UNKNOWN_IMAGE, "no image \"%.80s\"", name);
    auto_free char *link = NULL, *file = NULL;
    if (asprintf(&link, "%s/images/%s", cache_dir, name) < 0)
        return error_errno(err, ENOMEM, "loading image %s", name);
    struct image self = { .dir = realpath(link, NULL), .name = strdup(name) };
    if (self.dir)
        file = fs_join(self.dir, "image.json");
    if (!file || access(file, R_OK) < 0) {
        image_deinit(&self);
        return error_set(err, ERROR_UNKNOWN_IMAGE,
                         "no image \"%s\"; build it with: deskfarm images build %s", name, name);
    }
    auto_buf struct buf text = BUF_INIT;
    auto_json json_t *doc = NULL;
    int r = fs_read(file, IMAGE_JSON_MAX, &text, err);
    if (r == 0)
        r = json_parse_object((const char *)text.data, text.size, &doc, err);
    if (r == 0)
        r = fill(&self, doc, err);
    if (r < 0) {
        error_wrap(err, "loading image %s", name);
        image_deinit(&self);
        return r;
    }
    *ret = self;
    return 0;
}

void image_deinit(struct image *self)
{
    free(self->name);
    free(self->dir);
    free(self->hash);
    free(self->description);
    free(self->kernel);
    free(self->initrd);
    free(self->cmdline);
    free(self->disk);
    for (size_t i = 0; i < ARRAY_LEN(self->media); i++)
        free(self->media[i]);
    *self = (struct image){ 0 };
}

void image_fill_machine(const struct image *self, int64_t disk_mib, struct machine_spec *spec)
{
    spec->shape = self->shape;
    spec->kernel = self->kernel;
    spec->initrd = self->initrd;
    spec->cmdline = self->cmdline;
    spec->base_disk = self->disk;
    spec->disk_bytes = self->disk_bytes ? disk_mib << 20 : 0;
    for (size_t i = 0; i < MACHINE_MEDIA_MAX; i++)
        spec->media[i] = self->media[i];
}

json_t *image_json(const struct image *self)
{
    return json_pack("{ss ss ss si si si si sI ss}", "name", self->name, "hash", self->hash,
                     "description", self->description, "width", self->width, "height", self->height,
                     "cpus", self->cpus, "memory_mib", self->memory_mib, "disk_mib",
                     (json_int_t)(self->disk_bytes >> 20), "profile", profile_name(self->shape.profile));
}

void image_list(const char *cache_dir, json_t *items)
{
    auto_free char *dir = fs_join(cache_dir, "images");
    struct dirent **entries = NULL;
    int n = dir ? scandir(dir, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < n; i++) {
        struct image image;
        /* Links are names; the directories beside them are builds. */
        if (entries[i]->d_type == DT_LNK && image_load(&image, cache_dir, entries[i]->d_name, NULL) == 0) {
            json_array_append_new(items, image_json(&image));
            image_deinit(&image);
        }
        free(entries[i]);
    }
    free(entries);
}
