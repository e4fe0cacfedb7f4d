/* search and replace. Each runs in a child as the chosen user.
 *
 *   {"op": "search", "path": "/src", "glob": "*.c", "content": "needle", "regex": false,
 *    "ignore_case": false, "limit": 1000}
 *        → without content an entry per file, as list gives it; with content a line
 *          {"path", "line", "column", "text"} per match; then {"count", "files", "truncated"}
 *   {"op": "replace", "path": "/src/a.c", "old": "x", "new": "y", "limit": n} → {"count"}
 *
 * A glob with a '/' is matched with the path below "path", one without with the name. Lines are cut
 * at LINE_MAX_BYTES before they are looked at; a file with a NUL byte in its first 4096 is binary
 * and is not looked into. Columns count bytes from 1. */
#include "images/agent/files.h"
#include "images/agent/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define WALK_FDS 32
#define LINE_MAX_BYTES 4096
#define REPLACE_MAX ((size_t)64 << 20)
#define BINARY_PROBE 4096

/* nftw takes no data of ours; a child does one thing. */
static struct {
    size_t root_size; /* of the path's text, with its '/' */
    const char *glob, *content;
    bool is_regex, ignores_case;
    regex_t regex;
    int64_t limit, count, n_files;
    bool is_truncated;
} search;

static bool is_name_good(const char *path, struct FTW *where)
{
    if (!search.glob)
        return true;
    const char *name = strchr(search.glob, '/') ? path + search.root_size : path + where->base;
    return fnmatch(search.glob, name, FNM_PERIOD) == 0;
}

/* Offset of the first match in the line, or -1. */
static int find(const char *line)
{
    if (search.is_regex) {
        regmatch_t match;
        return regexec(&search.regex, line, 1, &match, 0) == 0 ? (int)match.rm_so : -1;
    }
    const char *at = search.ignores_case ? strcasestr(line, search.content)
                                         : strstr(line, search.content);
    return at ? (int)(at - line) : -1;
}

static void tell_match(const char *path, int64_t number, int column, const char *line)
{
    json_t *match = json_object();
    files_set_text(match, "path", path, strlen(path));
    json_object_set_new(match, "line", json_integer(number));
    json_object_set_new(match, "column", json_integer(column + 1));
    files_set_text(match, "text", line, strlen(line));
    work_line(match);
}

static bool is_binary(FILE *file)
{
    static char probe[BINARY_PROBE];
    size_t n = fread(probe, 1, sizeof probe, file);
    rewind(file);
    return memchr(probe, '\0', n) != NULL;
}

/* Reads to the end of the line; keeps the beginning. False at the end of the file. */
static bool read_line(FILE *file, char line[LINE_MAX_BYTES])
{
    if (!fgets(line, LINE_MAX_BYTES, file))
        return false;
    size_t size = strcspn(line, "\n");
    bool is_cut = line[size] != '\n';
    line[size] = '\0';
    for (int c = 0; is_cut && c != '\n' && c != EOF;)
        c = getc(file);
    return true;
}

static int search_file(const char *path)
{
    static char line[LINE_MAX_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    int64_t number = 0;
    bool is_hit = false;
    if (!file)
        return FTW_CONTINUE;
    bool is_text = !is_binary(file);
    while (is_text && !search.is_truncated && read_line(file, line)) {
        number++;
        int column = find(line);
        if (column < 0)
            continue;
        if (search.count >= search.limit) {
            search.is_truncated = true;
            break;
        }
        search.count++;
        is_hit = true;
        tell_match(path, number, column, line);
    }
    search.n_files += is_hit;
    fclose(file);
    return search.is_truncated ? FTW_STOP : FTW_CONTINUE;
}

static int search_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    if (type == FTW_NS || type == FTW_DNR || where->level == 0 || !is_name_good(path, where))
        return FTW_CONTINUE;
    if (search.content)
        return S_ISREG(info->st_mode) ? search_file(path) : FTW_CONTINUE;
    if (search.count >= search.limit) {
        search.is_truncated = true;
        return FTW_STOP;
    }
    search.count++;
    search.n_files++;
    work_line(files_entry(path, info));
    return FTW_CONTINUE;
}

int search_run(struct work *work)
{
    const char *path = work_path(work, "path");
    auto_free char *real = path ? realpath(path, NULL) : NULL;
    if (!path)
        return 1;
    if (!real || access(real, R_OK | X_OK) < 0)
        return work_errno(work, errno, "%s", path);
    search.root_size = strcmp(real, "/") == 0 ? 1 : strlen(real) + 1;
    search.glob = json_get_string(work->request, "glob", NULL);
    search.content = json_get_string(work->request, "content", NULL);
    search.is_regex = json_get_bool(work->request, "regex", false);
    search.ignores_case = json_get_bool(work->request, "ignore_case", false);
    search.limit = CLAMP(json_get_int(work->request, "limit", 1000), 1, 1000000);
    int flags = REG_EXTENDED | (search.ignores_case ? REG_ICASE : 0);
    if (search.content && search.is_regex && regcomp(&search.regex, search.content, flags) != 0)
        return work_fail(work, "bad_value", "content: not a regular expression");
    if (nftw(real, search_one, WALK_FDS, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
        return work_errno(work, errno, "%s", path);
    return work_result(work, json_pack("{s:I, s:I, s:b}", "count", (json_int_t)search.count,
                                       "files", (json_int_t)search.n_files, "truncated",
                                       search.is_truncated));
}

/* --- Replacing ------------------------------------------------------------------------------- */

static int read_whole(struct work *work, const char *path, struct buf *out)
{
    struct stat info;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) < 0)
        return work_errno(work, errno, "%s", path);
    if (!S_ISREG(info.st_mode))
        return work_errno(work, S_ISDIR(info.st_mode) ? EISDIR : EINVAL, "%s", path);
    for (;;) {
        char *at = buf_reserve(out, 65536);
        if (!at)
            return work_errno(work, EFBIG, "%s", path);
        ssize_t n = read(fd, at, 65536);
        if (n < 0)
            return work_errno(work, errno, "%s", path);
        if (n == 0)
            return 0;
        out->size += (size_t)n;
    }
}

static int64_t substitute(const struct buf *in, const char *from, const char *to, int64_t limit,
                          struct buf *out)
{
    size_t size = strlen(from), done = 0;
    int64_t count = 0;
    const uint8_t *at;
    while (count < limit && (at = memmem(in->data + done, in->size - done, from, size))) {
        buf_append(out, in->data + done, (size_t)(at - in->data) - done);
        buf_puts(out, to);
        done = (size_t)(at - in->data) + size;
        count++;
    }
    buf_append(out, in->data + done, in->size - done);
    return count;
}

static int write_whole(struct work *work, const char *path, const struct buf *text)
{
    struct new_file file;
    if (new_file_open(&file, path, work) != 0)
        return 1;
    for (size_t done = 0; done < text->size;) {
        ssize_t n = write(file.fd, text->data + done, text->size - done);
        if (n < 0) {
            int err = errno;
            new_file_drop(&file);
            return work_errno(work, err, "%s", path);
        }
        done += (size_t)n;
    }
    return new_file_commit(&file, work);
}

int search_replace(struct work *work)
{
    const char *path = work_path(work, "path");
    const char *from = json_get_string(work->request, "old", "");
    const char *to = json_get_string(work->request, "new", NULL);
    int64_t limit = json_get_int(work->request, "limit", INT64_MAX);
    auto_buf struct buf in = { .limit = REPLACE_MAX }, out = { .limit = 2 * REPLACE_MAX };
    if (!path)
        return 1;
    if (!from[0] || !to)
        return work_fail(work, "bad_value", "old: not empty; new: a string");
    if (read_whole(work, path, &in) != 0)
        return 1;
    int64_t count = in.size ? substitute(&in, from, to, limit, &out) : 0;
    if (out.failed)
        return work_errno(work, EFBIG, "%s", path);
    if (count > 0 && write_whole(work, path, &out) != 0)
        return 1;
    return work_result(work, json_pack("{s:I}", "count", (json_int_t)count));
}
