/* Everything that can be wrong with a request is found before anything is made: image, sizes, network,
 * quota, disk. Sizes round up (CPUs to 1, 2, 4, …; memory to 256 MiB, 512 MiB, …), so that later one
 * template serves many requests. */
#include "farm/create.h"

#include "base/clock.h"
#include "base/fs.h"
#include "farm/bake.h"
#include "farm/fork.h"
#include "farm/quantity.h"
#include "farm/quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_STEP_MIB 256
#define MIB 1048576.0

static int read_quantity(const json_t *limits, const char *key, double fallback, double *ret,
                         struct error *err)
{
    const char *text = json_get_string(limits, key, NULL);
    *ret = fallback;
    if (text && quantity_parse(text, ret) < 0)
        return error_set(err, ERROR_BAD_VALUE, "resourceLimits.%s: \"%.40s\" is no amount such as \"2\", "
                         "\"500m\" or \"2Gi\"", key, text);
    return 0;
}

static int read_charge(const json_t *request, const struct image *image, struct charge *ret,
                       struct error *err)
{
    const json_t *limits = json_object_get(request, "resourceLimits");
    double cpu, memory, disk;
    int r = read_quantity(limits, "cpu", image->cpus, &cpu, err);
    if (r == 0)
        r = read_quantity(limits, "memory", image->memory_mib * MIB, &memory, err);
    if (r == 0)
        r = read_quantity(limits, "disk", (double)image->disk_bytes, &disk, err);
    if (r < 0)
        return r;
    if (cpu <= 0 || cpu > MACHINE_CPUS_MAX)
        return error_set(err, ERROR_BAD_VALUE, "resourceLimits.cpu: must be more than 0 and at most %d",
                         MACHINE_CPUS_MAX);
    if (memory < MACHINE_MEMORY_MIB_MIN * MIB || memory > MACHINE_MEMORY_MIB_MAX * MIB)
        return error_set(err, ERROR_BAD_VALUE, "resourceLimits.memory: must be from %d to %d MiB",
                         MACHINE_MEMORY_MIB_MIN, MACHINE_MEMORY_MIB_MAX);
    if (image->disk_bytes && (disk < (double)image->disk_bytes || disk > (double)MACHINE_DISK_BYTES_MAX))
        return error_set(err, ERROR_BAD_VALUE, "resourceLimits.disk: must be from %lld MiB, the image's size, "
                         "to %lld MiB", (long long)(image->disk_bytes >> 20),
                         (long long)(MACHINE_DISK_BYTES_MAX >> 20));
    ret->cpus = quantity_round_up(cpu, 1);
    ret->memory_mib = quantity_round_up(memory / MIB, MEMORY_STEP_MIB);
    ret->disk_mib = image->disk_bytes ? (int64_t)((disk + MIB - 1) / MIB) : 0;
    return 0;
}

/* "nat" must work when it is asked for; by default a guest gets a network where the host has one to
 * give. An OpenSandbox policy is taken when it means "none" or "everything"; finer ones are refused. */
static int read_network(const json_t *request, enum machine_network *ret, struct error *err)
{
    const char *name = json_get_string(request, "network", NULL);
    const json_t *policy = json_object_get(request, "networkPolicy");
    const char *action = json_get_string(policy, "defaultAction", "allow");
    if (json_array_size(json_object_get(policy, "egress")) > 0)
        return error_set(err, ERROR_UNSUPPORTED, "networkPolicy.egress: rules are not supported yet");
    if (!name && strcmp(action, "deny") == 0)
        name = "none";
    if (!name) {
        *ret = net_check(NULL) == 0 ? MACHINE_NETWORK_NAT : MACHINE_NETWORK_NONE;
        return 0;
    }
    int r = machine_network_parse(name, ret, err);
    if (r == 0 && *ret == MACHINE_NETWORK_NAT) {
        r = net_check(err);
        if (r < 0)
            error_wrap(err, "network nat");
    }
    return r;
}

static void read_lease(const json_t *request, int64_t *ret_expires_us)
{
    int64_t timeout_s = json_get_int(request, "timeout", 0);
    *ret_expires_us = timeout_s > 0 ? clock_wall_us() + timeout_s * 1000000 : 0;
}

static struct sandbox *make(struct farm *farm, const struct principal *who, const json_t *request,
                            const struct image *image, const struct charge *charge,
                            enum machine_network network)
{
    char id[ID_MAX];
    id_new("sb-", id);
    struct sandbox *self = sandbox_new(farm, id, request);
    if (!self)
        return NULL;
    const json_t *display = json_object_get(request, "display");
    snprintf(self->owner, sizeof self->owner, "%s", who->key_id);
    snprintf(self->image_name, sizeof self->image_name, "%s", image->name);
    snprintf(self->image_hash, sizeof self->image_hash, "%s", image->hash);
    snprintf(self->layout.name, sizeof self->layout.name, "%s",
             json_get_string(json_object_get(request, "keyboard"), "layout", "us"));
    self->layout.is_due = json_object_get(request, "keyboard") != NULL;
    self->charge = *charge;
    self->network = network;
    self->signals_up = image->signals_up;
    self->shape = image->shape;
    self->settle_ms = image->settle_ms;
    self->agent_kind = image->agent;
    self->width = (int)json_get_int(display, "width", image->width);
    self->height = (int)json_get_int(display, "height", image->height);
    read_lease(request, &self->expires_us);
    use_read(self, json_object_get(request, "idle"));
    self->dir = farm_sandbox_dir(farm, id);
    return self;
}

/* A sandbox belongs to one build of its image, whatever the name means by now. */
static int power_on(struct sandbox *self, struct error *err)
{
    struct image image = { 0 };
    char name[160];
    snprintf(name, sizeof name, "%s-%s", self->image_name, self->image_hash);
    int r = image_load(&image, farm_cache_dir(self->farm), name, err);
    if (self->layout.is_due)
        layout_begin(self);
    if (r == 0)
        r = sandbox_start_guest(self, &image, NULL, err);
    image_deinit(&image);
    return r;
}

static struct checkpoint *find_template(struct sandbox *self)
{
    struct checkpoint_machine machine;
    checkpoint_machine_of(self, &machine);
    return checkpoint_find_template(self->farm, &machine);
}

/* A template serves every layout. */
static void come_out_of(struct sandbox *self, struct checkpoint *template)
{
    self->layout.is_due = strcmp(template->machine.layout, self->layout.name) != 0;
    if (self->layout.is_due)
        layout_begin(self);
    lineage_start(self, template, NULL, NULL);
}

/* From a template of just this machine, which is baked first when there is none, or by power-on. */
static int start(struct sandbox *self, bool is_cold, struct error *err)
{
    struct checkpoint *template = is_cold ? NULL : find_template(self);
    if (template) {
        come_out_of(self, template);
        return 0;
    }
    if (!is_cold && bake_await(self) == 0) {
        sandbox_set_state(self, SANDBOX_PENDING, "Baking",
                          "the first of its kind: a template is being baked for it and all that follow");
        return farm_store(self->farm, self, err);
    }
    return power_on(self, err);
}

int create_begin_again(struct sandbox *self, struct error *err)
{
    int r = farm_store(self->farm, self, err);
    return r < 0 ? r : start(self, !farm_uses_templates(self->farm), err);
}

void create_handle_baked(struct sandbox *self, struct checkpoint *template, const struct error *bake_err)
{
    struct error err = { 0 };
    if (self->state != SANDBOX_PENDING || self->guest || !self->is_listed)
        return;
    if (template) {
        come_out_of(self, template);
        return;
    }
    sandbox_set_state(self, SANDBOX_PENDING, "PoweringOn", bake_err->message);
    if (power_on(self, &err) < 0)
        lineage_fail(self, &err);
}

/* "auto", "cold", "template"; by default what the daemon was told. */
static const char *how_to_boot(struct farm *farm, const json_t *request)
{
    return json_get_string(request, "boot", farm_uses_templates(farm) ? "auto" : "cold");
}

static int check_template(struct sandbox *self, struct error *err)
{
    if (find_template(self))
        return 0;
    int r = bake_begin(self, err);
    return r < 0 ? r
                 : error_set(err, ERROR_NOT_READY, "there is no template of this machine yet; it is being baked");
}

static int create(struct farm *farm, const struct principal *who, const json_t *request,
                  const struct image *image, struct sandbox **ret, struct error *err)
{
    struct charge charge = { 0 };
    enum machine_network network;
    int r = read_charge(request, image, &charge, err);
    if (r == 0)
        r = read_network(request, &network, err);
    if (r == 0)
        r = quota_check(farm, who, &charge, 1, err);
    if (r < 0)
        return r;
    uid_t uid = jail_needs_uid() ? farm_take_uid(farm) : 0;
    if (jail_needs_uid() && !uid)
        return error_set(err, ERROR_QUOTA, "no uid is left for another jail");
    struct sandbox *self = make(farm, who, request, image, &charge, network);
    if (!self || !self->dir) {
        sandbox_unref(self);
        return error_errno(err, ENOMEM, "creating a sandbox");
    }
    self->uid = uid;
    const char *boot = how_to_boot(farm, request);
    r = strcmp(boot, "template") == 0 ? check_template(self, err) : 0;
    if (r < 0) {
        sandbox_unref(self);
        return r;
    }
    farm_add(farm, self);
    r = sandbox_prepare(self, err);
    if (r == 0)
        r = start(self, strcmp(boot, "cold") == 0, err);
    if (r < 0) {
        fs_remove_tree(self->dir, NULL);
        sandbox_unlist(self);
        return r;
    }
    farm_counters(farm)->created++;
    *ret = self;
    return 0;
}

int farm_create(struct farm *farm, const struct principal *who, const json_t *request,
                struct sandbox **ret, struct error *err)
{
    const char *uri = json_get_string(json_object_get(request, "image"), "uri", NULL);
    struct image image;
    int r = farm_check_ready(farm, err);
    if (r < 0)
        return r;
    const char *checkpoint = json_get_string(request, "snapshotId", NULL);
    if (checkpoint)
        return farm_create_from(farm, who, checkpoint, request, ret, err);
    if (!uri)
        return error_set(err, ERROR_MISSING_FIELD, "image: it is needed, e.g. {\"uri\":\"debian-xfce\"}");
    r = image_load(&image, farm_cache_dir(farm), uri, err);
    if (r < 0)
        return r;
    r = create(farm, who, request, &image, ret, err);
    image_deinit(&image);
    return r;
}
