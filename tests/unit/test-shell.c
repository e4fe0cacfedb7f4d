/* farm/shell: the mark in a shell's output. The shells themselves run in the integration tests. */
#include "base/buf.h"
#include "farm/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef"
#define MARK "\036" HEX ":"

static void add(void *data, const uint8_t *bytes, size_t size)
{
    cr_assert(gt(sz, size, 0));
    buf_append(data, bytes, size);
}

/* What came before the mark, and the number behind it as text; "…" when there was none. */
static const char *find(const char *output, size_t step, struct buf *out)
{
    struct shell_finder finder = { 0 };
    size_t size = strlen(output);
    memcpy(finder.mark, MARK, SHELL_MARK);
    for (size_t at = 0; at < size; at += step)
        shell_find_mark(&finder, (const uint8_t *)output + at, MIN(step, size - at), add, out);
    if (finder.is_found)
        buf_printf(out, "=%d", finder.number);
    else
        buf_puts(out, "…");
    return buf_str(out);
}

Test(shell_mark, ends_the_output)
{
    static const struct {
        const char *output, *found;
    } rows[] = {
        { MARK "0\036", "=0" },
        { "hello\n" MARK "127\036", "hello\n=127" },
        { "no newline" MARK "3\036 dropped", "no newline=3" },
        { "\036\036" MARK "1\036", "\036\036=1" },
        { "\0360123456789abcdef0123456789abcdef" MARK "1\036", "\0360123456789abcdef0123456789abcdef=1" },
        { "\036" HEX ";" MARK "1\036", "\036" HEX ";=1" },
        { "\0360\036" "01" MARK "1\036", "\0360\036" "01=1" },
        { "plain", "plain…" },
        { "cut " MARK, "cut …" },
        { "cut " MARK "12", "cut …" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].output) + 1; step++) {
            auto_buf struct buf out = BUF_INIT;
            cr_assert(eq(str, (char *)find(rows[i].output, step, &out), (char *)rows[i].found),
                      "row %zu in steps of %zu", i, step);
        }
}
