#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    const char *text;
} codes[] = {
#define ERROR_ROW(sym, code, status, text) [ERROR_##sym] = { code, status, text },
    ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};

_Static_assert(ARRAY_LEN(codes) == ERROR_COUNT, "one row per error code");

int error_set(struct error *e, enum error_code code, const char *format, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, format);
        e->is_set = true;
        e->code = code;
        vsnprintf(e->message, sizeof e->message, format, ap);
        va_end(ap);
    }
    return -EPROTO;
}

int error_errno(struct error *e, int err, const char *format, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, format);
        e->is_set = true;
        e->code = err == ENOSPC || err == EDQUOT ? ERROR_DISK_FULL
                  : err == EADDRINUSE            ? ERROR_PORT_IN_USE
                                                 : ERROR_INTERNAL;
        int n = vsnprintf(e->message, sizeof e->message, format, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof e->message)
            snprintf(e->message + n, sizeof e->message - (size_t)n, ": %s", strerror(err));
    }
    return err > 0 ? -err : -EPROTO;
}

void error_wrap(struct error *e, const char *format, ...)
{
    if (!e || !e->is_set)
        return;
    char chain[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(chain, sizeof chain, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof chain)
        return;
    /* The cause is cut when the chain is full; what was being done stays. */
    char *at = stpncpy(chain + n, ": ", sizeof chain - (size_t)n - 1);
    strncpy(at, e->message, sizeof chain - (size_t)(at - chain) - 1);
    chain[sizeof chain - 1] = 0;
    memcpy(e->message, chain, sizeof chain);
}

const char *error_code_name(enum error_code code)
{
    return codes[code].name;
}

int error_code_status(enum error_code code)
{
    return codes[code].status;
}

const char *error_code_text(enum error_code code)
{
    return codes[code].text;
}
