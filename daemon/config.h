/* The daemon's settings: one table gives the flags, the keys of the configuration file, the help text
 * and the defaults. */
#pragma once

#include "base/error.h"
#include "base/log.h"

#define CONFIG_LIST_MAX 16

struct config {
    const char *state_dir, *cache_dir, *accel, *boot, *qemu, *ui_dir, *proxy_domain;
    const char *listen[CONFIG_LIST_MAX + 1]; /* NULL-terminated; empty: 127.0.0.1 */
    const char *hosts[CONFIG_LIST_MAX + 1];
    int64_t port, linger_ms, pool, record_days, record_max_mib;
    int64_t max_sandboxes, max_cpus, max_memory_mib, max_disk_mib;
    bool no_recording, stop_guests, show_help, show_version;
    enum log_level log_level;
    char *strings[64]; /* owned copies, freed by config_deinit */
    int n_strings;
};

/* Defaults, then the file named by --config, then the flags. bad_config names the flag or line. */
int config_load(struct config *ret, int argc, char **argv, struct error *err);
void config_deinit(struct config *self);
/* Prints the flags with their defaults. */
void config_print_help(void);
