/* The verbs, one file each. */
#pragma once

#include "cli/cli.h"

extern const struct verb verb_create, verb_list, verb_get, verb_shot, verb_act, verb_wait,
    verb_display, verb_exec, verb_cp, verb_port, verb_ssh, verb_pause,
    verb_resume, verb_metadata, verb_fork, verb_checkpoint, verb_checkpoint_list, verb_checkpoint_rm,
    verb_checkpoint_export, verb_checkpoint_import, verb_hibernate, verb_wake, verb_templates_pool,
    verb_restore, verb_tree, verb_templates_list, verb_templates_bake, verb_templates_rm, verb_rm, verb_renew, verb_keys_add, verb_keys_list, verb_keys_rm, verb_info,
    verb_images_list, verb_images_build, verb_images_import, verb_drain, verb_mcp, verb_api, verb_help;
extern const struct verb verb_recordings, verb_export, verb_rerun;

/* All of them in the order of the overview, NULL-terminated. */
extern const struct verb *const verbs[];

/* The verb that argv begins with and, in ret_used, how many words its name has; NULL: none. */
const struct verb *verb_find(int argc, char *const *argv, int *ret_used);
