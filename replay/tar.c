#include "replay/tar.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512

static int put(FILE *tar, const void *data, size_t size)
{
    errno = EIO;
    return fwrite(data, 1, size, tar) == size ? 0 : -errno;
}

static int put_head(FILE *tar, const char *name, size_t size, int64_t wall_us)
{
    char head[BLOCK] = { 0 };
    unsigned sum = 0;
    snprintf(head, 100, "%s", name);
    snprintf(head + 100, 8, "%07o", 0644);
    snprintf(head + 108, 8, "%07o", 0);
    snprintf(head + 116, 8, "%07o", 0);
    snprintf(head + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(head + 136, 12, "%011llo", (unsigned long long)(wall_us / 1000000));
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    return put(tar, head, sizeof head);
}

static int pad(FILE *tar, size_t size)
{
    static const char zeros[BLOCK];
    return put(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

int tar_add(FILE *tar, const char *name, const void *data, size_t size, int64_t wall_us)
{
    int r = put_head(tar, name, size, wall_us);
    if (r == 0)
        r = put(tar, data, size);
    return r < 0 ? r : pad(tar, size);
}

int tar_add_file(FILE *tar, const char *name, const char *path, int64_t wall_us)
{
    char part[65536];
    FILE *from = fopen(path, "re");
    if (!from)
        return -errno;
    fseeko(from, 0, SEEK_END);
    size_t size = (size_t)ftello(from), left = size;
    rewind(from);
    int r = put_head(tar, name, size, wall_us);
    while (r == 0 && left > 0) {
        size_t n = fread(part, 1, MIN(left, sizeof part), from);
        r = n > 0 ? put(tar, part, n) : -EIO;
        left -= n;
    }
    fclose(from);
    return r < 0 ? r : pad(tar, size);
}

int tar_end(FILE *tar)
{
    static const char zeros[2 * BLOCK];
    return put(tar, zeros, sizeof zeros);
}
