/* api-doc: writes what is made from the table, or checks that a committed copy is up to date.
 *
 *   api-doc openapi|markdown              to standard output
 *   api-doc openapi|markdown --check FILE status 1 when FILE differs
 *   api-doc openapi|markdown --write FILE replaces FILE */
#include "api/markdown.h"
#include "api/openapi.h"
#include "base/fs.h"
#include "input/action.h"

#include <stdio.h>
#include <string.h>

static int write_document(const char *kind, struct buf *out)
{
    auto_json json_t *actions = action_schema();
    if (strcmp(kind, "markdown") == 0)
        return api_markdown(actions, out);
    auto_json json_t *document = api_openapi(actions, "1");
    auto_free char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    if (!text)
        return -1;
    buf_puts(out, text);
    return buf_puts(out, "\n");
}

static int check(const char *kind, const char *path, const struct buf *made)
{
    auto_buf struct buf have = BUF_INIT;
    struct error err = { 0 };
    if (fs_read(path, (size_t)16 << 20, &have, &err) < 0) {
        fprintf(stderr, "api-doc: %s\n", err.message);
        return 1;
    }
    if (have.size == made->size && memcmp(have.data, made->data, have.size) == 0)
        return 0;
    fprintf(stderr, "api-doc: %s is out of date: run api-doc %s --write %s\n", path, kind, path);
    return 1;
}

int main(int argc, char **argv)
{
    if ((argc != 2 && argc != 4) ||
        (strcmp(argv[1], "openapi") != 0 && strcmp(argv[1], "markdown") != 0)) {
        fprintf(stderr, "usage: api-doc openapi|markdown [--check FILE | --write FILE]\n");
        return 2;
    }
    auto_buf struct buf out = BUF_INIT;
    if (write_document(argv[1], &out) < 0)
        return 1;
    if (argc == 2)
        return fwrite(out.data, 1, out.size, stdout) == out.size ? 0 : 1;
    if (strcmp(argv[2], "--check") == 0)
        return check(argv[1], argv[3], &out);
    struct error err = { 0 };
    if (fs_write_atomic(argv[3], out.data, out.size, 0644, &err) < 0) {
        fprintf(stderr, "api-doc: %s\n", err.message);
        return 1;
    }
    return 0;
}
