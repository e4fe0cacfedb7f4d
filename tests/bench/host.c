#include "tests/bench/host.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/* A figure taken while others used more of the machine than this is not worth much. */
#define QUIET_PERCENT 5

static void read_cpu_name(char *out, size_t size)
{
    char line[256];
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, size, "%s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

void host_print(void)
{
    char cpu[256];
    struct utsname uts;
    read_cpu_name(cpu, sizeof cpu);
    uname(&uts);
    printf("CPU: %s, %ld used\nKernel: %s\n", cpu, sysconf(_SC_NPROCESSORS_ONLN), uts.release);
}

static int64_t ticks_us(unsigned long long ticks)
{
    return (int64_t)(ticks * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* All CPUs together (proc(5), /proc/stat), steal time included. */
static int64_t read_all_us(void)
{
    unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
    FILE *f = fopen("/proc/stat", "re");
    if (f && fscanf(f, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &system, &irq, &softirq,
                    &steal) != 6)
        user = nice = system = irq = softirq = steal = 0;
    if (f)
        fclose(f);
    return ticks_us(user + nice + system + irq + softirq + steal);
}

static int64_t read_process_us(pid_t pid)
{
    char path[64];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    /* The name in parentheses has no spaces: it is QEMU's. */
    if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        user = system = 0;
    if (f)
        fclose(f);
    return ticks_us(user + system);
}

static int64_t read_own_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static int64_t read_others_us(pid_t guest)
{
    return read_all_us() - read_own_us() - read_process_us(guest);
}

void host_load_begin(struct host_load *self, pid_t guest)
{
    *self = (struct host_load){ guest, clock_now_us(), read_others_us(guest) };
}

void host_load_print(const struct host_load *self)
{
    int64_t wall_us = (clock_now_us() - self->start_us) * sysconf(_SC_NPROCESSORS_ONLN);
    double percent = 100.0 * (double)(read_others_us(self->guest) - self->others_us) / (double)MAX(wall_us, 1);
    printf("\nOther programs used %.1f %% of the CPUs meanwhile%s.\n", MAX(percent, 0.0),
           percent > QUIET_PERCENT ? ": NOT QUIET, take these figures again" : "");
}
