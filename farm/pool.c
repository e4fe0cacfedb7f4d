#define LOG_MODULE "pool"
#include "farm/pool.h"

#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/leaving.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REFILL_US 150000   /* after a claim: the restore goes first */
#define FAILURES_MAX 3     /* in a row; then a template gets no more spares */

struct spare {
    struct list link;
    struct farm *farm;
    struct checkpoint *template;
    struct guest *guest;
    char *dir;
    uid_t uid;
    bool is_ready;
};

static void spare_free(struct spare *self)
{
    list_remove(&self->link);
    checkpoint_unref(self->template);
    free(self->dir);
    free(self);
}

static void refill_soon(struct farm *farm);

static void handle_ready(void *data)
{
    struct spare *self = data;
    self->is_ready = true;
    self->template->n_spare_failures = 0;
}

static void handle_ended(void *data, enum guest_end why maybe_unused, const struct error *err)
{
    struct spare *self = data;
    struct farm *farm = self->farm;
    log_warn("a spare of %s ended: %s", self->template->machine.image_name, err->message);
    self->template->n_spare_failures++;
    guest_free(self->guest);
    fs_remove_tree(self->dir, NULL);
    spare_free(self);
    refill_soon(farm);
}

static const struct guest_ops spare_ops = { .on_ready = handle_ready, .on_ended = handle_ended };

/* --- Starting ------------------------------------------------------------------------------------ */

static int start_guest(struct spare *self, const struct image *image, struct error *err)
{
    const struct checkpoint *template = self->template;
    const struct checkpoint_machine *m = &template->machine;
    const char *paths[GUEST_LAYERS_MAX] = { NULL };
    const struct machine_origin origin = { .ram_fd = template->base->fd, .layers = paths,
                                           .n_layers = jail_needs_uid() ? 0 : template->chain.n };
    struct machine_spec spec = {
        .accel = m->accel, .network = m->network, .origin = &origin,
        .name = strrchr(self->dir, '/') + 1, .cpus = m->cpus, .memory_mib = m->memory_mib,
        .width = m->width, .height = m->height,
    };
    int r = 0;
    image_fill_machine(image, m->disk_mib, &spec);
    machine_fill_ids(&spec);
    for (size_t i = 0; r == 0 && i < origin.n_layers; i++) {
        paths[i] = farm_path(self->farm, "layers", template->chain.ids[i], ".qcow2");
        r = paths[i] ? 0 : error_errno(err, ENOMEM, "starting a spare");
    }
    if (r == 0)
        r = guest_start(&self->guest, farm_guest_host(self->farm), &spec, self->dir, self->uid, &spare_ops,
                        self, err);
    for (size_t i = 0; i < origin.n_layers; i++)
        free((void *)(uintptr_t)paths[i]);
    return r;
}

static int start(struct spare *self, struct error *err)
{
    struct image image = { 0 };
    char id[ID_MAX], name[160];
    id_new("sb-", id);
    self->uid = jail_needs_uid() ? farm_take_uid(self->farm) : 0;
    self->dir = farm_sandbox_dir(self->farm, id);
    if (!self->dir || (jail_needs_uid() && !self->uid))
        return error_set(err, ERROR_QUOTA, "no memory or no uid for a spare");
    snprintf(name, sizeof name, "%s-%s", self->template->machine.image_name,
             self->template->machine.image_hash);
    int r = image_load(&image, farm_cache_dir(self->farm), name, err);
    if (r == 0)
        r = fs_mkdirs(self->dir, 0700, err);
    if (r == 0)
        r = start_guest(self, &image, err);
    image_deinit(&image);
    return r;
}

static void add_spare(struct farm *farm, struct checkpoint *template)
{
    struct error err = { 0 };
    struct spare *self = calloc(1, sizeof *self);
    if (!self)
        return;
    self->farm = farm;
    self->template = checkpoint_ref(template);
    list_init(&self->link);
    if (start(self, &err) < 0) {
        log_warn("starting a spare of %s: %s", template->machine.image_name, err.message);
        template->n_spare_failures++;
        if (self->dir)
            fs_remove_tree(self->dir, NULL);
        spare_free(self);
        return;
    }
    list_append(&farm_stock(farm)->spares, &self->link);
}

/* --- Filling ------------------------------------------------------------------------------------- */

static int count_of(const struct farm_stock *stock, const struct checkpoint *template)
{
    struct spare *it;
    int n = 0;
    list_for_each(it, &stock->spares, link)
        n += it->template == template;
    return n;
}

static int size_of(const struct farm_stock *stock, const struct checkpoint *template)
{
    return template->pool_size < 0 ? stock->pool_size : template->pool_size;
}

/* One at a time: spares are no hurry. */
static void handle_refill(void *data)
{
    struct farm *farm = data;
    struct farm_stock *stock = farm_stock(farm);
    struct checkpoint *template;
    list_for_each(template, &stock->checkpoints, link) {
        if (!template->wants_spares || template->base->fd < 0 || template->n_spare_failures >= FAILURES_MAX ||
            count_of(stock, template) >= size_of(stock, template))
            continue;
        add_spare(farm, template);
        refill_soon(farm);
        return;
    }
}

static void refill_soon(struct farm *farm)
{
    struct farm_stock *stock = farm_stock(farm);
    if (!stock->refill)
        stock->refill = timer_new(farm_loop(farm), handle_refill, farm);
    if (stock->refill)
        timer_start(stock->refill, REFILL_US);
}

static void handle_loaded(void *data, const struct error *err)
{
    if (err)
        log_warn("a pool: %s", err->message);
    else
        refill_soon(data);
}

/* The template that a checkpoint's RAM and machine come from. */
static struct checkpoint *template_of(struct farm *farm, const struct checkpoint *checkpoint)
{
    struct checkpoint *template = checkpoint_find_template(farm, &checkpoint->machine);
    return template && template->base == checkpoint->base ? template : NULL;
}

void pool_touch(struct farm *farm, const struct checkpoint *checkpoint)
{
    struct checkpoint *template = template_of(farm, checkpoint);
    if (!template)
        return;
    template->wants_spares = true;
    refill_soon(farm);
}

static bool starts_with(const struct chain *chain, const struct chain *prefix)
{
    bool is_same = prefix->n <= chain->n;
    for (size_t i = 0; is_same && i < prefix->n; i++)
        is_same = strcmp(chain->ids[i], prefix->ids[i]) == 0;
    return is_same;
}

struct guest *pool_claim(struct farm *farm, const struct checkpoint *checkpoint, char **ret_dir,
                         uid_t *ret_uid, size_t *ret_known)
{
    struct checkpoint *template = template_of(farm, checkpoint);
    struct spare *it;
    list_for_each(it, &farm_stock(farm)->spares, link) {
        if (it->template != template || !it->is_ready || !starts_with(&checkpoint->chain, &template->chain))
            continue;
        struct guest *guest = it->guest;
        *ret_dir = steal_ptr(&it->dir);
        *ret_uid = it->uid;
        *ret_known = jail_needs_uid() ? 0 : template->chain.n;
        spare_free(it);
        return guest;
    }
    return NULL;
}

void pool_resize(struct farm *farm, struct checkpoint *template)
{
    struct farm_stock *stock = farm_stock(farm);
    struct spare *it, *tmp;
    int n = count_of(stock, template) - size_of(stock, template);
    list_for_each_safe(it, tmp, &stock->spares, link) {
        if (n <= 0 || it->template != template)
            continue;
        leaving_add(farm, it->guest, steal_ptr(&it->dir), it->uid);
        spare_free(it);
        n--;
    }
    template->n_spare_failures = 0;
    template->wants_spares |= template->pool_size > 0;
    if (template->base->fd >= 0)
        refill_soon(farm);
    else if (template->wants_spares)
        checkpoint_load(template, handle_loaded, farm);
}

int64_t pool_bytes(const struct farm_stock *stock, const struct checkpoint *template)
{
    struct spare *it;
    int64_t sum = 0;
    list_for_each(it, &stock->spares, link)
        if (!template || it->template == template)
            sum += MAX(guest_memory_bytes(it->guest), (int64_t)0);
    return sum;
}

json_t *pool_json(struct farm *farm, const struct checkpoint *template)
{
    const struct farm_stock *stock = farm_stock(farm);
    struct spare *it;
    int n_ready = 0;
    list_for_each(it, &stock->spares, link)
        n_ready += it->template == template && it->is_ready;
    return json_pack("{si si sI}", "size", size_of(stock, template), "ready", n_ready, "bytes",
                     (json_int_t)pool_bytes(stock, template));
}

bool pool_has_uid(const struct farm_stock *stock, uid_t uid)
{
    struct spare *it;
    list_for_each(it, &stock->spares, link)
        if (it->uid == uid)
            return true;
    return false;
}

int pool_count(const struct farm_stock *stock)
{
    struct spare *it;
    int n = 0;
    list_for_each(it, &stock->spares, link)
        n++;
    return n;
}

void pool_drop(struct farm *farm, const struct checkpoint *template)
{
    struct spare *it, *tmp;
    list_for_each_safe(it, tmp, &farm_stock(farm)->spares, link) {
        if (template && it->template != template)
            continue;
        leaving_add(farm, it->guest, steal_ptr(&it->dir), it->uid);
        spare_free(it);
    }
}
