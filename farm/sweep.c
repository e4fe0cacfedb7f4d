/* What is to go is decided on the loop, from directory listings of a few hundred entries; removing,
 * which can take long for gigabytes, is a worker's. A file that a worker is writing belongs to a
 * checkpoint that is not listed yet: sweeps wait while one is being stored. */
#define LOG_MODULE "sweep"
#include "farm/sweep.h"

#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/argv.h"
#include "hypervisor/strays.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define DELAY_US 200000

static bool chain_has(const struct chain *chain, const char *id)
{
    for (size_t i = 0; i < chain->n; i++)
        if (strcmp(chain->ids[i], id) == 0)
            return true;
    return false;
}

static bool layer_is_used(struct farm *farm, const char *id)
{
    struct checkpoint *checkpoint;
    struct sandbox *sandbox;
    list_for_each(checkpoint, &farm_stock(farm)->checkpoints, link)
        if (chain_has(&checkpoint->chain, id))
            return true;
    list_for_each(sandbox, farm_sandboxes(farm), link)
        if (chain_has(&sandbox->lineage.chain, id) ||
            (sandbox->lineage.origin && chain_has(&sandbox->lineage.origin->chain, id)))
            return true;
    return false;
}

static bool base_is_used(struct farm *farm, const char *id)
{
    struct ram_base *base;
    list_for_each(base, &farm_stock(farm)->bases, link)
        if (strcmp(base->id, id) == 0)
            return true;
    return false;
}

static bool checkpoint_is_used(struct farm *farm, const char *id)
{
    struct checkpoint *checkpoint;
    list_for_each(checkpoint, &farm_stock(farm)->checkpoints, link)
        if (strcmp(checkpoint->id, id) == 0)
            return true;
    return false;
}

static bool directory_is_used(struct farm *farm, const char *id)
{
    struct sandbox *sandbox;
    list_for_each(sandbox, farm_sandboxes(farm), link) {
        const char *slash = sandbox->dir ? strrchr(sandbox->dir, '/') : NULL;
        if (slash && strcmp(slash + 1, id) == 0)
            return true;
    }
    return false;
}

static const struct folder {
    const char *name;
    bool (*is_used)(struct farm *farm, const char *id);
    bool at_start_only;
} folders[] = {
    { "layers", layer_is_used, false },
    { "ram", base_is_used, false },
    { "checkpoints", checkpoint_is_used, false },
    { "sandboxes", directory_is_used, true }, /* later each belongs to who ends its guest */
};

/* Paths of one folder that nobody names. An id ends at the first dot. */
static void find_unused(struct farm *farm, const struct folder *folder, struct argv *out)
{
    struct dirent **entries = NULL;
    auto_free char *dir = farm_path(farm, folder->name, "", "");
    int n = dir ? scandir(dir, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < n; i++) {
        char id[ID_MAX];
        const char *name = entries[i]->d_name;
        snprintf(id, sizeof id, "%.*s", (int)strcspn(name, "."), name);
        if (*id && (strstr(name, ".tmp") || !folder->is_used(farm, id)))
            argv_addf(out, "%s%s", dir, name);
        free(entries[i]);
    }
    free(entries);
}

struct removal {
    struct argv paths;
};

static void work_remove(void *data)
{
    struct removal *self = data;
    for (size_t i = 0; i < self->paths.n; i++)
        if (unlink(self->paths.items[i]) < 0)
            fs_remove_tree(self->paths.items[i], NULL);
}

static void handle_removed(void *data)
{
    struct removal *self = data;
    argv_deinit(&self->paths);
    free(self);
}

static void sweep(struct farm *farm, bool is_start)
{
    struct removal *self = calloc(1, sizeof *self);
    if (!self)
        return;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        size_t before = self->paths.n;
        if (!folders[i].at_start_only || is_start)
            find_unused(farm, &folders[i], &self->paths);
        for (size_t k = before; is_start && folders[i].at_start_only && k < self->paths.n; k++)
            guest_end_orphan(self->paths.items[k]);
    }
    if (self->paths.n)
        log_info("throwing %zu unused files away", self->paths.n);
    if (self->paths.n == 0 || worker_submit(farm_pool(farm), WORK_BULK, work_remove, handle_removed, self) < 0)
        handle_removed(self);
}

/* Names are unique everywhere, so a directory of ours says whose it is: of a sandbox, of a spare, or of a
 * guest that was being ended. The one that a sandbox has adopted stays, and what its jail was built by. */
static bool is_stray(void *data, const char *name, pid_t pid, bool is_qemu)
{
    struct farm *farm = data;
    struct sandbox *sandbox;
    auto_free char *dir = farm_sandbox_dir(farm, name);
    list_for_each(sandbox, farm_sandboxes(farm), link) {
        if (strcmp(sandbox->id, name) != 0)
            continue;
        return !sandbox->guest || (is_qemu && guest_pid(sandbox->guest) != pid);
    }
    return dir && access(dir, F_OK) == 0;
}

void sweep_end_strays(struct farm *farm)
{
    int n = strays_end(is_stray, farm);
    if (n)
        log_info("killed %d processes that an earlier daemon left behind", n);
}

void sweep_begin(struct farm *farm)
{
    sweep(farm, true);
}

static void handle_timer(void *data)
{
    struct farm *farm = data;
    struct farm_stock *stock = farm_stock(farm);
    if (stock->n_busy > 0)
        timer_start(stock->sweep, DELAY_US);
    else
        sweep(farm, false);
}

void sweep_request(struct farm *farm)
{
    struct farm_stock *stock = farm_stock(farm);
    if (!stock->sweep)
        stock->sweep = timer_new(farm_loop(farm), handle_timer, farm);
    if (stock->sweep && !timer_is_active(stock->sweep))
        timer_start(stock->sweep, DELAY_US);
}
