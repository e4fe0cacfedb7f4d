/* Merged layers against what qemu-img makes of the chain: random writes, discards and zeroes in a chain of
 * layers as guests have them, without backing names. */
#include "base/fs.h"
#include "base/process.h"
#include "hypervisor/disk-merge.h"
#include "hypervisor/disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LAYERS 6
#define DISK_MIB 700 /* two L2 tables */
#define OPERATIONS 40

struct chain {
    char dir[64], base[96], paths[LAYERS][96];
};

static int run(const char *format, ...) printf_like(1, 2);

/* A test may use a shell. */
static int run(const char *format, ...)
{
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The options of qemu-img and qemu-io for the layers up to n above the base. */
static void describe(const struct chain *self, int n, char *out, size_t size)
{
    int at = snprintf(out, size, "driver=qcow2,file.driver=file,file.filename=%s", self->paths[n - 1]);
    char prefix[256] = "backing";
    for (int i = n - 2; i >= 0; i--) {
        at += snprintf(out + at, size - (size_t)at, ",%s.driver=qcow2,%s.file.driver=file,%s.file.filename=%s", prefix,
                       prefix, prefix, self->paths[i]);
        strncat(prefix, ".backing", sizeof prefix - strlen(prefix) - 1);
    }
    snprintf(out + at, size - (size_t)at, ",%s.driver=raw,%s.file.driver=file,%s.file.filename=%s", prefix, prefix,
             prefix, self->base);
}

static void fill(struct chain *self, int n, unsigned *seed)
{
    char options[4096], commands[8192] = "";
    size_t at = 0;
    describe(self, n, options, sizeof options);
    for (int i = 0; i < OPERATIONS; i++) {
        static const char *const verbs[] = { "write -P %d", "write -z", "discard", "write -P %d" };
        char verb[32];
        int kib = (rand_r(seed) % 64 + 1) * 4, first = rand_r(seed) % (DISK_MIB * 256 - kib) * 4;
        snprintf(verb, sizeof verb, "write -P %d", rand_r(seed) % 255 + 1);
        const char *what = strchr(verbs[i % 4], '%') ? verb : verbs[i % 4];
        at += (size_t)snprintf(commands + at, sizeof commands - at, " -c '%s %dk %dk'", what, first % (DISK_MIB * 1000),
                               kib);
    }
    cr_assert(eq(int, run("qemu-io -d unmap --image-opts '%s' %s >/dev/null 2>&1", options, commands), 0));
}

static void make(struct chain *self, unsigned seed)
{
    struct error err = { 0 };
    *self = (struct chain){ .dir = "/tmp/test-disk-merge-XXXXXX" };
    cr_assert(mkdtemp(self->dir) != NULL);
    snprintf(self->base, sizeof self->base, "%s/base", self->dir);
    cr_assert(eq(int, run("qemu-img create -q -f raw %s %dM && qemu-io -f raw -c 'write -P 7 0 %dM' %s >/dev/null",
                          self->base, DISK_MIB, DISK_MIB, self->base), 0));
    for (int i = 0; i < LAYERS; i++) {
        snprintf(self->paths[i], sizeof self->paths[i], "%s/%d.qcow2", self->dir, i);
        cr_assert(eq(int, disk_create_overlay_now(self->paths[i], (int64_t)DISK_MIB << 20, &err), 0), "%s",
                  err.message);
        fill(self, i + 1, &seed);
    }
}

static void unmake(struct chain *self)
{
    fs_remove_tree(self->dir, NULL);
}

Test(disk_merge, reads_as_the_chain_did, .timeout = 120)
{
    struct chain chain;
    struct error err = { 0 };
    char whole[4096], to[96], merged[512];
    const char *paths[LAYERS];
    make(&chain, 20240607);
    describe(&chain, LAYERS, whole, sizeof whole);
    for (int i = 0; i < LAYERS; i++)
        paths[i] = chain.paths[i];
    snprintf(to, sizeof to, "%s/merged.qcow2", chain.dir);
    cr_assert(eq(int, disk_merge(paths, LAYERS, (int64_t)DISK_MIB << 20, to, &err), 0), "%s", err.message);
    cr_assert(eq(int, run("qemu-img check -q %s", to), 0), "qemu-img check finds it clean");
    snprintf(merged, sizeof merged, "driver=qcow2,file.driver=file,file.filename=%s,backing.driver=raw,"
             "backing.file.driver=file,backing.file.filename=%s", to, chain.base);
    cr_assert(eq(int, run("qemu-img compare -q --image-opts '%s' '%s'", whole, merged), 0));
    unmake(&chain);
}

Test(disk_merge, a_file_that_is_none_leaves_nothing)
{
    struct error err = { 0 };
    char dir[] = "/tmp/test-disk-merge-XXXXXX", bad[96], to[96];
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(bad, sizeof bad, "%s/bad", dir);
    snprintf(to, sizeof to, "%s/to", dir);
    FILE *file = fopen(bad, "w");
    fputs("no qcow2", file);
    fclose(file);
    const char *paths[] = { bad };
    cr_assert(lt(int, disk_merge(paths, 1, 1 << 20, to, &err), 0));
    cr_assert(eq(int, (int)err.code, (int)ERROR_BAD_VALUE));
    cr_assert(ne(int, access(to, F_OK), 0));
    fs_remove_tree(dir, NULL);
}
