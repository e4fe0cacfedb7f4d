/* Fields of a sandbox's life. Names and shapes are those of the OpenSandbox protocol, and ours
 * beside them. The rows are in rows-sandbox.h. */
#include "api/table-sandbox.h"

#include "api/table-screen.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

static const struct api_field string_element = { .type = API_STRING, .max = 4096 };

static const char *const states[] = { "Pending", "Running",  "Pausing",    "Paused",
                                      "Resuming", "Hibernating", "Hibernated", "Waking",
                                      "Stopping", "Terminated", "Failed", NULL };

static const char *const parts_told[] = { "done", "due", "not_done", NULL };

static const struct api_field identity_fields[] = {
    { .name = "clock", .type = API_STRING, .values = parts_told, .text = "Its clock was set." },
    { .name = "hostname", .type = API_STRING, .values = parts_told,
      .text = "Its host name is the sandbox's id." },
    { .name = "entropy", .type = API_STRING, .values = parts_told,
      .text = "Programs that ask the kernel get fresh randomness." },
    { .name = "connections", .type = API_STRING, .values = parts_told,
      .text = "TCP connections to the outside, made before it was another's, were reset." },
    END,
};

const struct api_field api_sandbox_fields[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .text = "Unique everywhere." },
    { .name = "image", .type = API_OBJECT, .text = "What it was made from.",
      .fields = FIELDS{
          { .name = "uri", .type = API_STRING, .text = "Name of the image." },
          { .name = "hash", .type = API_STRING,
            .text = "Of the recipe that the image was built from." },
          END } },
    { .name = "status", .type = API_OBJECT, .is_required = true, .text = "Where it is in its life.",
      .fields = FIELDS{
          { .name = "state", .type = API_STRING, .is_required = true, .values = states,
            .text = "State." },
          { .name = "reason", .type = API_STRING, .text = "Short code of the cause." },
          { .name = "message", .type = API_STRING, .text = "The cause for a reader." },
          END } },
    { .name = "metadata", .type = API_STRING_MAP, .text = "As given at creation." },
    { .name = "recording", .type = API_OBJECT, .is_nullable = true, .text = "Where it is recorded.",
      .fields = FIELDS{
          { .name = "id", .type = API_STRING, .text = "Of the recording." },
          { .name = "state", .type = API_STRING, .text = "`recording`, or `stalled` when the disk is full." },
          END } },
    { .name = "entrypoint", .type = API_ARRAY, .element = &string_element,
      .text = "As given at creation." },
    { .name = "createdAt", .type = API_STRING, .is_required = true, .text = "RFC 3339." },
    { .name = "expiresAt", .type = API_STRING, .is_nullable = true,
      .text = "RFC 3339; absent when the lease has no end." },
    AGENT,
    { .name = "desktop", .type = API_OBJECT, .fields = api_display_fields, .text = "The screen." },
    { .name = "resourceLimits", .type = API_STRING_MAP,
      .text = "What it holds: `cpu`, `memory`, `disk`." },
    { .name = "network", .type = API_STRING, .values = VALUES{ "nat", "none", NULL },
      .text = "What it reaches." },
    IDLE,
    { .name = "identity", .type = API_OBJECT, .is_nullable = true, .fields = identity_fields,
      .text = "What the agent in the guest did of what a restored or forked guest needs: `done`, `due` "
              "(it has not answered yet), or `not_done` (it did not in time, cannot, or there is none). "
              "Null for a guest that was powered on." },
    { .name = "parent", .type = API_STRING, .text = "The sandbox that it was forked from." },
    { .name = "checkpoint", .type = API_STRING,
      .text = "The checkpoint or template that it came from, or that was taken of it last." },
    { .name = "times", .type = API_OBJECT,
      .text = "Where the time of its last restore went, from the call on; absent after a power-on.",
      .fields = FIELDS{
          { .name = "qemu_ms", .type = API_NUMBER, .text = "Until its QEMU waited for a state." },
          { .name = "attach_ms", .type = API_NUMBER, .text = "After that: opening the disk." },
          { .name = "pages_ms", .type = API_NUMBER, .text = "At the same time: writing memory." },
          { .name = "ready_ms", .type = API_NUMBER, .text = "Until disk and memory were there." },
          { .name = "devices_ms", .type = API_NUMBER, .text = "After that: loading the devices." },
          { .name = "running_ms", .type = API_NUMBER, .text = "Until the guest's processors ran." },
          { .name = "pooled", .type = API_BOOLEAN,
            .text = "Whether its QEMU had been started in advance." },
          END } },
    END,
};

const struct api_field api_sandbox_element = { .type = API_OBJECT, .fields = api_sandbox_fields };

const struct api_field api_pagination_fields[] = {
    { .name = "page", .type = API_INTEGER, .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .text = "Most items of a page." },
    { .name = "totalItems", .type = API_INTEGER, .text = "Over all pages." },
    { .name = "totalPages", .type = API_INTEGER, .text = "Number of pages." },
    { .name = "hasNextPage", .type = API_BOOLEAN, .text = "Whether a later page has items." },
    END,
};

#define LAYOUT { .name = "layout", .type = API_STRING, .is_required = true, .min = 1, .max = 31,   \
                 .text = "As for setxkbmap, e.g. `us`, `de`, or with a variant `de(nodeadkeys)`." }

const struct api_field api_create_body[] = {
    { .name = "image", .type = API_OBJECT, .text = "What to start. Required.",
      .fields = FIELDS{
          { .name = "uri", .type = API_STRING, .is_required = true, .min = 1, .max = 255,
            .text = "Name of a guest image on this host, e.g. \"debian-xfce\"." },
          { .name = "auth", .type = API_OBJECT,
            .text = "Accepted and not used: images are local." },
          END } },
    { .name = "snapshotId", .type = API_STRING, .max = 255, .text = "Instead of an image: a checkpoint to come out of; `resourceLimits` are then its own." },
    { .name = "entrypoint", .type = API_ARRAY, .element = &string_element, .max = 64,
      .text = "Kept and shown; a desktop starts by itself." },
    { .name = "resourceLimits", .type = API_STRING_MAP, .max = 16,
      .text = "Quantities as text: `cpu` (\"2\", \"500m\"), `memory` and `disk` (\"2Gi\", "
              "\"512Mi\"). "
              "CPUs round up to 1, 2, 4, …, memory to 256 MiB, 512 MiB, 1 GiB, …" },
    { .name = "timeout", .type = API_INTEGER, .is_nullable = true, .min = 60, .max = 31536000,
      .text = "Seconds until the sandbox is deleted; null or absent: never." },
    { .name = "env", .type = API_STRING_MAP, .max = 256,
      .text = "Environment of commands in the guest." },
    { .name = "metadata", .type = API_STRING_MAP, .max = 64, .text = "Labels to find it by." },
    { .name = "recording", .type = API_BOOLEAN,
      .text = "Whether the desktop is recorded. Default: true, unless the daemon was told otherwise." },
    { .name = "platform", .type = API_OBJECT, .is_nullable = true,
      .text = "Operating system and architecture.",
      .fields = FIELDS{
          { .name = "os", .type = API_STRING, .max = 63, .text = "\"linux\"." },
          { .name = "arch", .type = API_STRING, .max = 63, .text = "\"amd64\"." },
          END } },
    { .name = "networkPolicy", .type = API_OBJECT, .is_nullable = true, 
      .text = "`defaultAction` \"deny\" means network `none`; egress rules are not supported yet." },
    { .name = "extensions", .type = API_OBJECT, .is_nullable = true,
      .text = "Opaque, but for `poolRef`: a template's id or its image, whose pool it is taken from." },
    SCREEN_SIZE,
    { .name = "keyboard", .type = API_OBJECT, .text = "The guest's keyboard. Default: us. The desktop of a guest with deskfarm-agent is given "
                                                    "this layout, and is `up` after that.",
      .fields = FIELDS{ LAYOUT, END } },
    { .name = "network", .type = API_STRING, .values = VALUES{ "nat", "none", NULL },
      .text = "`nat` reaches the outside but neither this host nor other guests. Default: `nat` "
              "where the host can "
              "give it, else `none`." },
    { .name = "boot", .type = API_STRING, .values = VALUES{ "auto", "template", "cold", NULL },
      .fallback = "\"auto\"",
      .text = "`auto`: from a template of this machine; the first of its kind waits, `Pending` with reason "
              "`Baking`, until one is baked, and is powered on when that fails. `template`: the same, but "
              "`not_ready` at once while there is none. `cold`: by power-on. The daemon's setting `boot` "
              "changes the default." },
    IDLE,
    END,
};

static const char *const snapshot_states[] = { "Creating", "Deleting", "Ready", "Failed", NULL };

const struct api_field api_snapshot_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Of the checkpoint." },
    { .name = "sandboxId", .type = API_STRING, .text = "Whose state it is." },
    { .name = "name", .type = API_STRING, .text = "As given." },
    { .name = "status", .type = API_OBJECT, .text = "Always `Ready`: it is answered when it is stored.",
      .fields = FIELDS{
          { .name = "state", .type = API_STRING, .values = snapshot_states, .text = "State." },
          { .name = "reason", .type = API_STRING, .text = "Short code of the cause." },
          { .name = "lastTransitionAt", .type = API_STRING, .text = "RFC 3339." },
          END } },
    { .name = "createdAt", .type = API_STRING, .text = "RFC 3339." },
    END,
};

const struct api_field api_snapshot_element = { .type = API_OBJECT, .fields = api_snapshot_fields };

const struct api_field api_snapshot_query[] = {
    { .name = "sandboxId", .type = API_STRING, .max = 255, .text = "Only those of this sandbox." },
    { .name = "name", .type = API_STRING, .max = 255, .text = "Only those of this name." },
    { .name = "state", .type = API_ARRAY, .max = 16, .text = "Only these states. Repeatable.",
      .element = &(const struct api_field){ .type = API_STRING, .values = snapshot_states } },
    { .name = "page", .type = API_INTEGER, .min = 1, .max = 1000000, .fallback = "1",
      .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .min = 1, .max = 200, .fallback = "20",
      .text = "Items of a page." },
    END,
};

const struct api_field api_list_query[] = {
    { .name = "state", .type = API_ARRAY, .max = 16, .text = "Only these states. Repeatable.",
      .element = &(const struct api_field){ .type = API_STRING, .values = states } },
    { .name = "metadata", .type = API_STRING_MAP, .max = 64,
      .text = "Only sandboxes with these labels: `metadata=name=value`, repeatable, or several "
              "joined by an "
              "encoded `&`." },
    { .name = "page", .type = API_INTEGER, .min = 1, .max = 1000000, .fallback = "1",
      .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .min = 1, .max = 200, .fallback = "20",
      .text = "Items of a page." },
    END,
};
