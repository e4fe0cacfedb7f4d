#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static _Atomic int current_level = LOG_INFO;

void log_set_level(enum log_level level)
{
    current_level = (int)level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
    if ((int)level > current_level)
        return;
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);

    char line[2048];
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %-5s %s: ", ts.tv_nsec / 1000000,
                          level_names[level], module);
    va_list ap;
    va_start(ap, format);
    int text = vsnprintf(line + n, sizeof line - n - 1, format, ap);
    va_end(ap);
    if (text > 0)
        n = MIN(n + (size_t)text, sizeof line - 2);
    /* A guest or client may have had a hand in the text: one record stays one line. */
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[n++] = '\n';
    /* One write, so that records of several threads do not mix. */
    ssize_t ignored maybe_unused = write(STDERR_FILENO, line, n);
}
