/* images build runs the build script of the recipes beside the source, or of the installed ones.
 * It is the one verb that does not speak to the daemon: images are built into the cache that the
 * daemon reads. */
#include "cli/output.h"
#include "cli/verbs.h"

#include "base/fs.h"
#include "base/process.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

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

/* --- Building --------------------------------------------------------------------------------- */

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

/* The script in the directory that DESKFARM_IMAGES_DIR names, of the source, or of the
 * installation. */
static char *find_script(void)
{
    const char *dir = getenv("DESKFARM_IMAGES_DIR");
    if (!dir || !*dir)
        dir = is_uninstalled() ? DESKFARM_SOURCE_DIR "/images" : DESKFARM_SHARE_DIR "/images";
    return fs_join(dir, "build");
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

static int run_build(struct cli *cli, struct request *request)
{
    const json_t *words = json_object_get(request->own, "words");
    const char *cache = request_own(request, "cache");
    if (json_array_size(words) != 1)
        return cli_fail(cli, CLI_USAGE, "missing_field",
                        "name one image: deskfarm images build NAME");
    auto_free char *script = find_script();
    const char *argv[] = { script, json_string_value(json_array_get(words, 0)),
                           cache ? "--cache" : NULL, cache, NULL };
    if (!script || access(script, X_OK) < 0)
        return cli_fail(cli, CLI_FAILED, "not_found",
                        "%s is not there; set DESKFARM_IMAGES_DIR to the recipes' directory",
                        script ? script : "images/build");
    return run_script(cli, argv);
}

static const struct flag build_flags[] = {
    { .name = "cache", .value = "DIR", .text = "The image cache; default: as for deskfarmd." },
    { .name = NULL },
};

const struct verb verb_images_list = {
    .name = "images list",
    .usage = "",
    .operation = "images",
    .columns = columns,
};

const struct verb verb_images_build = {
    .name = "images build",
    .usage = "NAME",
    .take = request_take_words,
    .flags = build_flags,
    .run = run_build,
    .summary = "Builds a guest image into the cache.",
    .text = "Runs on this host, not through the daemon. Prints the image's directory; the steps\n"
            "go to standard error. An image that is there already costs nothing.\n"
            "DESKFARM_IMAGES_DIR names another directory of recipes.\n",
};
