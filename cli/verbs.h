/* The verbs, one file each. */
#pragma once

#include "cli/cli.h"

extern const struct verb verb_create, verb_list, verb_get, verb_shot, verb_act, verb_wait,
    verb_display, verb_rm, verb_renew, verb_keys_add, verb_keys_list, verb_keys_rm, verb_info,
    verb_images_list, verb_images_build, verb_drain, verb_api, verb_help;

/* All of them in the order of the overview, NULL-terminated. */
extern const struct verb *const verbs[];

/* The verb that argv begins with and, in ret_used, how many words its name has; NULL: none. */
const struct verb *verb_find(int argc, char *const *argv, int *ret_used);
