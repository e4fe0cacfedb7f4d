/* A setting is a row: its name is the flag (--name VALUE or --name=VALUE) and the key in the file
 * (name = value, # comments). Later settings win; lists grow. */
#include "daemon/config.h"

#include "base/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX 65536

enum kind { KIND_TEXT, KIND_LIST, KIND_NUMBER, KIND_SWITCH, KIND_LEVEL };

static const struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t min, max;
    const char *value, *help;
} settings[] = {
#define AT(field) offsetof(struct config, field)
    { "state-dir", KIND_TEXT, AT(state_dir), 0, 0, "DIR",
      "journal, sockets and disks (/var/lib/deskfarm as root, else $XDG_STATE_HOME/deskfarm)" },
    { "cache-dir", KIND_TEXT, AT(cache_dir), 0, 0, "DIR",
      "guest images (/var/cache/deskfarm as root, else $XDG_CACHE_HOME/deskfarm)" },
    { "listen", KIND_LIST, AT(listen), 0, 0, "ADDRESS",
      "numeric address to serve on, repeatable (127.0.0.1)" },
    { "port", KIND_NUMBER, AT(port), 0, 65535, "PORT", "TCP port, 0 for a free one (7070)" },
    { "host", KIND_LIST, AT(hosts), 0, 0, "NAME",
      "a further name that a Host header may carry, repeatable" },
    { "proxy-domain", KIND_TEXT, AT(proxy_domain), 0, 0, "DOMAIN",
      "ports of guests are PORT-ID.DOMAIN too, for a wildcard name that leads here (only .localhost)" },
    { "accel", KIND_TEXT, AT(accel), 0, 0, "NAME", "auto, kvm or tcg (auto)" },
    { "qemu", KIND_TEXT, AT(qemu), 0, 0, "PATH", "the QEMU to run (qemu-system-x86_64)" },
    { "boot", KIND_TEXT, AT(boot), 0, 0, "HOW",
      "what a create without `boot` does: auto uses templates and bakes them on first use, cold powers on (auto)" },
    { "pool", KIND_NUMBER, AT(pool), 0, 64, "N",
      "QEMUs that wait in advance per template that is in use; about 30 MiB each (1)" },
    { "linger-ms", KIND_NUMBER, AT(linger_ms), 0, 3600000, "MS",
      "how long a screen that nobody looks at stays attached (30000)" },
    { "no-recording", KIND_SWITCH, AT(no_recording), 0, 0, NULL,
      "record only sandboxes that ask for it; without it all that do not refuse" },
    { "record-days", KIND_NUMBER, AT(record_days), 0, 36500, "DAYS",
      "how long recordings are kept, 0 for ever (30)" },
    { "record-max-mib", KIND_NUMBER, AT(record_max_mib), 0, 1 << 30, "N",
      "all recordings together; the oldest go first (20480, at most a fifth of the disk)" },
    { "max-sandboxes", KIND_NUMBER, AT(max_sandboxes), 0, 100000, "N", "of all keys together (64)" },
    { "max-cpus", KIND_NUMBER, AT(max_cpus), 0, 1000000, "N", "virtual CPUs (8 per CPU of the host)" },
    { "max-memory-mib", KIND_NUMBER, AT(max_memory_mib), 0, 1 << 30, "N",
      "guest memory (90 % of the host's)" },
    { "max-disk-mib", KIND_NUMBER, AT(max_disk_mib), 0, 1 << 30, "N",
      "disks as the guests see them (unlimited)" },
    { "stop-guests", KIND_SWITCH, AT(stop_guests), 0, 0, NULL,
      "end all guests on SIGINT and SIGTERM; without it they go on and are adopted at the next start" },
    { "ui-dir", KIND_TEXT, AT(ui_dir), 0, 0, "DIR", "serve the pages from here (built in)" },
    { "log-level", KIND_LEVEL, AT(log_level), 0, 0, "LEVEL", "error, warn, info or debug (info)" },
    { "help", KIND_SWITCH, AT(show_help), 0, 0, NULL, "print this" },
    { "version", KIND_SWITCH, AT(show_version), 0, 0, NULL, "print the version" },
#undef AT
};

static char *keep(struct config *self, char *text)
{
    if (!text || self->n_strings == (int)ARRAY_LEN(self->strings)) {
        free(text);
        return NULL;
    }
    return self->strings[self->n_strings++] = text;
}

static int set_list(struct config *self, const char **list, const char *value)
{
    for (int i = 0; i < CONFIG_LIST_MAX; i++) {
        if (list[i])
            continue;
        list[i] = keep(self, strdup(value));
        return list[i] ? 0 : -ENOMEM;
    }
    return -E2BIG;
}

static int set(struct config *self, const struct setting *s, const char *value, struct error *err)
{
    void *at = (char *)self + s->offset;
    char *end;
    switch (s->kind) {
    case KIND_TEXT:
        *(const char **)at = keep(self, strdup(value));
        return *(const char **)at ? 0 : error_set(err, ERROR_CONFIG, "%s: too many settings", s->name);
    case KIND_LIST:
        if (set_list(self, at, value) < 0)
            return error_set(err, ERROR_CONFIG, "%s: given more than %d times", s->name, CONFIG_LIST_MAX);
        return 0;
    case KIND_NUMBER:
        errno = 0;
        *(int64_t *)at = strtoll(value, &end, 10);
        if (errno || end == value || *end || *(int64_t *)at < s->min || *(int64_t *)at > s->max)
            return error_set(err, ERROR_CONFIG, "%s: \"%.40s\" is no number from %lld to %lld", s->name,
                             value, (long long)s->min, (long long)s->max);
        return 0;
    case KIND_SWITCH:
        *(bool *)at = strcmp(value, "no") != 0;
        return 0;
    case KIND_LEVEL:
        if (log_level_parse(value, at) < 0)
            return error_set(err, ERROR_CONFIG, "%s: \"%.40s\" is no level", s->name, value);
        return 0;
    }
    return -EINVAL;
}

static const struct setting *find(const char *name, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (strlen(settings[i].name) == size && memcmp(settings[i].name, name, size) == 0)
            return &settings[i];
    return NULL;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]))
        text[--n] = 0;
    return text;
}

static int load_file(struct config *self, const char *path, struct error *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = fs_read(path, FILE_MAX, &text, err);
    if (r < 0)
        return r;
    char *rest = (char *)(uintptr_t)buf_str(&text), *line;
    for (int number = 1; (line = strsep(&rest, "\n")); number++) {
        line = trim(line);
        if (!*line || *line == '#')
            continue;
        char *value = strchr(line, '=');
        if (value)
            *value++ = 0;
        line = trim(line);
        const struct setting *s = find(line, strlen(line));
        if (!s || !value)
            return error_set(err, ERROR_CONFIG, "%s:%d: \"%.60s\" is no setting", path, number, line);
        r = set(self, s, trim(value), err);
        if (r < 0) {
            error_wrap(err, "%s:%d", path, number);
            return r;
        }
    }
    return 0;
}

static char *default_dir(const char *root_dir, const char *xdg, const char *home_dir)
{
    char *path = NULL;
    const char *base = getenv(xdg), *home = getenv("HOME");
    if (geteuid() == 0)
        return strdup(root_dir);
    if (base && *base == '/')
        return asprintf(&path, "%s/deskfarm", base) < 0 ? NULL : path;
    return asprintf(&path, "%s/%s/deskfarm", home ? home : "/tmp", home_dir) < 0 ? NULL : path;
}

static void set_defaults(struct config *self)
{
    *self = (struct config){ .port = 7070, .linger_ms = 30000, .pool = 1, .log_level = LOG_INFO, .accel = "auto",
                             .boot = "auto", .record_days = 30 };
    const char *cache = getenv("DESKFARM_CACHE");
    self->state_dir = keep(self, default_dir("/var/lib/deskfarm", "XDG_STATE_HOME", ".local/state"));
    self->cache_dir = keep(self, cache ? strdup(cache)
                                       : default_dir("/var/cache/deskfarm", "XDG_CACHE_HOME", ".cache"));
}

/* Calls once per flag. Returns the number of arguments used, or negative. */
static int load_flag(struct config *self, char **argv, struct error *err)
{
    const char *flag = argv[0];
    if (strncmp(flag, "--", 2) != 0)
        return error_set(err, ERROR_CONFIG, "unexpected argument \"%.60s\"; see --help", flag);
    size_t size = strcspn(flag + 2, "=");
    const char *value = flag[2 + size] ? flag + 2 + size + 1 : NULL;
    bool is_file = size == 6 && memcmp(flag + 2, "config", 6) == 0;
    const struct setting *s = find(flag + 2, size);
    if (!s && !is_file)
        return error_set(err, ERROR_CONFIG, "unknown flag %.60s; see --help", flag);
    int used = 1;
    if (s && s->kind == KIND_SWITCH && !value)
        value = "yes";
    if (!value) {
        value = argv[1];
        used = 2;
    }
    if (!value)
        return error_set(err, ERROR_CONFIG, "%.60s needs a value", flag);
    int r = is_file ? load_file(self, value, err) : set(self, s, value, err);
    return r < 0 ? r : used;
}

int config_load(struct config *ret, int argc, char **argv, struct error *err)
{
    set_defaults(ret);
    for (int i = 1; i < argc;) {
        int used = load_flag(ret, argv + i, err);
        if (used < 0) {
            config_deinit(ret);
            return used;
        }
        i += used;
    }
    return 0;
}

void config_deinit(struct config *self)
{
    for (int i = 0; i < self->n_strings; i++)
        free(self->strings[i]);
    self->n_strings = 0;
}

void config_print_help(void)
{
    printf("Usage: deskfarmd [FLAGS]\n\nServes sandboxed desktops over HTTP.\n\n"
           "  --config FILE              settings as \"name = value\" lines; flags after it win\n");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s%s%s", settings[i].name, settings[i].value ? " " : "",
                 settings[i].value ? settings[i].value : "");
        printf("  %-26s %s\n", flag, settings[i].help);
    }
}
