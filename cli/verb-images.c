/* images build and images import run the scripts of those names beside the recipes: of the source, or of the
 * installation. They do not speak to the daemon: images are made in the cache that the daemon reads. */
#include "cli/output.h"
#include "cli/verbs.h"

#include "base/fs.h"
#include "base/process.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { WORDS_MAX = 64 }; /* of a build */

static const struct column columns[] = {
    { "NAME", "name" },
    { "WIDTH", "width" },
    { "HEIGHT", "height" },
    { "CPUS", "cpus" },
    { "MEMORY_MIB", "memory_mib" },
    { "HASH", "hash" },
    { "DESCRIPTION", "description" },
    { NULL, NULL },
};

/* --- Scripts ---------------------------------------------------------------------------------- */

/* Whether this program lies in the build directory it was compiled in. */
static bool is_uninstalled(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    size_t n_build = strlen(DESKFARM_BUILD_DIR);
    if (n < 0)
        return false;
    path[n] = 0;
    return strncmp(path, DESKFARM_BUILD_DIR, n_build) == 0 && path[n_build] == '/';
}

/* A script in the directory that DESKFARM_IMAGES_DIR names, of the source, or of the
 * installation. */
static char *find_script(const char *name)
{
    const char *dir = getenv("DESKFARM_IMAGES_DIR");
    if (!dir || !*dir)
        dir = is_uninstalled() ? DESKFARM_SOURCE_DIR "/images" : DESKFARM_SHARE_DIR "/images";
    return fs_join(dir, name);
}

struct build {
    struct loop loop;
    bool has_ended;
    int status;
};

static void handle_exit(void *data, int status)
{
    struct build *self = data;
    self->has_ended = true;
    self->status = status;
}

/* The script has our three descriptors: it writes its own progress. Ctrl-C reaches it too, and
 * it cleans up; we only wait. */
static int run_script(struct cli *cli, const char *const *argv)
{
    struct build build = { 0 };
    struct error err = { 0 };
    struct process *process = NULL;
    static const struct process_fd fds[] = { { 0, 0 }, { 1, 1 }, { 2, 2 } };
    struct process_spec spec = {
        .argv = argv, .envp = (const char *const *)environ, .fds = fds, .n_fds = 3
    };
    fflush(stdout);
    signal(SIGINT, SIG_IGN);
    loop_init(&build.loop);
    int r = process_spawn(&process, &build.loop, &spec, handle_exit, &build, &err);
    while (r == 0 && !build.has_ended)
        loop_turn(&build.loop, true);
    process_free(process);
    loop_deinit(&build.loop);
    if (r < 0)
        return cli_fail_error(cli, CLI_FAILED, &err);
    if (WIFEXITED(build.status))
        return WEXITSTATUS(build.status) == 0   ? CLI_OK
               : WEXITSTATUS(build.status) == 2 ? CLI_USAGE
                                                : CLI_FAILED;
    char text[64];
    process_status_text(build.status, text, sizeof text);
    return cli_fail(cli, CLI_FAILED, "build_failed", "%s ended with %s", argv[0], text);
}

static int fail_without_script(struct cli *cli, const char *script)
{
    return cli_fail(cli, CLI_FAILED, "not_found", "%s is not there; set DESKFARM_IMAGES_DIR to the recipes' directory",
                    script ? script : "images/");
}

/* --- Building --------------------------------------------------------------------------------- */

/* A recipe that runs a daemon of its own takes the one that was built with this program. */
static void name_build(void)
{
    if (is_uninstalled())
        setenv("DESKFARM_BUILD", DESKFARM_BUILD_DIR, false);
}

static int run_build(struct cli *cli, struct request *request)
{
    const json_t *words = json_object_get(request->own, "words");
    const char *cache = request_own(request, "cache");
    if (json_array_size(words) == 0)
        return cli_fail(cli, CLI_USAGE, "missing_field",
                        "name one image: deskfarm images build NAME");
    auto_free char *script = find_script("build");
    const char *argv[WORDS_MAX + 4] = { script };
    size_t n = 1;
    if (json_array_size(words) > WORDS_MAX)
        return cli_fail(cli, CLI_USAGE, "bad_value", "more than %d words", WORDS_MAX);
    for (size_t i = 0; i < json_array_size(words); i++)
        argv[n++] = json_string_value(json_array_get(words, i));
    if (cache) {
        argv[n++] = "--cache";
        argv[n++] = cache;
    }
    if (!script || access(script, X_OK) < 0)
        return fail_without_script(cli, script);
    name_build();
    return run_script(cli, argv);
}

static const struct flag build_flags[] = {
    { .name = "cache", .value = "DIR", .text = "The image cache; default: as for deskfarmd." },
    { .name = NULL },
};

/* --- Importing -------------------------------------------------------------------------------- */

static const struct flag import_flags[] = {
    { .name = "name", .value = "NAME", .text = "What the image is called." },
    { .name = "format", .value = "FORMAT", .text = "qcow2, raw, vmdk, vdi, vhdx, vhd or iso; default: what its first bytes say." },
    { .name = "profile", .value = "PROFILE", .text = "Kind of machine: generic (default), linux or windows." },
    { .name = "firmware", .value = "FIRMWARE", .text = "bios, uefi or secure; default: the profile's." },
    { .name = "disk-gib", .value = "N", .text = "Size of the guest's disk; default: the file's own, beside an ISO 32, of windows 64." },
    { .name = "memory-mib", .value = "N", .text = "Default memory (2048)." },
    { .name = "cpus", .value = "N", .text = "Default number of processors (2)." },
    { .name = "width", .value = "PIXELS", .text = "Default width of the screen (1280)." },
    { .name = "height", .value = "PIXELS", .text = "Default height (800)." },
    { .name = "agent", .value = "AGENT", .text = "deskfarm, qemu, none, or any (default): what answers in the guest." },
    { .name = "disk-bus", .value = "BUS", .text = "virtio, ahci or nvme; default: the profile's, as for the next." },
    { .name = "display", .value = "DISPLAY", .text = "virtio or vga." },
    { .name = "input", .value = "INPUT", .text = "virtio or usb." },
    { .name = "network-card", .value = "CARD", .text = "virtio or e1000e." },
    { .name = "tpm", .value = "true|false", .text = "Whether it has a TPM 2.0." },
    { .name = "cache", .value = "DIR", .text = "The image cache; default: as for deskfarmd." },
    { .name = NULL },
};

/* The script knows what each may be. */
static int run_import(struct cli *cli, struct request *request)
{
    const json_t *words = json_object_get(request->own, "words");
    const char *argv[2 + 2 * ARRAY_LEN(import_flags) + 1] = { NULL };
    auto_free char *script = find_script("import");
    auto_buf struct buf options = BUF_INIT;
    size_t n = 2;
    if (json_array_size(words) != 1 || !request_own(request, "name"))
        return cli_fail(cli, CLI_USAGE, "missing_field", "name one file: deskfarm images import FILE --name NAME");
    if (!script || access(script, X_OK) < 0)
        return fail_without_script(cli, script);
    argv[0] = script;
    argv[1] = json_string_value(json_array_get(words, 0));
    for (size_t i = 0; import_flags[i].name; i++)
        buf_printf(&options, "--%s%c", import_flags[i].name, 0);
    const char *option = buf_str(&options);
    for (size_t i = 0; import_flags[i].name && !options.failed; option += strlen(option) + 1, i++) {
        const char *value = request_own(request, import_flags[i].name);
        if (!value)
            continue;
        argv[n++] = option;
        argv[n++] = value;
    }
    return run_script(cli, argv);
}

const struct verb verb_images_list = {
    .name = "images list",
    .usage = "",
    .operation = "images",
    .columns = columns,
};

const struct verb verb_images_build = {
    .name = "images build",
    .usage = "NAME [OPTION…]",
    .take = request_take_rest,
    .flags = build_flags,
    .run = run_build,
    .summary = "Builds a guest image into the cache.",
    .text = "Runs on this host, not through the daemon. Prints the image's directory; the steps\n"
            "go to standard error. An image that is there already costs nothing.\n"
            "What follows NAME is the recipe's: `deskfarm images build windows --help`.\n"
            "DESKFARM_IMAGES_DIR names another directory of recipes.\n",
};

const struct verb verb_images_import = {
    .name = "images import",
    .usage = "FILE --name NAME",
    .take = request_take_words,
    .flags = import_flags,
    .run = run_import,
    .summary = "Makes a guest image of a disk or of an ISO.",
    .text = "A disk (qcow2, raw, vmdk, vdi, vhdx, vhd) is copied into the image. An ISO becomes its CD-ROM, beside\n"
            "a disk that begins empty: what an installer needs. What kind of file it is, its first bytes\n"
            "say, or --format; a raw disk without a boot sector needs --format raw. A file that is cut\n"
            "or that names other files (a snapshot, a description of extents) is refused.\n"
            "\n"
            "Runs on this host, not through the daemon. Prints the image's directory; the steps go to\n"
            "standard error. The same file with the same options costs nothing a second time.\n",
};
