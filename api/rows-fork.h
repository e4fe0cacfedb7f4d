/* Rows of templates, checkpoints and forks. Not a header: a part of the table in api/table.c. */

#define WAIT_FOR { .name = "wait", .type = API_STRING, .values = VALUES{ "running", "identity", NULL }, \
        .fallback = "\"running\"",                                                                 \
        .text = "When to answer: when all run, or when their agents have also set clock and host name " \
                "and taken fresh randomness, at most a second later." }

    [API_SANDBOX_FORK] = {
        .name = "sandbox_fork", .method = "POST", .path = "/v1/sandboxes/{id}/fork",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT, .status = 201, .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "count", .type = API_INTEGER, .min = 1, .max = 64, .fallback = "1",
              .text = "How many." },
            { .name = "timeout", .type = API_INTEGER, .max = 31536000,
              .text = "Lease of each in seconds; 0 or absent: none." },
            { .name = "metadata", .type = API_STRING_MAP, .max = 64,
              .text = "Labels of each. Default: those of the sandbox." },
            IDLE,
            WAIT_FOR,
            END },
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &api_sandbox_element, .text = "The forks." },
            { .name = "pause_ms", .type = API_NUMBER,
              .text = "How long the sandbox stood still: devices, disk and pages." },
            { .name = "devices_ms", .type = API_NUMBER, .text = "Of that, devices and disk." },
            { .name = "copy_ms", .type = API_NUMBER, .text = "Of that, pages." },
            { .name = "dirty_bytes", .type = API_INTEGER,
              .text = "Memory that is the sandbox's own and was copied." },
            { .name = "total_ms", .type = API_NUMBER, .text = "Until all forks ran." },
            END },
        .summary = "Forks a running sandbox: memory, devices and disk as they are now.",
        .text = "Answers when all forks run. The sandbox goes on after a short pause. A fork is a "
                "sandbox like any other and can be forked again. It has a network of its own and keeps "
                "its address; connections of the moment are lost in it. An agent in the guest sets its "
                "clock and host name and gives it fresh randomness before the network opens; without "
                "one those three stay as they were, and `identity` says so. When one fork fails, none "
                "is made.",
    },
    [API_SANDBOX_CHECKPOINT] = {
        .name = "sandbox_checkpoint", .method = "POST", .path = "/v1/sandboxes/{id}/checkpoints",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT, .status = 201, .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "name", .type = API_STRING, .max = 63, .text = "For readers; need not be unique." },
            { .name = "freeze", .type = API_BOOLEAN, .fallback = "false",
              .text = "Whether the guest's agent holds its file systems still meanwhile, so that its disk is "
                      "whole without its memory. Where that fails the checkpoint is taken all the same, and "
                      "`freeze_error` says why." },
            END },
        .result = checkpoint_fields,
        .summary = "Keeps what a sandbox is now, to go back to or to fork from.",
        .text = "Answers when it is on disk. A checkpoint that fails leaves the sandbox running and the "
                "others whole.",
    },
    [API_SANDBOX_CHECKPOINTS] = {
        .name = "sandbox_checkpoints", .method = "GET", .path = "/v1/sandboxes/{id}/checkpoints",
        .role = API_ROLE_VIEWER, .flags = API_ASLEEP, .status = 200, .path_fields = sandbox_path,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &checkpoint_element, .text = "Oldest first." },
            END },
        .summary = "The checkpoints that were taken of a sandbox.",
    },
    [API_SANDBOX_RESTORE] = {
        .name = "sandbox_restore", .method = "POST", .path = "/v1/sandboxes/{id}/restore",
        .role = API_ROLE_OPERATOR, .flags = API_ASLEEP, .status = 200, .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "checkpoint", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
              .text = "Its id; of this sandbox or of another of the same machine." },
            END },
        .result = api_sandbox_fields,
        .summary = "Puts a sandbox back to what it was at a checkpoint.",
        .text = "Answers when it runs again. What it did since is lost, unless a checkpoint or a fork "
                "holds it. Works also for a sandbox whose guest has ended.",
    },
    [API_CHECKPOINT_LIST] = {
        .name = "checkpoint_list", .method = "GET", .path = "/v1/checkpoints",
        .role = API_ROLE_VIEWER, .status = 200,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &checkpoint_element, .text = "Oldest first." },
            END },
        .summary = "All checkpoints that the key may see.",
    },
    [API_CHECKPOINT_GET] = {
        .name = "checkpoint_get", .method = "GET", .path = "/v1/checkpoints/{id}",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = checkpoint_path,
        .result = checkpoint_fields,
        .summary = "One checkpoint.",
    },
    [API_CHECKPOINT_CREATE] = {
        .name = "checkpoint_create", .method = "POST", .path = "/v1/checkpoints/{id}/sandboxes",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT, .status = 202, .path_fields = checkpoint_path,
        .body = FIELDS{
            { .name = "timeout", .type = API_INTEGER, .max = 31536000,
              .text = "Lease in seconds; 0 or absent: none." },
            { .name = "metadata", .type = API_STRING_MAP, .max = 64, .text = "Labels." },
            IDLE,
            END },
        .result = api_sandbox_fields,
        .summary = "Creates a sandbox out of a checkpoint or a template.",
        .text = "Answers at once, as `sandbox_create` does.",
    },
    [API_CHECKPOINT_FORK] = {
        .name = "checkpoint_fork", .method = "POST", .path = "/v1/checkpoints/{id}/fork",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT, .status = 201, .path_fields = checkpoint_path,
        .body = FIELDS{
            { .name = "count", .type = API_INTEGER, .min = 1, .max = 64, .fallback = "1",
              .text = "How many." },
            { .name = "timeout", .type = API_INTEGER, .max = 31536000,
              .text = "Lease of each in seconds; 0 or absent: none." },
            { .name = "metadata", .type = API_STRING_MAP, .max = 64, .text = "Labels of each." },
            IDLE,
            WAIT_FOR,
            END },
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &api_sandbox_element, .text = "The sandboxes." },
            { .name = "total_ms", .type = API_NUMBER, .text = "Until all ran." },
            END },
        .summary = "Creates sandboxes out of a checkpoint or a template, and answers when all run.",
        .text = "When one fails, none is made.",
    },
    [API_CHECKPOINT_EXPORT] = {
        .name = "checkpoint_export", .method = "GET", .path = "/v1/checkpoints/{id}/export",
        .role = API_ROLE_OPERATOR, .flags = API_BYTES, .status = 200, .path_fields = checkpoint_path,
        .query = FIELDS{
            { .name = "image", .type = API_BOOLEAN, .fallback = "true",
              .text = "Whether the image's files go along. Without them the file is smaller, and only a "
                      "host that has the very same build of the image takes it." },
            END },
        .summary = "A checkpoint or a template as one file.",
        .text = "An archive that `tar --zstd` reads: RAM, device state, disk layers, and what they are of. "
                "It holds the guest's memory, secrets included. It is made whole before it is sent.",
    },
    [API_CHECKPOINT_IMPORT] = {
        .name = "checkpoint_import", .method = "POST", .path = "/v1/checkpoints",
        .role = API_ROLE_OPERATOR, .flags = API_PIECES, .status = 201, .takes = "application/zstd",
        .query = FIELDS{
            { .name = "name", .type = API_STRING, .max = 63, .text = "Its name here. Default: as exported." },
            END },
        .result = checkpoint_fields,
        .summary = "Takes a file that `checkpoint_export` made.",
        .text = "`conflict` when it is of another version of QEMU, another accelerator, under KVM another "
                "processor, or of another build of an image that this host has; `unknown_image` when the "
                "image is neither here nor in the file; `bad_value` when the file is cut or damaged. Only an "
                "admin may import a template. It gets an id of its own.",
    },
    [API_CHECKPOINT_DELETE] = {
        .name = "checkpoint_delete", .method = "DELETE", .path = "/v1/checkpoints/{id}",
        .role = API_ROLE_OPERATOR, .status = 204, .path_fields = checkpoint_path,
        .summary = "Deletes a checkpoint, or as admin a template.",
        .text = "What sandboxes and other checkpoints still need of it stays until they are gone.",
    },
    [API_TEMPLATE_LIST] = {
        .name = "template_list", .method = "GET", .path = "/v1/templates",
        .role = API_ROLE_VIEWER, .status = 200,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &checkpoint_element, .text = "Oldest first." },
            END },
        .summary = "The templates that sandboxes are made from.",
    },
    [API_TEMPLATE_BAKE] = {
        .name = "template_bake", .method = "POST", .path = "/v1/templates",
        .role = API_ROLE_ADMIN, .status = 201, .body = bake_fields, .result = checkpoint_fields,
        .summary = "Bakes a template from an image.",
        .text = "Starts a guest of that machine, waits until its desktop is up and stands still, and "
                "keeps it. From then on `sandbox_create` restores it for every request of the same "
                "image, sizes and network, unless `boot` is `cold`. Answers when it is stored, which "
                "takes as long as the guest boots; at once when there is one already.",
    },
    [API_TEMPLATE_SET] = {
        .name = "template_set", .method = "PATCH", .path = "/v1/templates/{id}",
        .role = API_ROLE_ADMIN, .status = 200, .path_fields = checkpoint_path,
        .body = FIELDS{
            { .name = "pool", .type = API_INTEGER, .is_nullable = true, .max = 64,
              .text = "QEMUs that wait in advance for sandboxes of this template, from now on; null: as many "
                      "as the daemon's setting says, once the template is used." },
            END },
        .result = checkpoint_fields,
        .summary = "Changes how many QEMUs wait for sandboxes of a template.",
    },
    [API_TREE] = {
        .name = "tree", .method = "GET", .path = "/v1/tree",
        .role = API_ROLE_VIEWER, .status = 200,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &tree_element, .text = "All of them." },
            END },
        .summary = "Sandboxes, checkpoints and templates, and what each came from.",
    },
