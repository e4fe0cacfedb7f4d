/* Operations on files of a Linux guest that the QEMU guest agent has no command for: each is a few words of
 * sh, which gets its fields as arguments and says in English what is wrong.
 *
 * Only the usual programs are needed (stat, mkdir, mv, rm, find of coreutils and findutils). */
#include "hypervisor/qga-call.h"

#include "base/file-type.h"

#include <stdio.h>
#include <string.h>

static const struct row {
    const char *op, *script;
} rows[] = {
    { "stat", "if [ \"$3\" = y ]; then exec stat -L -c '%f %s %u %g %Y %U %G' -- \"$1\"; "
              "else exec stat -c '%f %s %u %g %Y %U %G' -- \"$1\"; fi" },
    { "mkdir", "if [ \"$4\" = y ]; then mkdir -p -- \"$1\"; else mkdir -- \"$1\"; fi && "
               "{ [ -z \"$6\" ] || chmod -- \"$6\" \"$1\"; }" },
    { "move", "if [ \"$5\" = n ] && [ -e \"$2\" ]; then echo 'File exists' >&2; exit 1; fi; exec mv -fT -- \"$1\" \"$2\"" },
    { "remove", "if [ -d \"$1\" ] && [ ! -L \"$1\" ]; then if [ \"$7\" = y ]; then find \"$1\" -printf x; exec rm -rf -- \"$1\"; "
                "fi; printf x; exec rmdir -- \"$1\"; fi; printf x; exec rm -- \"$1\"" },
};

static const char *flag(const struct qga_call *self, const char *name, bool fallback)
{
    return json_get_bool(self->request, name, fallback) ? "y" : "n";
}

/* NULL: what stat said is no such line. */
static json_t *parse_stat(const char *text, const char *path)
{
    unsigned mode, uid, gid;
    long long size, time_s;
    char owner[64] = "", group[64] = "";
    if (sscanf(text, "%x %lld %u %u %lld %63s %63s", &mode, &size, &uid, &gid, &time_s, owner, group) != 7 || size < 0 ||
        time_s < 0 || time_s > INT64_MAX / 1000000)
        return NULL;
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:I}", "path", path, "type", file_type_name(mode), "size",
                     (json_int_t)size, "mode", (json_int_t)(mode & 07777), "uid", (json_int_t)uid, "gid", (json_int_t)gid,
                     "owner", owner, "group", group, "mtime_us", (json_int_t)(time_s * 1000000));
}

static json_t *make_result(const struct qga_call *self, const char *text, size_t size)
{
    if (strcmp(self->name, "stat") == 0)
        return parse_stat(text, json_get_string(self->request, "path", ""));
    if (strcmp(self->name, "remove") == 0)
        return json_pack("{s:I}", "count", (json_int_t)size); /* a byte for each */
    return json_object();
}

static void handle_exit(struct qga_call *self, const json_t *status)
{
    auto_buf struct buf out = BUF_INIT, said = BUF_INIT;
    const char *text = json_get_string(status, "out-data", ""), *why = json_get_string(status, "err-data", "");
    struct error err;
    if (buf_append_base64_text(&out, text, strlen(text)) < 0 || buf_append_base64_text(&said, why, strlen(why)) < 0) {
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent answered something else than base64");
        return;
    }
    if (json_get_int(status, "exitcode", -1) != 0) {
        agent_guest_error(&err, self->name, qga_text_code(buf_str(&said)), buf_str(&said));
        qga_call_end(self, NULL, &err);
        return;
    }
    self->result = make_result(self, buf_str(&out), out.size);
    if (self->result)
        qga_call_deliver(self);
    else
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's stat said something else than asked for");
}

void qga_linux_begin(struct qga_call *self)
{
    const struct row *row = rows;
    const char *path = json_get_string(self->request, "path", json_get_string(self->request, "from", ""));
    const char *to = json_get_string(self->request, "to", "/");
    const json_t *mode = json_object_get(self->request, "mode");
    char digits[16] = "";
    while (strcmp(row->op, self->name) != 0)
        row++;
    if (path[0] != '/' || to[0] != '/') {
        qga_call_fail(self, ERROR_BAD_VALUE, "an absolute path is needed");
        return;
    }
    if (json_object_get(self->request, "owner") || json_object_get(self->request, "group_owner")) {
        qga_call_fail(self, ERROR_UNSUPPORTED, "owner and group are only set of a file that is written");
        return;
    }
    if (json_is_integer(mode))
        snprintf(digits, sizeof digits, "%o", (unsigned)(json_integer_value(mode) & 07777));
    qga_run(self, json_pack("{s:s, s:[s,s,s,s,s,s,s,s,s,s], s:[s,s], s:b}", "path", "/bin/sh", "arg", "-c", row->script,
                            "sh", path, to, flag(self, "follow", true), flag(self, "parents", true),
                            flag(self, "overwrite", true), digits, flag(self, "recursive", false), "env", "LC_ALL=C",
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "capture-output", 1),
            NULL, handle_exit);
}
