/* SSH over a tunnel, without a password, a port or a question. A key pair of ours in the
 * configuration directory; its public half goes into the guest by a command, and the guest's host
 * key comes back by another, so both ends are known before the first byte of SSH. */
#include "cli/remote.h"
#include "cli/verbs.h"

#include "base/fs.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGIN "user"
#define KEY_BYTES_MAX 4096

static const char put_key[] =
    "umask 077; mkdir -p ~/.ssh && touch ~/.ssh/authorized_keys && cd ~/.ssh && "
    "{ grep -qxF \"$1\" authorized_keys || printf '%s\\n' \"$1\" >>authorized_keys; }";
static const char get_host_key[] =
    "f=/etc/ssh/ssh_host_ed25519_key; "
    "[ -e $f.pub ] || systemctl start ssh-host-key 2>/dev/null || ssh-keygen -q -A; cat $f.pub";

struct session {
    struct cli *cli;
    const char *id, *login;
    char *key, *known_hosts, *proxy;
    struct buf heard; /* what a command in the guest said */
};

/* Runs a program to its end; its output goes to our stderr. */
static int run_program(const char *const *argv)
{
    extern char **environ;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    int r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? 0 : -ECHILD;
}

static int make_key(struct session *self, const char *dir)
{
    struct error err = { 0 };
    auto_free char *hosts = fs_join(dir, "hosts");
    auto_free char *public = NULL;
    self->key = fs_join(dir, "ssh_key");
    self->known_hosts = fs_join(hosts, self->id);
    if (fs_mkdirs(hosts, 0700, &err) < 0)
        return cli_fail_error(self->cli, CLI_FAILED, &err);
    if (asprintf(&public, "%s.pub", self->key) < 0)
        return cli_fail(self->cli, CLI_FAILED, "internal", "out of memory");
    const char *argv[] = { "ssh-keygen", "-q",       "-t", "ed25519", "-N", "",
                           "-C",         "deskfarm", "-f", self->key, NULL };
    if (access(public, R_OK) == 0 || run_program(argv) == 0)
        return CLI_OK;
    return cli_fail(self->cli, CLI_FAILED, "internal",
                    "making a key: ssh-keygen of OpenSSH is needed");
}

static int hear(void *data, int stream, const uint8_t *bytes, size_t size)
{
    struct session *self = data;
    if (stream != 1)
        return write(STDERR_FILENO, bytes, size) < 0 ? -1 : 0;
    return buf_append(&self->heard, bytes, size);
}

static int run_inside(struct session *self, const char *user, const char *script, const char *word)
{
    struct remote_end end;
    struct remote_io io = { .stdin_fd = -1, .fn = hear, .data = self };
    const char *argv[] = { "sh", "-c", script, "sh", word, NULL };
    self->heard.size = 0;
    int status = remote_run_argv(self->cli, self->id, user, argv, &io, &end);
    if (status != CLI_OK)
        return status;
    if (!end.has_exit)
        return cli_fail(self->cli, CLI_FAILED, end.code, "%s", end.message);
    if (end.exit != 0)
        return cli_fail(self->cli, CLI_FAILED, "unsupported",
                        "preparing SSH in the guest ended with %d", end.exit);
    return CLI_OK;
}

static int exchange_keys(struct session *self)
{
    struct error err = { 0 };
    auto_free char *path = NULL;
    auto_buf struct buf public = BUF_INIT, known = BUF_INIT;
    if (asprintf(&path, "%s.pub", self->key) < 0 || fs_read(path, KEY_BYTES_MAX, &public, &err) < 0)
        return cli_fail_error(self->cli, CLI_FAILED, &err);
    char *key = (char *)(uintptr_t)buf_str(&public);
    key[strcspn(key, "\r\n")] = 0;
    int status = run_inside(self, self->login, put_key, key);
    if (status == CLI_OK)
        status = run_inside(self, NULL, get_host_key, "");
    if (status != CLI_OK)
        return status;
    /* One line of a guest: anything but a key would make other lines of it. */
    char type[64], base64[512];
    if (sscanf(buf_str(&self->heard), "%63[a-z0-9-] %511[A-Za-z0-9+/=]", type, base64) != 2)
        return cli_fail(self->cli, CLI_FAILED, "unsupported", "the guest has no SSH host key");
    buf_printf(&known, "%s %s %s\n", self->id, type, base64);
    if (fs_write_atomic(self->known_hosts, known.data, known.size, 0600, &err) < 0)
        return cli_fail_error(self->cli, CLI_FAILED, &err);
    return CLI_OK;
}

/* ssh gives the line to a shell. */
static void append_quoted(struct buf *out, const char *text)
{
    buf_puts(out, "'");
    for (; *text; text++) {
        if (*text == '\'')
            buf_puts(out, "'\\''");
        else
            buf_append(out, text, 1);
    }
    buf_puts(out, "'");
}

/* The daemon is named, its key is not: that stays in the environment or its file. */
static void write_proxy(struct session *self)
{
    char program[4096];
    auto_buf struct buf line = BUF_INIT;
    const struct cli *cli = self->cli;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[MAX(n, 0)] = 0;
    append_quoted(&line, n > 0 ? program : "deskfarm");
    buf_puts(&line, " --url ");
    auto_buf struct buf url = BUF_INIT;
    buf_printf(&url, "%s%s", cli->url ? "" : "unix:", cli->url ? cli->url : cli->socket_path);
    append_quoted(&line, buf_str(&url));
    buf_printf(&line, " port --stdio %s 22", self->id);
    self->proxy = strdup(buf_str(&line));
}

static void print_config(const struct session *self)
{
    printf("Host %s\n"
           "    User %s\n"
           "    ProxyCommand %s\n"
           "    IdentityFile \"%s\"\n"
           "    IdentitiesOnly yes\n"
           "    HostKeyAlias %s\n"
           "    UserKnownHostsFile \"%s\"\n"
           "    StrictHostKeyChecking yes\n",
           self->id, self->login, self->proxy, self->key, self->id, self->known_hosts);
}

static char *option(const char *name, const char *value)
{
    char *text = NULL;
    return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

/* Becomes ssh. */
static int run_ssh(const struct session *self, const json_t *words)
{
    size_t n = 0, i;
    json_t *word;
    const char **argv = calloc(24 + json_array_size(words), sizeof *argv);
    if (!argv)
        return cli_fail(self->cli, CLI_FAILED, "internal", "out of memory");
    const char *options[] = { option("ProxyCommand", self->proxy), option("HostKeyAlias", self->id),
                              option("UserKnownHostsFile", self->known_hosts),
                              "StrictHostKeyChecking=yes", "IdentitiesOnly=yes" };
    argv[n++] = "ssh";
    for (i = 0; i < ARRAY_LEN(options); i++) {
        argv[n++] = "-o";
        argv[n++] = options[i];
    }
    argv[n++] = "-i";
    argv[n++] = self->key;
    argv[n++] = "-l";
    argv[n++] = self->login;
    argv[n++] = self->id;
    json_array_foreach (words, i, word)
        argv[n++] = json_string_value(word);
    if (self->cli->key)
        setenv("DESKFARM_API_KEY", self->cli->key, 1);
    execvp("ssh", (char *const *)(uintptr_t)argv);
    free(argv);
    return cli_fail(self->cli, CLI_FAILED, "internal", "starting ssh: %s", strerror(errno));
}

static int run(struct cli *cli, struct request *request)
{
    int status = cli_complete_id(cli, request);
    if (status != CLI_OK)
        return status;
    struct session self = {
        .cli = cli,
        .id = json_get_string(request->path, "id", ""),
        .login = json_get_string(request->body, "user", LOGIN),
        .heard = { .limit = KEY_BYTES_MAX },
    };
    auto_free char *dir = cli_config_dir();
    status = dir ? make_key(&self, dir) : CLI_FAILED;
    if (status == CLI_OK)
        status = exchange_keys(&self);
    if (status == CLI_OK) {
        write_proxy(&self);
        if (request_own(request, "config"))
            print_config(&self);
        else
            status = run_ssh(&self, json_object_get(request->own, "words"));
    }
    free(self.key);
    free(self.known_hosts);
    free(self.proxy);
    buf_deinit(&self.heard);
    return status;
}

static const char *const operands[] = { "id", NULL };
static const char *const hidden[] = { "argv",     "command",    "cwd", "env",
                                      "terminal", "timeout_ms", NULL };

static const struct flag flags[] = {
    { .name = "user", .letter = 'u', .field = "user", .text = "Login. Default: user." },
    { .name = "config", .text = "Print a Host block for ssh_config(5) instead of connecting." },
    { .name = NULL },
};

const struct verb verb_ssh = {
    .name = "ssh",
    .usage = "ID [--] [SSH-ARGUMENT…]",
    .operation = "exec",
    .operands = operands,
    .take = request_take_rest,
    .hidden = hidden,
    .flags = flags,
    .run = run,
    .summary = "Logs in to a guest by SSH.",
    .text =
        "The guest needs an SSH server, the host OpenSSH's client. A key pair in\n"
        "$XDG_CONFIG_HOME/deskfarm is made when there is none, and its public half is put into\n"
        "the guest; the guest's host key is fetched from it. What follows the id is ssh's:\n"
        "`deskfarm ssh ID -- -L 8080:localhost:80`, `deskfarm ssh ID ls -l`. With --config, scp,\n"
        "rsync and editors find the guest by its id.\n",
};
