#include "tests/bench/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Where things are. RAM below 1 MiB is not all RAM. */
#define BAR 0xe0000000u /* of the device's registers: common configuration first */
#define NOTIFY (BAR + 0x3000)
#define DESCRIPTORS 0x200000u
#define AVAILABLE 0x201000u
#define USED 0x202000u
#define REQUESTS 0x203000u
#define ANSWERS 0x204000u
#define PIXELS 0x1000000u
#define QUEUE_SIZE 64
#define REQUEST_BYTES 128
#define RESOURCE 1

/* virtio 1.2, 4.1.4.3 */
enum {
    COMMON_FEATURE_SELECT = 0x08, COMMON_FEATURE = 0x0c, COMMON_STATUS = 0x14, COMMON_QUEUE = 0x16,
    COMMON_ENABLE = 0x1c, COMMON_DESCRIPTORS = 0x20, COMMON_AVAILABLE = 0x28, COMMON_USED = 0x30,
};

/* 5.7.6.7 */
enum {
    CREATE_2D = 0x101, SET_SCANOUT = 0x103, FLUSH = 0x104, TRANSFER = 0x105, ATTACH = 0x106, OK = 0x1100,
};

#define FORMAT_BGRX 2

struct head {
    uint32_t type, flags;
    uint64_t fence;
    uint32_t context, ring;
};

struct rect32 {
    uint32_t x, y, w, h;
};

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* One line each way. */
static void put(const struct gpu *self, const char *command, unsigned address, unsigned value)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s 0x%x 0x%x\n", command, address, value);
    if (write(self->qtest_fd, line, (size_t)n) != n)
        die("qtest");
    size_t size = 0;
    while (size == 0 || line[size - 1] != '\n') {
        ssize_t got = read(self->qtest_fd, line + size, sizeof line - 1 - size);
        if (got <= 0)
            die("qtest");
        size += (size_t)got;
    }
    line[size] = 0;
    if (strncmp(line, "OK", 2) != 0)
        die(line);
}

static void set_config(const struct gpu *self, unsigned at, unsigned value)
{
    put(self, "outl", 0xcf8, 0x80000000u | GPU_SLOT << 11 | at);
    put(self, "outl", 0xcfc, value);
}

static void set_address(const struct gpu *self, unsigned at, unsigned address)
{
    put(self, "writel", BAR + at, address);
    put(self, "writel", BAR + at + 4, 0);
}

static void set_up_device(const struct gpu *self)
{
    set_config(self, 0x20, BAR); /* BAR 4 */
    set_config(self, 0x24, 0);
    set_config(self, 0x04, 6); /* memory, bus master */
    put(self, "writeb", BAR + COMMON_STATUS, 0);
    put(self, "writeb", BAR + COMMON_STATUS, 3);
    put(self, "writel", BAR + COMMON_FEATURE_SELECT, 1);
    put(self, "writel", BAR + COMMON_FEATURE, 1); /* VERSION_1 */
    put(self, "writeb", BAR + COMMON_STATUS, 11);
    put(self, "writew", BAR + COMMON_QUEUE, 0);
    set_address(self, COMMON_DESCRIPTORS, DESCRIPTORS);
    set_address(self, COMMON_AVAILABLE, AVAILABLE);
    set_address(self, COMMON_USED, USED);
    put(self, "writew", BAR + COMMON_ENABLE, 1);
    put(self, "writeb", BAR + COMMON_STATUS, 15);
}

/* Puts a command into the queue: slot k is descriptors 2k and 2k + 1. */
static void add(struct gpu *self, uint32_t type, const void *body, size_t size)
{
    unsigned k = self->n_sent % (QUEUE_SIZE / 2);
    uint8_t *request = self->ram + REQUESTS + k * REQUEST_BYTES;
    struct descriptor *pair = (struct descriptor *)(void *)(self->ram + DESCRIPTORS) + 2 * k;
    uint16_t *available = (uint16_t *)(void *)(self->ram + AVAILABLE);
    struct head head = { .type = type };
    memcpy(request, &head, sizeof head);
    memcpy(request + sizeof head, body, size);
    pair[0] = (struct descriptor){ REQUESTS + k * REQUEST_BYTES, (uint32_t)(sizeof head + size), 1,
                                   (uint16_t)(2 * k + 1) };
    pair[1] = (struct descriptor){ ANSWERS + k * REQUEST_BYTES, REQUEST_BYTES, 2, 0 };
    available[2 + self->n_sent % QUEUE_SIZE] = (uint16_t)(2 * k);
    self->n_sent++;
}

/* Tells the device, and waits until it has answered all. */
static void kick(struct gpu *self)
{
    uint16_t *available = (uint16_t *)(void *)(self->ram + AVAILABLE);
    const uint16_t *used = (const uint16_t *)(const void *)(self->ram + USED);
    const struct timespec pause = { .tv_nsec = 20000 };
    __atomic_store_n(&available[1], self->n_sent, __ATOMIC_RELEASE);
    put(self, "writew", NOTIFY, 0);
    while (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) != self->n_sent)
        nanosleep(&pause, NULL);
    unsigned last = (unsigned)(self->n_sent - 1) % (QUEUE_SIZE / 2);
    uint32_t answer;
    memcpy(&answer, self->ram + ANSWERS + last * REQUEST_BYTES, sizeof answer);
    if (answer != OK) {
        fprintf(stderr, "virtio-gpu answers 0x%x\n", answer);
        exit(1);
    }
}

void gpu_start(struct gpu *self, int qtest_fd, int ram_fd, int width, int height)
{
    size_t size = (size_t)GPU_RAM_MIB << 20;
    *self = (struct gpu){ .qtest_fd = qtest_fd, .width = width, .height = height };
    self->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
    if (self->ram == MAP_FAILED)
        die("the guest's RAM");
    self->pixels = (uint32_t *)(void *)(self->ram + PIXELS);
    set_up_device(self);
    uint32_t w = (uint32_t)width, h = (uint32_t)height;
    struct { uint32_t resource, format, w, h; } create = { RESOURCE, FORMAT_BGRX, w, h };
    struct { uint32_t resource, n; uint64_t address; uint32_t size, zero; } attach = {
        RESOURCE, 1, PIXELS, w * h * 4, 0
    };
    struct { struct rect32 r; uint32_t scanout, resource; } scanout = { { 0, 0, w, h }, 0, RESOURCE };
    add(self, CREATE_2D, &create, sizeof create);
    add(self, ATTACH, &attach, sizeof attach);
    add(self, SET_SCANOUT, &scanout, sizeof scanout);
    kick(self);
}

void gpu_flush(struct gpu *self, struct rect r)
{
    struct rect32 rect = { (uint32_t)r.x, (uint32_t)r.y, (uint32_t)r.w, (uint32_t)r.h };
    struct { struct rect32 r; uint64_t offset; uint32_t resource, zero; } transfer = {
        rect, ((uint64_t)r.y * (uint64_t)self->width + (uint64_t)r.x) * 4, RESOURCE, 0
    };
    struct { struct rect32 r; uint32_t resource, zero; } flush = { rect, RESOURCE, 0 };
    if (r.w <= 0 || r.h <= 0)
        return;
    add(self, TRANSFER, &transfer, sizeof transfer);
    add(self, FLUSH, &flush, sizeof flush);
    kick(self);
}
