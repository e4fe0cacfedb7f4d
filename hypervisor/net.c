/* One jailed chain per guest:
 *
 *   bwrap → pasta → (new network namespace) deskfarm-netns → passt, on a connection to QEMU
 *
 * pasta is process 1 of a PID namespace, so killing it ends all of them; passt's end ends pasta.
 * One pid stands for the whole chain. pasta needs /dev/net/tun and, as root, must not be root (it
 * would become nobody): as root it gets the guest's uid, and when that uid may not open the host's
 * device node, a node of its own in the guest's directory.
 *
 * Closing is done by policy rules inside the namespace, see netns-run.c. A frame that the guest's
 * root sends to 127.0.0.1 ends in the namespace's own loopback; one to the host's address too,
 * because pasta copies that address into the namespace. All others are rules. */
#define LOG_MODULE "net"
#include "hypervisor/net.h"

#include "hypervisor/guest-files.h"
#include "hypervisor/jailed.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TUN "/dev/net/tun"
#define TUN_NAME "tun" /* in the guest's directory */
#define PASST "/usr/bin/passt"
#define PASTA "/usr/bin/pasta"
#define HELPER "/usr/bin/deskfarm-netns" /* inside the jail */
#define NET_FD_PASST 3 /* numbers in the chain */
#define NET_FD_RESOLV 4
#define WORDS_BYTES 16384
#define FILE_BYTES (16 << 20)
#define BACK_OFF_FIRST_US 100000
#define BACK_OFF_MAX_US 30000000
#define STEADY_US 10000000 /* a chain that ran this long starts anew without back-off */

#define DNS_ADDRESS "10.0.2.3"

struct net {
    struct loop *loop;
    char *dir;
    uid_t uid;
    enum net_egress egress;
    struct jailed *chain; /* NULL between two tries */
    struct timer *timer;  /* the next try */
    int64_t back_off_us, started_us;
    int words_fd;
    bool is_stopped;
    const char *restart_why; /* we ended the chain ourselves; static text */
    net_change_fn on_change;
    void *data;
};

/* Closed for every guest. */
static const char *const always_closed[] = {
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
};
/* Closed unless the policy is "all". */
static const char *const private_ranges[] = {
    "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16",
};

int net_egress_parse(const char *name, enum net_egress *ret, struct error *err)
{
    if (strcmp(name, "public") == 0)
        *ret = NET_EGRESS_PUBLIC;
    else if (strcmp(name, "all") == 0)
        *ret = NET_EGRESS_ALL;
    else
        return error_set(err, ERROR_BAD_VALUE, "egress \"%s\" is neither public nor all", name);
    return 0;
}

/* --- What is needed -------------------------------------------------------------------------- */

static int check_tun(struct error *err)
{
    auto_fd int fd = open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "%s does not open (%s): load the module tun, or let "
                     "the daemon's user open it", TUN, strerror(errno));
}

int net_check(struct error *err)
{
    static const char *const programs[] = { PASTA, PASST, "/usr/bin/bwrap" };
    char helper[4096];
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (access(programs[i], X_OK) < 0)
            return error_set(err, ERROR_UNSUPPORTED, "there is no %s (Debian packages passt and "
                             "bubblewrap)", programs[i]);
    if (process_find_helper("hypervisor", "deskfarm-netns", helper) < 0)
        return error_set(err, ERROR_UNSUPPORTED, "deskfarm-netns is not where it was installed");
    return check_tun(err);
}

/* A device node that the jail's uid may open: *ret is its path, NULL when the host's will do. */
static int prepare_tun(const struct net *self, char **ret, struct error *err)
{
    struct stat st;
    *ret = NULL;
    if (self->uid == 0 || (stat(TUN, &st) == 0 && (st.st_mode & 0006) == 0006))
        return 0;
    auto_free char *path = fs_join(self->dir, TUN_NAME);
    if (!path)
        return error_errno(err, ENOMEM, "creating a device node for the guest's network");
    unlink(path);
    if (mknod(path, S_IFCHR | 0600, makedev(10, 200)) < 0 || chown(path, self->uid, self->uid) < 0)
        return error_errno(err, errno, "creating a device node for the guest's network");
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, ERROR_UNSUPPORTED, "a device node in %s does not open (%s): is the "
                         "file system mounted nodev? make " TUN " open to all (0666)", self->dir,
                         strerror(errno));
    *ret = steal_ptr(&path);
    return 0;
}

/* --- The chain's arguments ------------------------------------------------------------------- */

static void close_range_text(struct argv *out, const char *range)
{
    argv_addf(out, "closed=%s", range);
}

static struct in_addr address_of(const struct sockaddr *sockaddr)
{
    struct sockaddr_in in;
    memcpy(&in, sockaddr, sizeof in);
    return in.sin_addr;
}

/* Every IPv4 address of the host, and with the policy public the subnets that they are in. */
static void close_host(struct argv *out, enum net_egress egress)
{
    struct ifaddrs *all, *it;
    if (getifaddrs(&all) < 0) {
        out->failed = true; /* better no network than an open one */
        return;
    }
    for (it = all; it; it = it->ifa_next) {
        char text[INET_ADDRSTRLEN];
        if (!it->ifa_addr || it->ifa_addr->sa_family != AF_INET)
            continue;
        struct in_addr ip = address_of(it->ifa_addr);
        inet_ntop(AF_INET, &ip, text, sizeof text);
        argv_addf(out, "closed=%s/32", text);
        if (egress != NET_EGRESS_PUBLIC || !it->ifa_netmask)
            continue;
        uint32_t mask = address_of(it->ifa_netmask).s_addr;
        struct in_addr subnet = { ip.s_addr & mask };
        inet_ntop(AF_INET, &subnet, text, sizeof text);
        if (mask)
            argv_addf(out, "closed=%s/%d", text, __builtin_popcount(mask));
    }
    freeifaddrs(all);
}

/* The first IPv4 resolver in text that is not on the host's loopback. */
static bool find_resolver(const char *text, char address[INET_ADDRSTRLEN])
{
    struct in_addr ip;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line != 0)
        if (sscanf(line, "nameserver %15[0-9.]", address) == 1 &&
            inet_pton(AF_INET, address, &ip) == 1 && strncmp(address, "127.", 4) != 0)
            return true;
    return false;
}

/* A resolv.conf of one line: pasta is confused by lines that it passes over. systemd-resolved keeps
 * a list of its own servers beside the file with its own address. Returns a memfd, empty when there
 * is no usable resolver. */
static int create_resolv_conf(struct error *err)
{
    static const char *const files[] = { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" };
    char address[INET_ADDRSTRLEN];
    auto_fd int fd = memfd_create("resolv.conf", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "writing resolv.conf");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_buf struct buf text = BUF_INIT;
        if (fs_read(files[i], 65536, &text, NULL) < 0 || !find_resolver(buf_str(&text), address))
            continue;
        if (dprintf(fd, "nameserver %s\n", address) < 0 || lseek(fd, 0, SEEK_SET) < 0)
            return error_errno(err, errno, "writing resolv.conf");
        break;
    }
    return steal_fd(&fd);
}

static void chain_args(const struct net *self, struct argv *out)
{
    static const char *const pasta[] = {
        PASTA, "--config-net", "--no-map-gw", "-4", "-t", "none", "-u", "none", "-T", "none", "-U",
        "none", "--dns-forward", DNS_ADDRESS, "-q", "-f", "--", HELPER,
        "open=" DNS_ADDRESS ":53", NULL
    };
    static const char *const passt[] = {
        "--", PASST, "-q", "-f", "-1", "-4", "-a", "10.0.2.15", "-n", "24", "-g", "10.0.2.2", "-D",
        DNS_ADDRESS, "--no-map-gw", "-t", "none", "-u", "none", NULL
    };
    argv_add_all(out, pasta);
    for (size_t i = 0; i < ARRAY_LEN(always_closed); i++)
        close_range_text(out, always_closed[i]);
    for (size_t i = 0; i < ARRAY_LEN(private_ranges) && self->egress == NET_EGRESS_PUBLIC; i++)
        close_range_text(out, private_ranges[i]);
    close_host(out, self->egress);
    argv_add_all(out, passt);
    argv_add(out, "--fd");
    argv_addf(out, "%d", NET_FD_PASST);
}

/* --- Running --------------------------------------------------------------------------------- */

static void handle_started(void *data)
{
    struct net *self = data;
    self->started_us = clock_now_us();
    if (self->on_change)
        self->on_change(self->data, true, "");
}

static void try_later(struct net *self)
{
    timer_start(self->timer, self->back_off_us);
    self->back_off_us = MIN(self->back_off_us * 2, (int64_t)BACK_OFF_MAX_US);
}

static void handle_exit(void *data, int status, const struct error *err)
{
    struct net *self = data;
    char how[64], words[300], why[512];
    self->chain = jailed_free(self->chain);
    if (self->is_stopped)
        return;
    process_status_text(status, how, sizeof how);
    guest_files_words(self->words_fd, words, sizeof words);
    if (self->restart_why)
        snprintf(why, sizeof why, "%s", self->restart_why);
    else
        snprintf(why, sizeof why, "passt ended with %s%s%s", how, *words ? ": " : "",
                 err ? err->message : words);
    self->restart_why = NULL;
    if (self->started_us && clock_now_us() - self->started_us > STEADY_US)
        self->back_off_us = BACK_OFF_FIRST_US;
    self->started_us = 0;
    try_later(self);
    if (self->on_change)
        self->on_change(self->data, false, why);
}

static const struct jailed_ops chain_ops = { .on_started = handle_started, .on_exit = handle_exit };

static int start_chain(struct net *self, struct error *err)
{
    char helper[4096];
    int r = net_check(err);
    if (r < 0)
        return r;
    if (process_find_helper("hypervisor", "deskfarm-netns", helper) < 0)
        return error_set(err, ERROR_UNSUPPORTED, "deskfarm-netns is missing");
    auto_free char *tun = NULL;
    r = prepare_tun(self, &tun, err);
    if (r < 0)
        return r;
    auto_fd int sock = sock_connect(self->dir, GUEST_SOCK_NET, err);
    if (sock < 0)
        return sock;
    fcntl(sock, F_SETFL, 0); /* passt wants it blocking */
    util_close_ptr(&self->words_fd);
    self->words_fd = guest_files_new_words(WORDS_BYTES, NULL);

    auto_argv struct argv argv = ARGV_INIT;
    chain_args(self, &argv);
    if (!argv_get(&argv))
        return error_errno(err, ENOMEM, "starting the guest's network");
    auto_fd int resolv = create_resolv_conf(err);
    if (resolv < 0)
        return resolv;
    const struct jail_bind binds[] = { { PASTA, PASTA }, { PASST, PASST }, { helper, HELPER } };
    const struct process_fd fds[] = {
        { sock, NET_FD_PASST }, { resolv, NET_FD_RESOLV }, { self->words_fd, 2 }
    };
    const struct jailed_spec spec = {
        .jail = { .uid = self->uid, .for_network = true, .tun = tun, .binds = binds,
                  .n_binds = ARRAY_LEN(binds), .resolv_fd = NET_FD_RESOLV },
        .program = argv_get(&argv),
        .fds = fds,
        .n_fds = self->words_fd >= 0 ? 3 : 2,
        .file_bytes = FILE_BYTES,
    };
    return jailed_start(&self->chain, self->loop, &spec, &chain_ops, self, err);
}

static void handle_timer(void *data)
{
    struct net *self = data;
    struct error err;
    if (self->is_stopped || self->chain || start_chain(self, &err) == 0)
        return;
    try_later(self);
    if (self->on_change)
        self->on_change(self->data, false, err.message);
}

static struct net *new(struct loop *loop, const struct net_config *config, net_change_fn on_change,
                       void *data)
{
    struct net *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->loop = loop;
    self->uid = config->uid;
    self->egress = config->egress;
    self->back_off_us = BACK_OFF_FIRST_US;
    self->words_fd = -1;
    self->on_change = on_change;
    self->data = data;
    self->dir = strdup(config->dir);
    self->timer = timer_new(loop, handle_timer, self);
    return self->dir && self->timer ? self : net_free(self);
}

int net_new(struct net **ret, struct loop *loop, const struct net_config *config,
            net_change_fn on_change, void *data, struct error *err)
{
    struct net *self = new(loop, config, on_change, data);
    if (!self)
        return error_errno(err, ENOMEM, "starting the guest's network");
    timer_start(self->timer, 0);
    *ret = self;
    return 0;
}

int net_adopt(struct net **ret, struct loop *loop, const struct net_config *config,
              const json_t *identity, net_change_fn on_change, void *data, struct error *err)
{
    int64_t pid = json_get_int(identity, "pid", 0), start = json_get_int(identity, "start_time", 0);
    struct net *self = new(loop, config, on_change, data);
    if (!self)
        return error_errno(err, ENOMEM, "adopting the guest's network");
    if (pid <= 1 || pid > INT32_MAX || start <= 0 ||
        jailed_adopt(&self->chain, loop, (pid_t)pid, (uint64_t)start, &chain_ops, self, NULL) < 0)
        timer_start(self->timer, 0);
    else
        self->started_us = clock_now_us();
    *ret = self;
    return 0;
}

json_t *net_identity(const struct net *self)
{
    if (!self->chain || !jailed_pid(self->chain))
        return json_object();
    return json_pack("{s:i, s:I}", "pid", (int)jailed_pid(self->chain), "start_time",
                     (json_int_t)jailed_start_time(self->chain));
}

void net_restart(struct net *self, const char *why)
{
    if (self->is_stopped || !self->chain)
        return; /* the next try reads everything anew */
    self->restart_why = why;
    self->back_off_us = BACK_OFF_FIRST_US;
    jailed_kill(self->chain);
}

void net_stop(struct net *self)
{
    self->is_stopped = true;
    timer_stop(self->timer);
    if (self->chain)
        jailed_kill(self->chain);
}

struct net *net_free(struct net *self)
{
    if (self) {
        jailed_free(self->chain);
        timer_free(self->timer);
        util_close_ptr(&self->words_fd);
        free(self->dir);
        free(self);
    }
    return NULL;
}
