#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct bytes *bytes_new(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct bytes))
        return NULL;
    struct bytes *self = malloc(sizeof *self + size);
    if (self) {
        self->refs = 1;
        self->size = size;
    }
    return self;
}

struct bytes *bytes_copy(const void *data, size_t size)
{
    struct bytes *self = bytes_new(size);
    if (self && size)
        memcpy(self->data, data, size);
    return self;
}

struct bytes *bytes_ref(struct bytes *self)
{
    if (self)
        atomic_fetch_add(&self->refs, 1);
    return self;
}

struct bytes *bytes_unref(struct bytes *self)
{
    if (self && atomic_fetch_sub(&self->refs, 1) == 1)
        free(self);
    return NULL;
}

void buf_deinit(struct buf *self)
{
    free(self->data);
    *self = (struct buf)BUF_INIT;
}

void *buf_reserve(struct buf *self, size_t n)
{
    size_t limit = self->limit ? self->limit : (size_t)1 << 30;
    if (self->failed || n > limit || self->size > limit - n) {
        self->failed = true;
        return NULL;
    }
    size_t need = self->size + n;
    if (need > self->capacity) {
        size_t capacity = MAX(self->capacity * 2, MAX(need, (size_t)256));
        uint8_t *data = realloc(self->data, capacity);
        if (!data) {
            self->failed = true;
            return NULL;
        }
        self->data = data;
        self->capacity = capacity;
    }
    return self->data + self->size;
}

int buf_append(struct buf *self, const void *data, size_t n)
{
    if (n == 0)
        return self->failed ? -ENOMEM : 0;
    void *at = buf_reserve(self, n);
    if (!at)
        return -ENOMEM;
    memcpy(at, data, n);
    self->size += n;
    return 0;
}

int buf_puts(struct buf *self, const char *text)
{
    return buf_append(self, text, strlen(text));
}

int buf_vprintf(struct buf *self, const char *format, va_list ap)
{
    va_list measure;
    va_copy(measure, ap);
    int n = vsnprintf(NULL, 0, format, measure);
    va_end(measure);
    char *at = n < 0 ? NULL : buf_reserve(self, (size_t)n + 1);
    if (!at)
        return -ENOMEM;
    vsnprintf(at, (size_t)n + 1, format, ap);
    self->size += (size_t)n;
    return 0;
}

int buf_printf(struct buf *self, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = buf_vprintf(self, format, ap);
    va_end(ap);
    return r;
}

void buf_consume(struct buf *self, size_t n)
{
    n = MIN(n, self->size);
    if (n < self->size)
        memmove(self->data, self->data + n, self->size - n);
    self->size -= n;
}

int buf_append_base64(struct buf *self, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    char *out = buf_reserve(self, (n + 2) / 3 * 4);
    if (!out)
        return -ENOMEM;
    size_t i = 0;
    for (; i + 2 < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = digits[v >> 6 & 63];
        *out++ = digits[v & 63];
    }
    if (i < n) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    self->size += (n + 2) / 3 * 4;
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int buf_append_base64_text(struct buf *self, const char *text, size_t n)
{
    if (n % 4 != 0)
        return -EINVAL;
    if (n == 0)
        return 0;
    uint8_t *at = buf_reserve(self, n / 4 * 3);
    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < n; i += 4) {
        bool is_last = i + 4 == n;
        size_t n_pad =
            is_last ? (size_t)(text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = k >= 4 - n_pad ? 0 : base64_value(text[i + k]);
            if (value < 0)
                return -EINVAL;
            bits = bits << 6 | (uint32_t)value;
        }
        for (size_t k = 0; k < 3 - n_pad; k++)
            *at++ = (uint8_t)(bits >> (16 - 8 * k));
        self->size += 3 - n_pad;
    }
    return 0;
}

const char *buf_str(struct buf *self)
{
    char *at = buf_reserve(self, 1);
    if (!at)
        return "";
    *at = 0;
    return (const char *)self->data;
}
