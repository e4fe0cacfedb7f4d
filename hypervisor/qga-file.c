/* Files by way of the QEMU guest agent: opened, read or written in chunks one after the other,
 * closed when the call ends.
 *
 * A file is written under another name beside its own, and gets its own when it is whole, by a program
 * of the guest, because the agent has no rename; so do its mode and its owner. In a guest that runs no
 * programs for us it is written in place. A guest whose session ends in between keeps the part.
 *
 * Windows says in its own language why a file cannot be opened, and of a directory only that access is
 * denied. What is not understood is asked again by a script. */
#include "hypervisor/qga-call.h"

#include "base/id.h"
#include "hypervisor/windows-script.h"
#include "hypervisor/windows.h"

#include <stdio.h>
#include <string.h>

#define PARTS "if [ -n \"$3\" ]; then chmod -- \"$3\" \"$1\"; elif [ -e \"$2\" ]; then " \
              "chmod --reference=\"$2\" -- \"$1\"; chown --reference=\"$2\" -- \"$1\" || :; fi && " \
              "if [ -n \"$4\" ]; then chown -- \"$4\" \"$1\"; fi && mv -fT -- \"$1\" \"$2\" || { rm -f -- \"$1\"; exit 1; }"

static bool take_handle(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return false;
    self->handle = json_is_integer(ret) ? json_integer_value(ret) : -1;
    if (self->handle < 0)
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent did not tell a handle");
    return self->handle >= 0;
}

/* What is wrong with a path, or NULL. */
static const char *path_fault(const struct qga_call *self, const char *path)
{
    if (self->qga->is_windows)
        return windows_path_fault(path);
    return path[0] == '/' ? NULL : "an absolute path is needed";
}

static const char *path_of(const struct qga_call *self)
{
    return json_get_string(self->request, "path", "");
}

static void open_file(struct qga_call *self, const char *path, const char *mode, qga_done_fn done)
{
    const char *fault = path_fault(self, path_of(self));
    struct error err;
    if (fault) {
        error_set(&err, ERROR_BAD_VALUE, "%s: path: %s", self->name, fault);
        qga_call_end(self, NULL, &err);
        return;
    }
    qga_call_ask(self, "guest-file-open", json_pack("{s:s, s:s}", "path", path, "mode", mode), done);
}

/* --- Reading ---------------------------------------------------------------------------------- */

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

/* The script found the same, or what it is. */
static void handle_probed(struct qga_call *self, const json_t *result maybe_unused, const struct error *err)
{
    struct error why = err && err->code != ERROR_GUEST_FAILED ? *err : self->why;
    qga_call_end(self, NULL, &why);
}

/* Whether it is being asked why a file could not be opened. */
static bool asks_why(struct qga_call *self, const struct error *err)
{
    if (!err || !self->qga->is_windows || !qga_has_command(self->qga, "guest-exec") ||
        (err->code != ERROR_GUEST_FAILED && err->code != ERROR_FORBIDDEN))
        return false;
    self->is_asking = false;
    self->why = *err;
    qga_script(self, "probe", self->request, handle_probed);
    return true;
}

static void handle_opened(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!asks_why(self, err) && take_handle(self, ret, err))
        seek(self, 0, "end", handle_size);
}

void qga_file_read(struct qga_call *self)
{
    if (json_get_int(self->request, "offset", 0) < 0 || json_get_int(self->request, "length", 0) < 0)
        qga_call_fail(self, ERROR_BAD_VALUE, "offset and length may not be negative");
    else
        open_file(self, path_of(self), "r", handle_opened);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void finish_write(struct qga_call *self)
{
    self->result = json_pack("{s:I}", "size", (json_int_t)self->n_done);
    qga_call_deliver(self);
}

static void handle_placed(struct qga_call *self, const json_t *result maybe_unused, const struct error *err)
{
    free(self->temp); /* its script removed it when it failed */
    self->temp = NULL;
    if (err)
        qga_call_end(self, NULL, err);
    else
        finish_write(self);
}

static void handle_moved(struct qga_call *self, const json_t *status)
{
    struct error err;
    auto_buf struct buf text = BUF_INIT;
    const char *said = json_get_string(status, "err-data", "");
    bool is_good = json_get_int(status, "exitcode", -1) == 0;
    if (!is_good && buf_append_base64_text(&text, said, strlen(said)) < 0)
        text.size = 0;
    if (!is_good)
        agent_guest_error(&err, self->name, qga_text_code(buf_str(&text)), buf_str(&text));
    handle_placed(self, NULL, is_good ? NULL : &err);
}

static const char *owner_text(const json_t *request, char *text, size_t size)
{
    const char *owner = json_get_string(request, "owner", ""), *group = json_get_string(request, "group_owner", "");
    snprintf(text, size, *group ? "%s:%s" : "%s", owner, group);
    return text;
}

static void place_file(struct qga_call *self)
{
    const json_t *mode = json_object_get(self->request, "mode");
    auto_json json_t *facts = json_pack("{s:s, s:s, s:O*}", "temp", self->temp, "path", path_of(self), "mode", mode);
    char digits[16] = "", owner[160];
    if (self->qga->is_windows) {
        qga_script(self, "place", facts, handle_placed);
        return;
    }
    if (json_is_integer(mode))
        snprintf(digits, sizeof digits, "%o", (unsigned)(json_integer_value(mode) & 07777));
    qga_run(self, json_pack("{s:s, s:[s,s,s,s,s,s,s], s:[s,s], s:b}", "path", "/bin/sh", "arg", "-c", PARTS, "sh",
                            self->temp, path_of(self), digits, owner_text(self->request, owner, sizeof owner), "env",
                            "LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                            "capture-output", 1), NULL, handle_moved);
}

static void handle_closed(struct qga_call *self, const json_t *ret maybe_unused, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    self->handle = -1;
    place_file(self);
}

void qga_file_clean(struct qga_call *self)
{
    auto_json json_t *request = json_pack("{s:s}", "path", self->temp);
    json_t *args = self->qga->is_windows ? windows_script("remove", request, NULL)
                                         : json_pack("{s:s, s:[s,s,s]}", "path", "rm", "arg", "-f", "--", self->temp);
    if (args)
        qga_command(self->qga, "guest-exec", args, NULL, NULL);
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
    if (self->temp)
        qga_call_ask(self, "guest-file-close", json_pack("{s:I}", "handle", (json_int_t)self->handle), handle_closed);
    else
        finish_write(self);
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

static void handle_created(struct qga_call *self, const json_t *ret, const struct error *err);

static void handle_parents(struct qga_call *self, const json_t *result maybe_unused, const struct error *err)
{
    if (err)
        qga_call_end(self, NULL, err);
    else
        open_file(self, self->temp, "w", handle_created);
}

static void handle_made(struct qga_call *self, const json_t *status)
{
    struct error err;
    bool is_good = json_get_int(status, "exitcode", -1) == 0;
    if (!is_good)
        agent_guest_error(&err, self->name, ERROR_NOT_FOUND, "the directory is not there and cannot be made");
    handle_parents(self, NULL, is_good ? NULL : &err);
}

static void make_parents(struct qga_call *self)
{
    const char *path = path_of(self), *end = strrchr(path, '/'), *other = strrchr(path, '\\');
    if (self->qga->is_windows && other > end)
        end = other;
    auto_free char *dir = strndup(path, (size_t)(end - path));
    auto_json json_t *request = json_pack("{s:s}", "path", dir ? dir : "");
    self->has_parents = true;
    self->is_asking = false;
    if (self->qga->is_windows)
        qga_script(self, "mkdir", request, handle_parents);
    else
        qga_run(self, json_pack("{s:s, s:[s,s,s], s:b}", "path", "mkdir", "arg", "-p", "--", dir ? dir : "",
                                "capture-output", 1), NULL, handle_made);
}

/* Without a directory there is nothing yet that would have to be cleaned away. */
static void handle_created(struct qga_call *self, const json_t *ret, const struct error *err)
{
    bool may_make = self->temp && !self->has_parents && json_get_bool(self->request, "parents", true);
    if (err && err->code == ERROR_NOT_FOUND && may_make) {
        make_parents(self);
        return;
    }
    if (err) {
        free(self->temp);
        self->temp = NULL;
    }
    if (take_handle(self, ret, err))
        qga_file_write_on(self);
}

void qga_file_write(struct qga_call *self)
{
    bool has_programs = qga_has_command(self->qga, "guest-exec");
    bool sets_owner = json_object_get(self->request, "owner") || json_object_get(self->request, "group_owner");
    uint32_t mark;
    id_random(&mark, sizeof mark);
    if (sets_owner && self->qga->is_windows)
        qga_call_fail(self, ERROR_UNSUPPORTED, "owner and group are not set on Windows");
    else if ((sets_owner || json_object_get(self->request, "mode")) && !has_programs)
        qga_call_fail(self, ERROR_UNSUPPORTED, "this guest's agent runs no programs, and sets no mode and no owner");
    else if (has_programs && asprintf(&self->temp, "%s.%08x.part", path_of(self), (unsigned)mark) < 0)
        qga_call_fail(self, ERROR_INTERNAL, "memory is short");
    else
        open_file(self, self->temp ? self->temp : path_of(self), "w", handle_created);
}
