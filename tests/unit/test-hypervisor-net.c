/* What a guest with a network reaches. The test is the guest: it listens where QEMU would and sends
 * Ethernet frames of its own making, so it can do all that a guest's root can do and more (frames
 * to 127.0.0.1 leave no ordinary guest). Listeners wait on the host and, when the test is root, in
 * a network namespace that stands for the world outside. Only what the policy opens may answer. */
#include "hypervisor-fixture.h"

#include "base/clock.h"
#include "base/sock.h"
#include "hypervisor/net.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define PORT 47391
#define SOURCE_PORT 40000
#define ANSWER_MS 3000
#define FRAME_MAX 2048

static const uint8_t our_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

/* --- Frames ---------------------------------------------------------------------------------- */

struct wire {
    struct fixture f;
    struct net *net;
    int listener, fd;       /* net.sock and the connection on it */
    bool is_up;
    char why[512];
    uint8_t gateway_mac[6];
    struct buf in;
};

static void wire_send(struct wire *wire, const void *frame, size_t size)
{
    uint8_t message[4 + FRAME_MAX];
    uint32_t length = htonl((uint32_t)size);
    memcpy(message, &length, 4);
    memcpy(message + 4, frame, size);
    if (send(wire->fd, message, 4 + size, MSG_NOSIGNAL) == (ssize_t)(4 + size))
        return;
    while (wire->is_up)
        loop_turn(&wire->f.loop, true);
    cr_assert(false, "%s", wire->why);
}

/* The next frame within ms; its size, or 0. */
static size_t wire_receive(struct wire *wire, uint8_t *frame, int64_t until_us)
{
    for (;;) {
        uint32_t length = 0;
        if (wire->in.size >= 4) {
            memcpy(&length, wire->in.data, 4);
            length = ntohl(length);
            cr_assert_leq(length, (uint32_t)FRAME_MAX);
            if (wire->in.size >= 4 + length) {
                memcpy(frame, wire->in.data + 4, length);
                buf_consume(&wire->in, 4 + length);
                return length;
            }
        }
        struct pollfd poll_fd = { .fd = wire->fd, .events = POLLIN };
        int64_t left_us = until_us - clock_now_us();
        if (left_us <= 0 || poll(&poll_fd, 1, (int)(left_us / 1000) + 1) <= 0)
            return 0;
        ssize_t n = read(wire->fd, buf_reserve(&wire->in, 4096), 4096);
        if (n <= 0)
            return 0;
        wire->in.size += (size_t)n;
    }
}

static uint32_t sum_words(const void *data, size_t size, uint32_t sum)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < size; i++)
        sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

struct frame {
    struct ether_header ether;
    uint8_t rest[256];
} __attribute__((packed));

static void find_gateway(struct wire *wire)
{
    /* ARP (RFC 826): who has 10.0.2.2? */
    static const uint8_t question[] = { 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 1, 2, 3, 10, 0, 2, 15,
                                        0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };
    struct frame frame = { .ether.ether_type = htons(ETHERTYPE_ARP) };
    uint8_t answer[FRAME_MAX];
    memset(frame.ether.ether_dhost, 0xff, 6);
    memcpy(frame.ether.ether_shost, our_mac, 6);
    memcpy(frame.rest, question, sizeof question);
    for (int i = 0; i < 50; i++) {
        wire_send(wire, &frame, sizeof frame.ether + sizeof question);
        size_t n;
        while ((n = wire_receive(wire, answer, clock_now_us() + 200000))) {
            if (n >= 42 && answer[12] == 8 && answer[13] == 6 && answer[21] == 2) {
                memcpy(wire->gateway_mac, answer + 22, 6);
                return;
            }
        }
    }
    cr_assert(false, "no answer to ARP");
}

static size_t start_frame(struct wire *wire, struct frame *frame, uint8_t protocol, in_addr_t to,
                          size_t payload)
{
    struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = protocol,
                        .tot_len = htons((uint16_t)(sizeof ip + payload)),
                        .saddr = inet_addr("10.0.2.15"), .daddr = to };
    ip.check = fold(sum_words(&ip, sizeof ip, 0));
    memset(frame, 0, sizeof *frame);
    memcpy(frame->ether.ether_dhost, wire->gateway_mac, 6);
    memcpy(frame->ether.ether_shost, our_mac, 6);
    frame->ether.ether_type = htons(ETHERTYPE_IP);
    memcpy(frame->rest, &ip, sizeof ip);
    return sizeof frame->ether + sizeof ip + payload;
}

static uint16_t pseudo_checksum(in_addr_t to, uint8_t protocol, const void *data, size_t size)
{
    in_addr_t from = inet_addr("10.0.2.15");
    uint32_t sum = sum_words(&from, 4, 0) + sum_words(&to, 4, 0) + protocol + (uint32_t)size;
    return fold(sum_words(data, size, sum));
}

static void send_syn(struct wire *wire, in_addr_t to, uint16_t source_port)
{
    struct frame frame;
    struct tcphdr tcp = { .source = htons(source_port), .dest = htons(PORT), .seq = htonl(1000),
                          .doff = 5, .syn = 1, .window = htons(65535) };
    size_t size = start_frame(wire, &frame, IPPROTO_TCP, to, sizeof tcp);
    tcp.check = pseudo_checksum(to, IPPROTO_TCP, &tcp, sizeof tcp);
    memcpy(frame.rest + sizeof(struct iphdr), &tcp, sizeof tcp);
    wire_send(wire, &frame, size);
}

static void send_datagram(struct wire *wire, uint16_t from, in_addr_t to, uint16_t port,
                          const void *data, size_t data_size)
{
    struct frame frame;
    uint8_t packet[128] = { 0 };
    struct udphdr udp = { .source = htons(from), .dest = htons(port),
                          .len = htons((uint16_t)(sizeof udp + data_size)) };
    memcpy(packet, &udp, sizeof udp);
    memcpy(packet + sizeof udp, data, data_size);
    size_t n = sizeof udp + data_size, size = start_frame(wire, &frame, IPPROTO_UDP, to, n);
    udp.check = pseudo_checksum(to, IPPROTO_UDP, packet, n);
    memcpy(packet, &udp, sizeof udp);
    memcpy(frame.rest + sizeof(struct iphdr), packet, n);
    wire_send(wire, &frame, size);
}

/* A SYN over IPv6 to an address of the host. */
static void send_syn6(struct wire *wire, const char *to, uint16_t source_port)
{
    struct frame frame = { .ether.ether_type = htons(ETHERTYPE_IPV6) };
    struct ip6_hdr ip = { .ip6_flow = htonl(6u << 28), .ip6_plen = htons(sizeof(struct tcphdr)),
                          .ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64 };
    struct tcphdr tcp = { .source = htons(source_port), .dest = htons(PORT), .seq = htonl(1000),
                          .doff = 5, .syn = 1, .window = htons(65535) };
    inet_pton(AF_INET6, "fd00::15", &ip.ip6_src);
    inet_pton(AF_INET6, to, &ip.ip6_dst);
    uint32_t sum = sum_words(&ip.ip6_src, 32, 0) + IPPROTO_TCP + (uint32_t)sizeof tcp;
    tcp.check = fold(sum_words(&tcp, sizeof tcp, sum));
    memcpy(frame.ether.ether_dhost, wire->gateway_mac, 6);
    memcpy(frame.ether.ether_shost, our_mac, 6);
    memcpy(frame.rest, &ip, sizeof ip);
    memcpy(frame.rest + sizeof ip, &tcp, sizeof tcp);
    wire_send(wire, &frame, sizeof frame.ether + sizeof ip + sizeof tcp);
}

/* --- The chain ------------------------------------------------------------------------------- */

static void handle_change(void *data, bool is_up, const char *why)
{
    struct wire *wire = data;
    wire->is_up = is_up;
    snprintf(wire->why, sizeof wire->why, "%s", why);
}

static void wire_accept(struct wire *wire)
{
    timer_start(wire->f.limit, TEST_LIMIT_US);
    util_close_ptr(&wire->fd);
    while ((wire->fd = accept4(wire->listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        loop_turn(&wire->f.loop, true);
        cr_assert_not(wire->f.is_late, "no connection: %s", wire->why);
    }
    while (!wire->is_up) {
        loop_turn(&wire->f.loop, true);
        cr_assert_not(wire->f.is_late, "not up: %s", wire->why);
    }
    timer_stop(wire->f.limit);
    wire->in.size = 0;
    find_gateway(wire);
}

static void wire_open(struct wire *wire, enum net_egress egress)
{
    struct error err = { 0 };
    struct net_config config = { .dir = wire->f.dir, .uid = fixture_uid(), .egress = egress };
    cr_assert(eq(int, net_new(&wire->net, &wire->f.loop, &config, handle_change, wire, &err), 0));
    wire_accept(wire);
}

static void wire_close(struct wire *wire)
{
    net_stop(wire->net);
    wire->net = net_free(wire->net);
    wire->is_up = false;
}

static bool wire_init(struct wire *wire)
{
    struct error err = { 0 };
    *wire = (struct wire){ .fd = -1 };
    /* Ports, names and routes are the host's: one test at a time. Held until its process ends. */
    int lock = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(flock(lock, LOCK_EX), 0);
    if (net_check(&err) < 0)
        return false;
    fixture_init(&wire->f);
    wire->listener = sock_listen(wire->f.dir, GUEST_SOCK_NET, &err);
    cr_assert(ge(int, wire->listener, 0), "%s", err.message);
    return true;
}

static void wire_deinit(struct wire *wire)
{
    if (wire->net)
        wire_close(wire);
    close(wire->listener);
    util_close_ptr(&wire->fd);
    buf_deinit(&wire->in);
    fixture_deinit(&wire->f);
}

/* --- The world ------------------------------------------------------------------------------- */

static void ip_command(const char *line)
{
    char copy[256], *argv[32], *save = NULL;
    size_t n = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[n++] = word;
    argv[n] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 2); /* removing what is not there is no news */
        execvp(argv[0], argv);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* Listens on a port, TCP and UDP, all addresses. */
struct listeners {
    int tcp, udp, tcp6;
};

static struct listeners listen_everywhere(uint16_t port)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct listeners l = {
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
    };
    int one = 1;
    setsockopt(l.tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(l.tcp6, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(l.tcp6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    cr_assert_eq(bind(l.tcp, (struct sockaddr *)&any, sizeof any), 0);
    cr_assert_eq(bind(l.udp, (struct sockaddr *)&any, sizeof any), 0);
    cr_assert_eq(listen(l.tcp, 64), 0);
    if (bind(l.tcp6, (struct sockaddr *)&any6, sizeof any6) == 0)
        listen(l.tcp6, 64);
    return l;
}

static void close_listeners(struct listeners *l)
{
    close(l->tcp);
    close(l->udp);
    close(l->tcp6);
}

/* True when nobody came. */
static bool heard_nothing(const struct listeners *l)
{
    char byte;
    return accept(l->tcp, NULL, NULL) < 0 && recv(l->udp, &byte, 1, 0) < 0 &&
           accept(l->tcp6, NULL, NULL) < 0;
}

static int count_datagrams(const struct listeners *l)
{
    char byte;
    int n = 0;
    while (recv(l->udp, &byte, 1, 0) >= 0)
        n++;
    return n;
}

#define OUTSIDE "dfoutside"

static void remove_outside(void)
{
    ip_command("ip netns del " OUTSIDE);
    ip_command("ip link del dfv0");
}

/* A host beyond a router: 198.51.100.2 on our link, all others behind it. */
static struct listeners make_outside(uint16_t port)
{
    static const char *const lines[] = {
        "ip netns add " OUTSIDE,
        "ip link add dfv0 type veth peer name dfv1 netns " OUTSIDE,
        "ip addr add 198.51.100.1/30 dev dfv0",
        "ip link set dfv0 up",
        "ip -n " OUTSIDE " addr add 198.51.100.2/30 dev dfv1",
        "ip -n " OUTSIDE " link set dfv1 up",
        "ip -n " OUTSIDE " link set lo up",
        "ip -n " OUTSIDE " addr add 203.0.113.9/32 dev lo",
        "ip -n " OUTSIDE " addr add 10.99.7.9/32 dev lo",
        "ip -n " OUTSIDE " addr add 169.254.169.254/32 dev lo",
        "ip -n " OUTSIDE " route add default via 198.51.100.1",
        "ip route add 203.0.113.9/32 via 198.51.100.2",
        "ip route add 10.99.7.9/32 via 198.51.100.2",
        "ip route add 169.254.169.254/32 via 198.51.100.2",
    };
    remove_outside();
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        ip_command(lines[i]);
    auto_fd int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    auto_fd int away = open("/run/netns/" OUTSIDE, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(setns(away, CLONE_NEWNET), 0);
    struct listeners l = listen_everywhere(port);
    cr_assert_eq(setns(home, CLONE_NEWNET), 0);
    return l;
}

/* --- What answers ---------------------------------------------------------------------------- */

struct target {
    char address[INET_ADDRSTRLEN];
    bool shall_answer, answered;
};

struct targets {
    struct target items[64];
    size_t n;
};

static void add_target(struct targets *targets, const char *address, bool shall_answer)
{
    struct target *target = &targets->items[targets->n++];
    snprintf(target->address, sizeof target->address, "%s", address);
    target->shall_answer = shall_answer;
    target->answered = false;
}

static void add_host_addresses(struct targets *targets)
{
    struct ifaddrs *all, *it;
    cr_assert_eq(getifaddrs(&all), 0);
    for (it = all; it; it = it->ifa_next) {
        char text[INET_ADDRSTRLEN];
        if (!it->ifa_addr || it->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in in;
        memcpy(&in, it->ifa_addr, sizeof in);
        add_target(targets, inet_ntop(AF_INET, &in.sin_addr, text, sizeof text), false);
    }
    freeifaddrs(all);
}

static void note_answer(struct targets *targets, const uint8_t *frame, size_t size)
{
    struct iphdr ip;
    struct tcphdr tcp;
    if (size < 14 + sizeof ip + sizeof tcp || frame[12] != 8 || frame[13] != 0)
        return;
    memcpy(&ip, frame + 14, sizeof ip);
    memcpy(&tcp, frame + 14 + sizeof ip, sizeof tcp);
    size_t i = (size_t)(ntohs(tcp.dest) - SOURCE_PORT);
    if (ip.protocol == IPPROTO_TCP && i < targets->n && tcp.syn && tcp.ack)
        targets->items[i].answered = true;
}

/* Knocks everywhere, by TCP and UDP, and compares. */
static void check_targets(struct wire *wire, struct targets *targets)
{
    uint8_t frame[FRAME_MAX];
    for (size_t i = 0; i < targets->n; i++) {
        send_syn(wire, inet_addr(targets->items[i].address), (uint16_t)(SOURCE_PORT + i));
        send_datagram(wire, (uint16_t)(SOURCE_PORT + i), inet_addr(targets->items[i].address), PORT,
                      "x", 1);
    }
    int64_t until_us = clock_now_us() + ANSWER_MS * 1000;
    size_t n;
    while ((n = wire_receive(wire, frame, until_us)))
        note_answer(targets, frame, n);
    for (size_t i = 0; i < targets->n; i++)
        cr_expect_eq(targets->items[i].answered, targets->items[i].shall_answer, "%s %s",
                     targets->items[i].address,
                     targets->items[i].answered ? "answers" : "does not answer");
}

static void add_closed(struct targets *targets)
{
    static const char *const closed[] = { "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0",
                                          "0.0.0.1", "10.0.2.2", "10.0.2.3", "10.0.2.15", "169.254.169.254" };
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        add_target(targets, closed[i], false);
    add_host_addresses(targets);
}

Test(net_as_root, reaches_the_outside_and_nothing_of_the_host)
{
    static struct wire wire;
    if (geteuid() != 0)
        cr_skip_test("not root: no outside can be made");
    if (!wire_init(&wire))
        cr_skip_test("no passt or no /dev/net/tun");
    struct listeners outside = make_outside(PORT), host = listen_everywhere(PORT);
    static const struct {
        enum net_egress egress;
        bool opens_private;
    } rows[] = { { NET_EGRESS_PUBLIC, false }, { NET_EGRESS_ALL, true } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct targets targets = { 0 };
        wire_open(&wire, rows[i].egress);
        add_closed(&targets);
        add_target(&targets, "203.0.113.9", true);
        add_target(&targets, "198.51.100.2", rows[i].opens_private);
        add_target(&targets, "10.99.7.9", rows[i].opens_private);
        send_syn6(&wire, "::1", SOURCE_PORT + 100);
        send_syn6(&wire, "fe80::1", SOURCE_PORT + 101);
        check_targets(&wire, &targets);
        cr_expect(heard_nothing(&host), "the host heard something");
        cr_expect_eq(count_datagrams(&outside), rows[i].opens_private ? 3 : 1);
        wire_close(&wire);
    }
    close_listeners(&outside);
    close_listeners(&host);
    remove_outside();
    wire_deinit(&wire);
}

/* Puts what over a path, for this process only. */
static void cover(const char *what, const char *path)
{
    cr_assert_eq(unshare(CLONE_NEWNS), 0);
    cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    cr_assert_eq(mount(what, path, NULL, MS_BIND, NULL), 0);
}

Test(net_as_user, reaches_nothing_of_the_host)
{
    static struct wire wire;
    char tun[64] = "";
    if (geteuid() == 0) {
        /* As on a usual Debian: the device is everybody's. */
        snprintf(tun, sizeof tun, "/var/tmp/deskfarm-tun-%d", (int)getpid());
        cr_assert_eq(mknod(tun, S_IFCHR | 0600, makedev(10, 200)), 0);
        cr_assert_eq(chmod(tun, 0666) + chown(tun, TEST_USER, TEST_USER), 0);
        cover(tun, "/dev/net/tun");
    }
    fixture_become_user();
    if (!wire_init(&wire))
        cr_skip_test("an ordinary user may not open /dev/net/tun here");
    struct listeners host = listen_everywhere(PORT);
    struct targets targets = { 0 };
    wire_open(&wire, NET_EGRESS_ALL);
    add_closed(&targets);
    check_targets(&wire, &targets);
    cr_expect(heard_nothing(&host), "the host heard something");
    close_listeners(&host);
    unlink(tun);
    wire_deinit(&wire);
}

/* The value of an option in a BOOTP reply (RFC 2132), NULL when it has none. */
static const uint8_t *find_option(const uint8_t *frame, size_t size, uint8_t code)
{
    for (size_t at = 42 + 240; at + 2 <= size && frame[at] != 255; at += 2u + frame[at + 1])
        if (frame[at] == code && at + 2u + frame[at + 1] <= size)
            return frame + at + 2;
    return NULL;
}

Test(net_as_root, gives_its_guest_an_address)
{
    static struct wire wire;
    if (geteuid() != 0)
        cr_skip_test("not root");
    if (!wire_init(&wire))
        cr_skip_test("no passt or no /dev/net/tun");
    wire_open(&wire, NET_EGRESS_PUBLIC);
    /* DHCPDISCOVER (RFC 2131): broadcast, UDP 68 to 67. */
    static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 };
    uint8_t packet[14 + 20 + 8 + 300] = { 0 }, frame[FRAME_MAX];
    struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
                        .tot_len = htons(328), .daddr = 0xffffffff };
    struct udphdr udp = { .source = htons(68), .dest = htons(67), .len = htons(308) };
    ip.check = fold(sum_words(&ip, sizeof ip, 0));
    memset(packet, 0xff, 6);
    memcpy(packet + 6, our_mac, 6);
    packet[12] = 8;
    memcpy(packet + 14, &ip, sizeof ip);
    memcpy(packet + 34, &udp, sizeof udp);
    memcpy(packet + 42, (uint8_t[]){ 1, 1, 6, 0, 1, 2, 3, 4 }, 8);
    memcpy(packet + 42 + 28, our_mac, 6);
    memcpy(packet + 42 + 236, options, sizeof options);
    wire_send(&wire, packet, sizeof packet);
    size_t n = 0;
    int64_t until_us = clock_now_us() + ANSWER_MS * 1000;
    do
        n = wire_receive(&wire, frame, until_us);
    while (n && !(n > 282 && frame[23] == IPPROTO_UDP && frame[37] == 68));
    cr_assert_neq(n, 0, "no answer to DHCP");
    static const uint8_t address[] = { 10, 0, 2, 15 }, gateway[] = { 10, 0, 2, 2 }, dns[] = { 10, 0, 2, 3 };
    const uint8_t *routers = find_option(frame, n, 3), *resolvers = find_option(frame, n, 6);
    cr_assert_eq(memcmp(frame + 42 + 16, address, 4), 0);
    cr_assert_not_null(routers);
    cr_assert_eq(memcmp(routers, gateway, 4), 0);
    cr_assert_not_null(resolvers);
    cr_assert_eq(memcmp(resolvers, dns, 4), 0);
    wire_deinit(&wire);
}

/* The resolver is on a subnet of the host's here, which is closed; it is asked through 10.0.2.3. */
Test(net_as_root, asks_the_hosts_resolver_and_nothing_else)
{
    static struct wire wire;
    if (geteuid() != 0)
        cr_skip_test("not root");
    if (!wire_init(&wire))
        cr_skip_test("no passt or no /dev/net/tun");
    struct listeners outside = make_outside(53);
    int resolver = outside.udp;
    struct sockaddr_in from;
    auto_free char *conf = fs_join(wire.f.dir, "resolv.conf");
    static const char text[] = "# none\nnameserver ::1\nnameserver 127.0.0.53\nnameserver 198.51.100.2\n";
    cr_assert_eq(fs_write_atomic(conf, text, sizeof text - 1, 0644, NULL), 0);
    cover(conf, "/etc/resolv.conf");

    char question[16] = "";
    uint8_t frame[FRAME_MAX];
    socklen_t from_size = sizeof from;
    wire_open(&wire, NET_EGRESS_PUBLIC);
    send_datagram(&wire, SOURCE_PORT, inet_addr("198.51.100.2"), 53, "crafted!", 8);
    send_datagram(&wire, SOURCE_PORT + 1, inet_addr("10.0.2.3"), 53, "question", 8);
    struct pollfd poll_fd = { .fd = resolver, .events = POLLIN };
    cr_assert_eq(poll(&poll_fd, 1, ANSWER_MS), 1, "the resolver was not asked");
    cr_assert_eq(recvfrom(resolver, question, sizeof question - 1, 0, (struct sockaddr *)&from,
                          &from_size), 8);
    cr_assert(eq(str, question, "question"));
    cr_assert_eq(poll(&poll_fd, 1, 500), 0, "it was asked in another way");
    cr_assert_eq(sendto(resolver, "answer!!", 8, 0, (struct sockaddr *)&from, from_size), 8);
    bool answered = false;
    int64_t until_us = clock_now_us() + ANSWER_MS * 1000;
    size_t n;
    while (!answered && (n = wire_receive(&wire, frame, until_us)))
        answered = n >= 50 && memcmp(frame + 42, "answer!!", 8) == 0;
    cr_assert_eq(answered, true);
    close_listeners(&outside);
    remove_outside();
    wire_deinit(&wire);
}

Test(net_as_root, comes_back_when_it_dies_and_is_found_again)
{
    static struct wire wire;
    if (geteuid() != 0)
        cr_skip_test("not root");
    if (!wire_init(&wire))
        cr_skip_test("no passt or no /dev/net/tun");
    wire_open(&wire, NET_EGRESS_PUBLIC);
    auto_json json_t *first = net_identity(wire.net);
    cr_assert(gt(i64, json_get_int(first, "pid", 0), 1));

    /* It dies: the guest sees its cable pulled, and plugged in again. */
    kill((pid_t)json_get_int(first, "pid", 0), SIGKILL);
    fixture_wait(&wire.f, !wire.is_up);
    wire_accept(&wire);
    auto_json json_t *second = net_identity(wire.net);
    cr_assert(ne(i64, json_get_int(second, "pid", 0), json_get_int(first, "pid", 0)));

    /* The daemon goes: the network stays. */
    struct error err = { 0 };
    struct net_config config = { .dir = wire.f.dir, .uid = fixture_uid() };
    wire.net = net_free(wire.net);
    find_gateway(&wire);
    cr_assert(eq(int, net_adopt(&wire.net, &wire.f.loop, &config, second, handle_change, &wire, &err), 0));
    auto_json json_t *third = net_identity(wire.net);
    cr_assert_eq(json_equal(second, third), 1);

    /* The guest goes: so does the network, which then waits for nobody. */
    close(wire.fd);
    wire.fd = -1;
    fixture_wait(&wire.f, !wire.is_up);
    wire_deinit(&wire);
}

Test(net, says_what_is_missing_and_tries_again)
{
    static struct wire wire;
    struct error err = { 0 };
    wire = (struct wire){ .fd = -1 };
    fixture_become_user();
    if (net_check(&err) == 0)
        cr_skip_test("nothing is missing");
    cr_assert(eq(int, err.code, ERROR_UNSUPPORTED));
    fixture_init(&wire.f);
    struct net_config config = { .dir = wire.f.dir };
    wire.is_up = true;
    cr_assert(eq(int, net_new(&wire.net, &wire.f.loop, &config, handle_change, &wire, &err), 0));
    fixture_wait(&wire.f, !wire.is_up);
    cr_assert(eq(str, wire.why, err.message));
    net_free(wire.net);
    fixture_deinit(&wire.f);
}
