/* Files by way of the QEMU guest agent: opened, read or written in chunks one after the other,
 * closed when the call ends. A file is written in place; the guest agent has no rename. */
#include "hypervisor/qga-call.h"

#include <string.h>

static bool take_handle(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return false;
    self->handle = json_is_integer(ret) ? json_integer_value(ret) : -1;
    if (self->handle < 0)
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent did not tell a handle");
    return self->handle >= 0;
}

static void open_file(struct qga_call *self, const char *mode, qga_done_fn done)
{
    const char *path = json_get_string(self->request, "path", "");
    if (path[0] != '/' && !strchr(path, ':'))
        qga_call_fail(self, ERROR_BAD_VALUE, "path: an absolute path is needed");
    else
        qga_call_ask(self, "guest-file-open", json_pack("{s:s, s:s}", "path", path, "mode", mode), done);
}

static void handle_read(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    size_t before = self->out[0].size;
    if (qga_call_append(self, 0, ret, "buf-b64") < 0 || self->out[0].size - before > QGA_CHUNK) {
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent answered something else than asked for");
        return;
    }
    int64_t n = (int64_t)(self->out[0].size - before);
    self->n_done += n;
    self->left -= n;
    if (n == 0 || json_get_bool(ret, "eof", false))
        self->left = 0;
    self->op->go_on(self);
}

void qga_file_read_on(struct qga_call *self)
{
    if (self->handle < 0 || self->is_asking || self->result)
        return;
    if (self->left <= 0)
        self->result = json_pack("{s:I, s:I}", "size", (json_int_t)self->size, "sent",
                                 (json_int_t)self->n_done);
    else if (qga_call_is_delivered(self, 0) && self->n_unread < AGENT_WINDOW)
        qga_call_ask(self, "guest-file-read",
            json_pack("{s:I, s:I}", "handle", (json_int_t)self->handle, "count",
                      (json_int_t)MIN(self->left, (int64_t)QGA_CHUNK)),
            handle_read);
    qga_call_deliver(self);
}

static void handle_sought(struct qga_call *self, const json_t *ret maybe_unused,
                          const struct error *err)
{
    if (qga_call_take(self, err))
        qga_file_read_on(self);
}

static void seek(struct qga_call *self, int64_t offset, const char *whence, qga_done_fn done)
{
    qga_call_ask(self, "guest-file-seek",
        json_pack("{s:I, s:I, s:s}", "handle", (json_int_t)self->handle, "offset",
                  (json_int_t)offset, "whence", whence),
        done);
}

static void handle_size(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    int64_t offset = json_get_int(self->request, "offset", 0);
    int64_t length = json_get_int(self->request, "length", INT64_MAX);
    self->size = json_get_int(ret, "position", 0);
    self->left = MIN(length, MAX(self->size - offset, (int64_t)0));
    seek(self, MIN(offset, self->size), "set", handle_sought);
}

static void handle_opened(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (take_handle(self, ret, err))
        seek(self, 0, "end", handle_size);
}

void qga_file_read(struct qga_call *self)
{
    if (json_get_int(self->request, "offset", 0) < 0 || json_get_int(self->request, "length", 0) < 0)
        qga_call_fail(self, ERROR_BAD_VALUE, "offset and length may not be negative");
    else
        open_file(self, "r", handle_opened);
}

static void handle_written(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    int64_t n = json_get_int(ret, "count", 0);
    if (n <= 0 || n > (int64_t)self->in.size) {
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent wrote something else than asked for");
        return;
    }
    buf_consume(&self->in, (size_t)n);
    self->n_done += n;
    if (self->wants_write && self->ops->on_writable) {
        self->wants_write = false;
        self->ops->on_writable(self->data);
    }
    if (!self->is_ended)
        self->op->go_on(self);
}

static void handle_flushed(struct qga_call *self, const json_t *ret maybe_unused,
                           const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    self->result = json_pack("{s:I}", "size", (json_int_t)self->n_done);
    qga_call_deliver(self);
}

void qga_file_write_on(struct qga_call *self)
{
    if (self->handle < 0 || self->is_asking || self->result)
        return;
    if (self->in.size == 0 && self->has_in_eof) {
        qga_call_ask(self, "guest-file-flush", json_pack("{s:I}", "handle", (json_int_t)self->handle),
            handle_flushed);
        return;
    }
    if (self->in.size == 0)
        return;
    auto_buf struct buf text = BUF_INIT;
    buf_append_base64(&text, self->in.data, MIN(self->in.size, (size_t)QGA_CHUNK));
    qga_call_ask(self, "guest-file-write",
        json_pack("{s:I, s:s}", "handle", (json_int_t)self->handle, "buf-b64", buf_str(&text)),
        handle_written);
}

static void handle_created(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (take_handle(self, ret, err))
        qga_file_write_on(self);
}

void qga_file_write(struct qga_call *self)
{
    if (json_object_get(self->request, "mode") || json_object_get(self->request, "owner") ||
        json_object_get(self->request, "group_owner"))
        qga_call_fail(self, ERROR_UNSUPPORTED, "the QEMU guest agent sets no mode and no owner");
    else
        open_file(self, "w", handle_created);
}
