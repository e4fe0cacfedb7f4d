/* Runs a fuzz target without a fuzzer: over its seeds, and over mutations of them that are the same
 * in every run.
 *
 *   fuzz-NAME SEED_DIR [ITERATIONS [SEED]]
 *
 * A mutation changes, copies, cuts or inserts bytes, sets integers to awkward values, or joins two
 * seeds. That finds shallow defects in seconds; a coverage-guided fuzzer, which the targets' entry
 * point also fits, finds deep ones in hours. When a target crashes, the input of that moment is in
 * the file that "crash-input" in the current directory names; a sanitizer's report says the rest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEEDS_MAX 4096
#define INPUT_MAX ((size_t)1 << 20)
#define MUTATIONS_MAX 8
#define DEFAULT_ITERATIONS 20000
#define SECONDS_MAX 5
#define SECONDS_MAX_FULL 20 /* ./check --full */
#define HANG_SECONDS 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *data;
    size_t size;
};

static struct input seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t state;
static const uint8_t *current;
static size_t current_size;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

/* Leaves what the target choked on. Only calls that are safe in a signal handler. */
static void save_current(void)
{
    int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t done = 0; fd >= 0 && done < current_size;) {
        ssize_t n = write(fd, current + done, current_size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    static const char text[] = "the input is in ./crash-input\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

static void handle_death(int signo)
{
    save_current();
    signal(signo, SIG_DFL);
    raise(signo);
}

/* A sanitizer that reports ends the process by exit. */
static void handle_exit(void)
{
    if (current)
        save_current();
}

static void run(const uint8_t *data, size_t size)
{
    /* A copy of the exact size, so that one byte too many is noticed. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    memcpy(copy, data, size);
    current = copy;
    current_size = size;
    alarm(HANG_SECONDS);
    LLVMFuzzerTestOneInput(copy, size);
    alarm(0);
    current = NULL;
    free(copy);
}

static void load(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) < 0 || !S_ISREG(info.st_mode) || (size_t)info.st_size > INPUT_MAX) {
        if (file)
            fclose(file);
        return;
    }
    struct input *seed = &seeds[n_seeds];
    seed->data = malloc((size_t)info.st_size + 1);
    seed->size = seed->data ? fread(seed->data, 1, (size_t)info.st_size, file) : 0;
    n_seeds++;
    fclose(file);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_all(const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, NULL, compare_names);
    for (int i = 0; i < n; i++) {
        if (n_seeds < SEEDS_MAX)
            load(dir, names[i]->d_name);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

static void put_awkward(uint8_t *at, size_t room)
{
    static const uint64_t values[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
                                       0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX };
    uint64_t value = values[below(sizeof values / sizeof *values)];
    size_t width = (size_t)1 << below(4);
    bool is_big = below(2);
    for (size_t i = 0; i < width && i < room; i++)
        at[i] = (uint8_t)(value >> 8 * (is_big ? width - 1 - i : i));
}

/* Makes room for n bytes at a place, or removes them; returns the new size. */
static size_t insert(uint8_t *data, size_t size, size_t at, size_t n)
{
    if (size + n > INPUT_MAX)
        return size;
    memmove(data + at + n, data + at, size - at);
    return size + n;
}

static size_t cut(uint8_t *data, size_t size, size_t at, size_t n)
{
    memmove(data + at, data + at + n, size - at - n);
    return size - n;
}

static size_t mutate(uint8_t *data, size_t size)
{
    static const char marks[] = "{}[]\",:\\/%&=;+-0123456789eE. \r\n\0\xff\xc3";
    size_t at = below(size + 1), n, from;
    switch (size ? below(8) : 7) {
    case 0:
        data[at % size] ^= (uint8_t)(1u << below(8));
        return size;
    case 1:
        data[at % size] = (uint8_t)next_random();
        return size;
    case 2:
        data[at % size] = (uint8_t)marks[below(sizeof marks)];
        return size;
    case 3:
        put_awkward(data + at % size, size - at % size);
        return size;
    case 4:
        return cut(data, size, at, below(size - at + 1));
    case 5: /* repeats a part of itself */
        from = below(size);
        n = 1 + below(size - from < 256 ? size - from : 256);
        if (insert(data, size, at, n) == size)
            return size;
        memmove(data + at, data + (from >= at ? from + n : from), n);
        return size + n;
    case 6: { /* goes on as another seed does */
        const struct input *other = &seeds[below(n_seeds)];
        from = below(other->size + 1);
        n = other->size - from < INPUT_MAX - at ? other->size - from : INPUT_MAX - at;
        memcpy(data + at, other->data + from, n);
        return at + n;
    }
    default:
        if (insert(data, size, at, 1) == size)
            return size;
        data[at] = (uint8_t)next_random();
        return size + 1;
    }
}

int main(int argc, char **argv)
{
    long iterations = argc > 2 ? atol(argv[2]) : DEFAULT_ITERATIONS;
    state = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    if (argc < 2) {
        fprintf(stderr, "usage: %s SEED_DIR [ITERATIONS [SEED]]\n", argv[0]);
        return 2;
    }
    load_all(argv[1]);
    if (n_seeds == 0) {
        fprintf(stderr, "%s has no seeds\n", argv[1]);
        return 1;
    }
    static const int deaths[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        signal(deaths[i], handle_death);
    atexit(handle_exit);

    run((const uint8_t *)"", 0);
    for (size_t i = 0; i < n_seeds; i++)
        run(seeds[i].data, seeds[i].size);

    uint8_t *data = malloc(INPUT_MAX);
    time_t end = time(NULL) + (getenv("DESKFARM_FULL") ? SECONDS_MAX_FULL : SECONDS_MAX);
    long done = 0;
    for (; data && done < iterations && time(NULL) < end; done++) {
        const struct input *seed = &seeds[below(n_seeds)];
        size_t size = seed->size;
        memcpy(data, seed->data, size);
        for (size_t n = 1 + below(MUTATIONS_MAX); n > 0; n--)
            size = mutate(data, size);
        run(data, size);
    }
    printf("%zu seeds, %ld mutations, seed %s\n", n_seeds, done, argc > 3 ? argv[3] : "1");
    free(data);
    for (size_t i = 0; i < n_seeds; i++)
        free(seeds[i].data);
    return 0;
}
