/* Each checkpoint, fork and hibernation adds a layer to a chain. The first FLATTEN_LAYERS of one above its
 * template's are merged into one by a bulk worker, and take its place in every chain that begins
 * with the same: those of sandboxes that run (their QEMU has the old files open, and keeps them), and of
 * checkpoints. Old layers that a shorter chain still names stay; the rest are swept.
 *
 * Layers of RAM need no such thing: each is complete above its template's RAM (hypervisor/ram-layer.h).
 *
 * Nothing is changed while somebody is being restored, because a QEMU that is starting counts the layers
 * that it was shown. A layer that cannot be merged (its guest wrote it) stays as it is. */
#define LOG_MODULE "flatten"
#include "farm/flatten.h"

#include "base/log.h"
#include "farm/farm.h"
#include "farm/journal.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"
#include "hypervisor/disk-merge.h"

#include <stdio.h>
#include <string.h>

#define FLATTEN_LAYERS 6
#define DELAY_US 500000
#define FAILURES_MAX 64

struct flatten {
    struct farm *farm; /* NULL once that is gone */
    size_t first;      /* where in the chain the merged ones begin */
    struct chain before; /* up to the last of them */
    char merged[ID_MAX];
    char *paths[FLATTEN_LAYERS], *to;
    int64_t disk_bytes;
    bool is_merged; /* the worker is done */
    struct error err;
};

static void flatten_free(struct flatten *self)
{
    for (size_t i = 0; i < FLATTEN_LAYERS; i++)
        free(self->paths[i]);
    free(self->to);
    free(self);
}

static bool begins_with(const struct chain *chain, const struct chain *prefix)
{
    bool is_same = prefix->n <= chain->n;
    for (size_t i = 0; is_same && i < prefix->n; i++)
        is_same = strcmp(chain->ids[i], prefix->ids[i]) == 0;
    return is_same;
}

/* --- Putting it in place ------------------------------------------------------------------------ */

static bool replace(const struct flatten *self, struct chain *chain)
{
    struct chain after = { .n = self->first };
    if (!begins_with(chain, &self->before))
        return false;
    memcpy(after.ids, chain->ids, self->first * sizeof *chain->ids);
    chain_add(&after, self->merged);
    for (size_t i = self->before.n; i < chain->n; i++)
        chain_add(&after, chain->ids[i]);
    *chain = after;
    return true;
}

static bool is_restoring(struct farm *farm)
{
    struct sandbox *sandbox;
    list_for_each(sandbox, farm_sandboxes(farm), link)
        if (sandbox->lineage.origin)
            return true;
    return false;
}

static void put_in_place(struct flatten *self)
{
    struct farm *farm = self->farm;
    struct sandbox *sandbox;
    struct checkpoint *checkpoint;
    int n = 0;
    list_for_each(sandbox, farm_sandboxes(farm), link) {
        if (!replace(self, &sandbox->lineage.chain))
            continue;
        farm_store(farm, sandbox, NULL);
        n++;
    }
    list_for_each(checkpoint, &farm_stock(farm)->checkpoints, link) {
        if (!replace(self, &checkpoint->chain))
            continue;
        struct error err = { 0 };
        auto_json json_t *doc = checkpoint_document(checkpoint);
        if (journal_put(farm_journal(farm), "checkpoint", checkpoint->id, doc, &err) < 0)
            log_warn("%s: %s", checkpoint->id, err.message);
        n++;
    }
    log_info("merged %d disk layers, of which %d chains have one now", FLATTEN_LAYERS, n);
}

static void finish(struct flatten *self)
{
    struct farm *farm = self->farm;
    struct farm_stock *stock = farm_stock(farm);
    stock->n_busy--;
    stock->flatten = NULL;
    flatten_free(self);
    sweep_request(farm);
    flatten_request(farm);
    fork_handle_flattened(farm, false);
}

static void handle_merged(void *data)
{
    struct flatten *self = data;
    self->is_merged = true;
    if (!self->farm) {
        flatten_free(self);
        return;
    }
    struct farm_stock *stock = farm_stock(self->farm);
    if (self->err.is_set) {
        log_warn("merging disk layers: %s", self->err.message);
        if (stock->n_unmergeable < FAILURES_MAX)
            snprintf(stock->unmergeable[stock->n_unmergeable++], ID_MAX, "%s", self->before.ids[self->before.n - 1]);
        finish(self);
    } else if (is_restoring(self->farm)) {
        timer_start(stock->flatten_timer, DELAY_US);
    } else {
        put_in_place(self);
        finish(self);
    }
}

/* --- Finding one -------------------------------------------------------------------------------- */

static void work_merge(void *data)
{
    struct flatten *self = data;
    disk_merge((const char *const *)self->paths, FLATTEN_LAYERS, self->disk_bytes, self->to, &self->err);
}

size_t flatten_shared(struct farm *farm, const struct ram_base *base, const struct chain *chain)
{
    struct checkpoint *it;
    list_for_each(it, &farm_stock(farm)->checkpoints, link)
        if (it->is_template && it->base == base && begins_with(chain, &it->chain))
            return it->chain.n;
    return 0;
}

static bool is_unmergeable(const struct farm_stock *stock, const char *id)
{
    for (size_t i = 0; i < stock->n_unmergeable; i++)
        if (strcmp(stock->unmergeable[i], id) == 0)
            return true;
    return false;
}

/* True when a merge was begun. */
static bool begin(struct farm *farm, const struct ram_base *base, const struct chain *chain, int64_t disk_mib)
{
    struct farm_stock *stock = farm_stock(farm);
    size_t first = flatten_shared(farm, base, chain), end = first + FLATTEN_LAYERS;
    if (chain->n < end || is_unmergeable(stock, chain->ids[end - 1]))
        return false;
    struct flatten *self = calloc(1, sizeof *self);
    if (!self)
        return false;
    *self = (struct flatten){ .farm = farm, .first = first, .before = *chain, .disk_bytes = disk_mib << 20 };
    self->before.n = end;
    id_new("ly-", self->merged);
    self->to = farm_path(farm, "layers", self->merged, ".qcow2");
    bool is_good = self->to;
    for (size_t i = 0; i < FLATTEN_LAYERS; i++) {
        self->paths[i] = farm_path(farm, "layers", chain->ids[first + i], ".qcow2");
        is_good &= self->paths[i] != NULL;
    }
    if (!is_good || worker_submit(farm_pool(farm), WORK_BULK, work_merge, handle_merged, self) < 0) {
        flatten_free(self);
        return false;
    }
    stock->flatten = self;
    stock->n_busy++; /* what is merged, and what comes of it, is not swept */
    return true;
}

static void look(struct farm *farm)
{
    struct sandbox *sandbox;
    struct checkpoint *checkpoint;
    list_for_each(sandbox, farm_sandboxes(farm), link)
        if (begin(farm, sandbox->lineage.base, &sandbox->lineage.chain, sandbox->charge.disk_mib))
            return;
    list_for_each(checkpoint, &farm_stock(farm)->checkpoints, link)
        if (begin(farm, checkpoint->base, &checkpoint->chain, checkpoint->machine.disk_mib))
            return;
    fork_handle_flattened(farm, true);
}

static void handle_timer(void *data)
{
    struct farm *farm = data;
    if (farm_stock(farm)->flatten)
        handle_merged(farm_stock(farm)->flatten); /* it waits for the end of a restore */
    else
        look(farm);
}

void flatten_request(struct farm *farm)
{
    struct farm_stock *stock = farm_stock(farm);
    if (!stock->flatten_timer)
        stock->flatten_timer = timer_new(farm_loop(farm), handle_timer, farm);
    if (stock->flatten_timer && !stock->flatten && !timer_is_active(stock->flatten_timer))
        timer_start(stock->flatten_timer, DELAY_US);
}

void flatten_cut_off(struct farm_stock *stock)
{
    stock->flatten_timer = timer_free(stock->flatten_timer);
    if (stock->flatten && stock->flatten->is_merged)
        flatten_free(stock->flatten);
    else if (stock->flatten)
        stock->flatten->farm = NULL;
    stock->flatten = NULL;
}
