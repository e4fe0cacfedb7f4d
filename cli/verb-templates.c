#include "cli/output.h"
#include "cli/verbs.h"

static const struct column columns[] = {
    { "ID", "id" },
    { "IMAGE", "image" },
    { "CPUS", "cpus" },
    { "MEMORY_MIB", "memory_mib" },
    { "DISK_MIB", "disk_mib" },
    { "WIDTH", "width" },
    { "HEIGHT", "height" },
    { "NETWORK", "network" },
    { "CREATED", "created_at" },
    { NULL, NULL },
};

static int run_bake(struct cli *cli, struct request *request)
{
    struct reply reply;
    progress_show(cli, "starting a guest and waiting until its desktop stands still");
    int status = cli_send(cli, request, &reply);
    progress_end(cli);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, columns, &reply);
}

static const char *const bake_operands[] = { "image.uri", NULL };
static const char *const bake_hidden[] = { "image", NULL };

static const struct flag bake_flags[] = {
    { .name = "cpus", .field = "resourceLimits.cpu", .value = "N", .text = "Virtual CPUs, e.g. 2." },
    { .name = "memory",
      .field = "resourceLimits.memory",
      .value = "SIZE",
      .text = "Memory, e.g. 2Gi or 512Mi." },
    { .name = "disk", .field = "resourceLimits.disk", .value = "SIZE", .text = "Disk, e.g. 20Gi." },
    { .name = "size",
      .field = "display",
      .value = "WIDTHxHEIGHT",
      .text = "Size of the screen, e.g. 1280x800." },
    { .name = NULL },
};

const struct verb verb_templates_list = {
    .name = "templates list",
    .usage = "",
    .operation = "template_list",
    .columns = columns,
};

const struct verb verb_templates_bake = {
    .name = "templates bake",
    .usage = "IMAGE",
    .operation = "template_bake",
    .operands = bake_operands,
    .hidden = bake_hidden,
    .flags = bake_flags,
    .run = run_bake,
};

static const struct column pooled[] = {
    { "ID", "id" }, { "IMAGE", "image" }, { "POOL", "pool" }, { NULL, NULL }
};

static const char *const pool_operands[] = { "id", "pool", NULL };
static const char *const pool_hidden[] = { "pool", NULL };

const struct verb verb_templates_pool = {
    .name = "templates pool",
    .usage = "TEMPLATE N",
    .operation = "template_set",
    .operands = pool_operands,
    .hidden = pool_hidden,
    .columns = pooled,
    .text = "N is a number, or null for as many as the daemon's setting says. One that waits takes about\n"
            "30 MiB and spares a restore the start of a QEMU.\n",
};
