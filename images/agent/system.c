/* ping, metrics, clock, hostname, entropy: done at once, as whoever the agent runs as.
 *
 *   {"op": "metrics"}                         → cpu_count, cpu_used_pct since the last call, mem_*,
 *                                               swap_*, disk_* of /, load, uptime_us
 *   {"op": "clock", "wall_us": n}             → before_us, after_us; without wall_us only reads
 *   {"op": "hostname", "name": "box-2"}       → name; without a name only reads
 *   {"op": "entropy", "hex": "00ff…"}         → {}; at most 512 bytes, credited, and the kernel's
 *                                               generator is reseeded from them at once */
#include "images/agent/ops.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <time.h>

#define ENTROPY_MAX 512
#define HOSTNAME_MAX 64

static json_t *failed(const char *what, int err)
{
    return channel_error(err == EPERM || err == EACCES ? "forbidden" : "failed", "%s: %s", what,
                         strerror(err));
}

json_t *system_ping(const json_t *request maybe_unused)
{
    return json_pack("{s:I}", "uptime_us", (json_int_t)clock_now_us());
}

/* --- Metrics --------------------------------------------------------------------------------- */

static double cpu_used_pct(void)
{
    static unsigned long long last_total, last_idle;
    unsigned long long v[8] = { 0 }, total = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return 0;
    int n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7]);
    fclose(file);
    for (int i = 0; i < n; i++)
        total += v[i];
    unsigned long long idle = v[3] + v[4], d_total = total - last_total, d_idle = idle - last_idle;
    last_total = total;
    last_idle = idle;
    return d_total ? 100.0 * (double)(d_total - MIN(d_idle, d_total)) / (double)d_total : 0;
}

static void add_memory(json_t *result)
{
    static const char *const names[][2] = {
        { "MemTotal:", "mem_total_bytes" }, { "MemAvailable:", "mem_available_bytes" },
        { "SwapTotal:", "swap_total_bytes" }, { "SwapFree:", "swap_free_bytes" },
    };
    char line[256], name[64];
    long long kib;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (sscanf(line, "%63s %lld", name, &kib) == 2 && strcmp(name, names[i][0]) == 0)
                json_object_set_new(result, names[i][1], json_integer(kib * 1024));
    if (file)
        fclose(file);
}

json_t *system_metrics(const json_t *request maybe_unused)
{
    struct statvfs disk = { 0 };
    double load = 0;
    if (statvfs("/", &disk) < 0 || getloadavg(&load, 1) < 1)
        load = 0;
    json_t *result = json_pack(
        "{s:i, s:f, s:f, s:I, s:I, s:I}", "cpu_count", (int)sysconf(_SC_NPROCESSORS_ONLN),
        "cpu_used_pct", cpu_used_pct(), "load", load, "uptime_us", (json_int_t)clock_now_us(),
        "disk_total_bytes", (json_int_t)(disk.f_blocks * disk.f_frsize), "disk_free_bytes",
        (json_int_t)(disk.f_bavail * disk.f_frsize));
    add_memory(result);
    return result;
}

/* --- Identity after a fork -------------------------------------------------------------------- */

json_t *system_clock(const json_t *request)
{
    int64_t before_us = clock_wall_us(), wall_us = json_get_int(request, "wall_us", 0);
    if (wall_us > 0) {
        struct timespec time = { .tv_sec = wall_us / 1000000, .tv_nsec = wall_us % 1000000 * 1000 };
        if (clock_settime(CLOCK_REALTIME, &time) < 0)
            return failed("setting the clock", errno);
    }
    return json_pack("{s:I, s:I}", "before_us", (json_int_t)before_us, "after_us",
                     (json_int_t)clock_wall_us());
}

static bool is_hostname(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= HOSTNAME_MAX && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == size;
}

json_t *system_hostname(const json_t *request)
{
    char name[HOSTNAME_MAX + 1] = "";
    const char *wish = json_get_string(request, "name", NULL);
    if (wish && !is_hostname(wish))
        return channel_error("bad_value", "name: letters, digits, '-' and '.'");
    if (wish && sethostname(wish, strlen(wish)) < 0)
        return failed("setting the host name", errno);
    if (gethostname(name, sizeof name - 1) < 0)
        return failed("reading the host name", errno);
    return json_pack("{s:s}", "name", name);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(const char *hex, uint8_t *out)
{
    size_t size = strlen(hex);
    if (size < 2 || size % 2 || size / 2 > ENTROPY_MAX)
        return -EINVAL;
    for (size_t i = 0; i < size; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return (int)(size / 2);
}

json_t *system_entropy(const json_t *request)
{
    struct {
        struct rand_pool_info info;
        uint8_t bytes[ENTROPY_MAX];
    } pool = { 0 };
    int size = parse_hex(json_get_string(request, "hex", ""), pool.bytes);
    if (size < 0)
        return channel_error("bad_value", "hex: 1 to %d bytes in lower case", ENTROPY_MAX);
    pool.info.entropy_count = size * 8;
    pool.info.buf_size = size;
    auto_fd int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return failed("adding entropy", errno);
    return json_object();
}
