#include "cli/verbs.h"

#include <string.h>

const struct verb verb_help = {
    .name = "help",
    .usage = "[VERB]",
    .take = request_take_words,
    .summary = "Describes a verb, or all of them.",
};

const struct verb *const verbs[] = {
    &verb_create,
    &verb_list,
    &verb_get,
    &verb_shot,
    &verb_act,
    &verb_wait,
    &verb_display,
    &verb_exec,
    &verb_cp,
    &verb_port,
    &verb_ssh,
    &verb_rm,
    &verb_renew,
    &verb_pause,
    &verb_resume,
    &verb_hibernate,
    &verb_wake,
    &verb_metadata,
    &verb_fork,
    &verb_checkpoint_list,
    &verb_checkpoint_rm,
    &verb_checkpoint_export,
    &verb_checkpoint_import,
    &verb_checkpoint, /* after those whose names are longer */
    &verb_restore,
    &verb_tree,
    &verb_templates_list,
    &verb_templates_bake,
    &verb_templates_rm,
    &verb_templates_pool,
    &verb_recordings,
    &verb_export,
    &verb_rerun,
    &verb_keys_add,
    &verb_keys_list,
    &verb_keys_rm,
    &verb_images_list,
    &verb_images_build,
    &verb_images_import,
    &verb_info,
    &verb_drain,
    &verb_mcp,
    &verb_api,
    &verb_help,
    NULL,
};

/* How many of the words of name argv begins with; 0 unless all. */
static int match(const char *name, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        size_t n = strcspn(name, " ");
        if (strlen(argv[i]) != n || memcmp(argv[i], name, n) != 0)
            return 0;
        if (!name[n])
            return i + 1;
        name += n + 1;
    }
    return 0;
}

const struct verb *verb_find(int argc, char *const *argv, int *ret_used)
{
    for (size_t i = 0; verbs[i]; i++) {
        *ret_used = match(verbs[i]->name, argc, argv);
        if (*ret_used)
            return verbs[i];
    }
    return NULL;
}
