/* A QEMU guest agent as it is on Windows, for a Linux guest that has no other (windows.test.mjs): the
 * same port and words, a small file system by Windows' rules, its texts of errors, and a machine that goes
 * down in the middle. Programs are not run: what is asked for is taken apart as Windows would, compared
 * with what may be asked, and answered. What no Windows would take is kept and told by the command
 * `violations`, so a test sees it. Sources: qga/commands-win32.c and guest-exec of QEMU 7.2, seen from
 * outside.
 *
 * Commands of its cmd.exe: echo TEXT, exit N, oem (CP437), wide (UTF-16), never, silent (the agent does not
 * answer), shutdown /r, vss off, vss on, violations. */
#include "base/buf.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "chcp 65001>nul&"
#define FILES_MAX 64
#define RUNS_MAX 64
#define HANDLE_BASE 1000
#define PID_BASE 4000

static struct file {
    char path[512];
    bool is_used, is_directory, is_read_only;
    struct buf data;
} files[FILES_MAX];

static struct run {
    bool is_used, is_running;
    long long code;
    struct buf out, err;
} runs[RUNS_MAX];

static struct {
    struct file *file; /* NULL: free */
    size_t at;
} handles[8];

static struct buf violations = BUF_INIT, clipboard = BUF_INIT;
static bool is_frozen, has_vss = true, must_reboot, is_silent;
static int port = -1, first_pid = PID_BASE;

static void violate(const char *what)
{
    buf_printf(&violations, "%s\n", what);
}

/* --- Files ------------------------------------------------------------------------------------ */

static void normalize(const char *path, char ret[512])
{
    snprintf(ret, 512, "%s", path);
    for (char *at = ret; *at; at++)
        if (*at == '/')
            *at = '\\';
    size_t size = strlen(ret);
    if (size > 3 && ret[size - 1] == '\\')
        ret[size - 1] = '\0';
}

static struct file *find(const char *path)
{
    char wanted[512];
    normalize(path, wanted);
    for (size_t i = 0; i < FILES_MAX; i++)
        if (files[i].is_used && strcasecmp(files[i].path, wanted) == 0)
            return &files[i];
    return NULL;
}

static struct file *add(const char *path, bool is_directory)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (files[i].is_used)
            continue;
        files[i] = (struct file){ .is_used = true, .is_directory = is_directory };
        normalize(path, files[i].path);
        return &files[i];
    }
    return NULL;
}

/* The directory that holds it; NULL: there is none. */
static struct file *parent(const char *path)
{
    char dir[512];
    normalize(path, dir);
    char *slash = strrchr(dir, '\\');
    if (!slash)
        return NULL;
    slash[slash == dir + 2] = '\0'; /* C:\ keeps its backslash */
    struct file *it = find(dir);
    return it && it->is_directory ? it : NULL;
}

static bool holds(const struct file *dir, const struct file *it)
{
    size_t size = strlen(dir->path);
    size -= dir->path[size - 1] == '\\';
    return it->is_used && it != dir && strncasecmp(it->path, dir->path, size) == 0 && it->path[size] == '\\' &&
           it->path[size + 1];
}

static void drop(struct file *it)
{
    buf_deinit(&it->data);
    *it = (struct file){ 0 };
}

/* --- What PowerShell is asked ------------------------------------------------------------------ */

static json_t *fault(int number, const char *text)
{
    return json_pack("{s:{s:i, s:s}}", "error", "number", number, "text", text);
}

static json_t *entry(const struct file *it)
{
    return json_pack("{s:s, s:s, s:I, s:i, s:i, s:i, s:I}", "path", it->path, "type",
                     it->is_directory ? "directory" : "file", "size", (json_int_t)it->data.size, "mode",
                     it->is_directory ? 0777 : it->is_read_only ? 0444 : 0666, "uid", 0, "gid", 0, "mtime_us",
                     (json_int_t)1700000000000000);
}

static json_t *list(struct file *dir, struct buf *out)
{
    int n = 0;
    if (!dir->is_directory)
        return fault(267, "Der Verzeichnisname ist ungültig.");
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (!holds(dir, &files[i]) || parent(files[i].path) != dir)
            continue;
        auto_json json_t *line = entry(&files[i]);
        json_write(line, out);
        buf_puts(out, "\n");
        n++;
    }
    return json_pack("{s:i, s:b}", "count", n, "truncated", 0);
}

static json_t *make_directories(const char *path)
{
    char dir[512];
    normalize(path, dir);
    for (char *at = strchr(dir + 3, '\\');; at = strchr(at + 1, '\\')) {
        if (at)
            *at = '\0';
        struct file *it = find(dir);
        if (it && !it->is_directory)
            return fault(183, "Eine Datei kann nicht erstellt werden, wenn sie bereits vorhanden ist.");
        if (!it)
            add(dir, true);
        if (!at)
            return json_object();
        *at = '\\';
    }
}

static json_t *move(const char *from, const char *to, bool may_replace)
{
    struct file *it = find(from), *old = find(to);
    if (!it)
        return fault(2, "Die Datei wurde nicht gefunden.");
    if (old && old->is_directory)
        return fault(336, "Das ist ein Verzeichnis.");
    if (old && !may_replace)
        return fault(183, "Die Datei ist bereits vorhanden.");
    if (!parent(to))
        return fault(3, "Der Pfad wurde nicht gefunden.");
    if (old)
        drop(old);
    normalize(to, it->path);
    return json_object();
}

static json_t *remove_tree(struct file *it, bool is_recursive)
{
    int n = 1;
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (!holds(it, &files[i]))
            continue;
        if (!is_recursive)
            return fault(145, "Das Verzeichnis ist nicht leer.");
        drop(&files[i]);
        n++;
    }
    drop(it);
    return json_pack("{s:i}", "count", n);
}

static json_t *place(const json_t *p)
{
    const char *temp = json_get_string(p, "temp", ""), *path = json_get_string(p, "path", "");
    json_t *result = move(temp, path, true);
    struct file *it = find(path);
    if (json_object_get(result, "error") && find(temp))
        drop(find(temp));
    else if (it && json_object_get(p, "mode"))
        it->is_read_only = !(json_get_int(p, "mode", 0) & 0200);
    return result;
}

static json_t *launch(const json_t *p, const char *script)
{
    const char *line = json_get_string(p, "line", "");
    if (!strstr(script, "WTSQueryUserToken") || !strstr(script, "winsta0"))
        violate("a program with a window would start in session 0");
    if (strncmp(line, "nobody.exe", 10) == 0)
        return fault(1008, "Es ist kein Benutzer angemeldet.");
    return json_pack("{s:i, s:[], s:i, s:s}", "pid", 4711, "windows", "count", 0, "line", line);
}

static json_t *clip(bool is_set, const json_t *p, const char *script, const struct buf *input, struct buf *out)
{
    if (!strstr(script, "WTSQueryUserToken"))
        violate("the clipboard would be that of session 0");
    if (is_set) {
        clipboard.size = 0;
        buf_append(&clipboard, input->data, input->size);
        return json_pack("{s:I}", "size", (json_int_t)clipboard.size);
    }
    if (strcmp(json_get_string(p, "type", ""), "image") == 0)
        return json_pack("{s:s, s:i, s:[s]}", "type", "", "size", 0, "targets", "UnicodeText");
    buf_append(out, clipboard.data, clipboard.size);
    return json_pack("{s:s, s:I, s:[s]}", "type", "text", "size", (json_int_t)clipboard.size, "targets", "UnicodeText");
}

static json_t *with_file(const char *op, const json_t *p, struct buf *out)
{
    const char *path = json_get_string(p, "path", "");
    struct file *it = find(path);
    if (strcmp(op, "mkdir") == 0)
        return make_directories(path);
    if (!it)
        return fault(2, "Die Datei wurde nicht gefunden.");
    if (strcmp(op, "stat") == 0)
        return entry(it);
    if (strcmp(op, "list") == 0)
        return list(it, out);
    if (strcmp(op, "remove") == 0)
        return remove_tree(it, json_get_bool(p, "recursive", false));
    if (strcmp(op, "permissions") == 0) {
        it->is_read_only = !(json_get_int(p, "mode", 0) & 0200);
        return json_pack("{s:i}", "count", 1);
    }
    if (strcmp(op, "probe") == 0)
        return it->is_directory ? fault(336, "Das ist ein Verzeichnis.") : json_object();
    violate("a script that is not known");
    return fault(50, "Das wird nicht unterstützt.");
}

static json_t *do_script(const char *op, const json_t *p, const char *script, const struct buf *input, struct buf *out)
{
    if (strcmp(op, "move") == 0)
        return move(json_get_string(p, "from", ""), json_get_string(p, "to", ""), json_get_bool(p, "overwrite", true));
    if (strcmp(op, "place") == 0)
        return place(p);
    if (strcmp(op, "desktop.launch") == 0)
        return launch(p, script);
    if (strncmp(op, "desktop.clipboard.", 18) == 0)
        return clip(strcmp(op + 18, "set") == 0, p, script, input, out);
    if (strcmp(op, "metrics") == 0)
        return json_pack("{s:i, s:f, s:I, s:I}", "cpu_count", 2, "cpu_used_pct", 1.5, "mem_total_bytes",
                         (json_int_t)4 << 30, "mem_available_bytes", (json_int_t)3 << 30);
    return with_file(op, p, out);
}

/* What a program would see of how it was started. */
static void do_program(const json_t *p, struct run *run)
{
    if (strcmp(json_get_string(p, "file", ""), "nothing.exe") == 0) {
        run->code = 0x0df00002;
        buf_puts(&run->err, "Das System kann die angegebene Datei nicht finden");
        return;
    }
    json_write(p, &run->out);
}

/* UTF-16LE of ASCII and what is in Latin-1; more is in no script of ours. */
static void decode_script(const char *coded, struct buf *text)
{
    auto_buf struct buf units = BUF_INIT;
    if (buf_append_base64_text(&units, coded, strlen(coded)) < 0 || units.size % 2)
        violate("-EncodedCommand is not base64 of UTF-16");
    for (size_t i = 0; i + 1 < units.size; i += 2) {
        if (units.data[i + 1])
            violate("a script has a character outside Latin-1");
        buf_append(text, units.data + i, 1);
    }
}

static json_t *facts_of(const char *script)
{
    auto_buf struct buf text = BUF_INIT;
    const char *begin = strstr(script, "FromBase64String('");
    json_t *p = NULL;
    begin = begin ? begin + 18 : "'";
    if (buf_append_base64_text(&text, begin, strcspn(begin, "'")) < 0 ||
        json_parse_object((const char *)text.data, text.size, &p, NULL) < 0)
        violate("a script has no fields");
    return p ? p : json_object();
}

static void run_powershell(const json_t *words, const struct buf *input, struct run *run)
{
    static const char *const options[] = { "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass",
                                           "-InputFormat", "None", "-OutputFormat", "Text", "-EncodedCommand" };
    auto_buf struct buf script = BUF_INIT;
    char op[64] = "";
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strcmp(json_string_value(json_array_get(words, i)), options[i]) != 0)
            violate("PowerShell has other options");
    decode_script(json_string_value(json_array_get(words, ARRAY_LEN(options))), &script);
    if (sscanf(buf_str(&script), "# deskfarm %63s", op) != 1)
        violate("a script does not say what it is");
    auto_json json_t *p = facts_of(buf_str(&script));
    if (strcmp(op, "exec") == 0) {
        do_program(p, run);
        return;
    }
    auto_json json_t *result = do_script(op, p, buf_str(&script), input, &run->out);
    buf_puts(&run->out, "\n");
    json_write(result, &run->out);
}

/* --- cmd.exe ---------------------------------------------------------------------------------- */

static void run_cmd(const json_t *words, struct run *run)
{
    const char *text = json_string_value(json_array_get(words, 3));
    if (json_array_size(words) != 4 || strncmp(text, PREFIX, strlen(PREFIX)) != 0 || strpbrk(text, "\"\n")) {
        violate("cmd.exe is asked otherwise");
        return;
    }
    text += strlen(PREFIX);
    if (strncmp(text, "echo ", 5) == 0)
        buf_printf(&run->out, "%s\r\n", text + 5);
    else if (strncmp(text, "exit ", 5) == 0)
        run->code = strtoll(text + 5, NULL, 0);
    else if (strcmp(text, "oem") == 0)
        buf_append(&run->out, "caf\x82\r\n", 6);
    else if (strcmp(text, "wide") == 0)
        buf_append(&run->out, "\xff\xfe" "a\0b\0", 6);
    else if (strcmp(text, "never") == 0)
        run->is_running = true;
    else if (strcmp(text, "silent") == 0)
        is_silent = true;
    else if (strcmp(text, "shutdown /r") == 0)
        run->is_running = must_reboot = true;
    else if (strncmp(text, "vss ", 4) == 0)
        has_vss = strcmp(text + 4, "on") == 0;
    else if (strcmp(text, "violations") == 0)
        buf_append(&run->out, violations.data, violations.size);
    else
        run->code = 1;
}

/* --- The agent -------------------------------------------------------------------------------- */

static json_t *error_json(const char *class, const char *format, ...) printf_like(2, 3);
static json_t *error_json(const char *class, const char *format, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text);
}

static json_t *returns(json_t *value)
{
    return json_pack("{s:o}", "return", value);
}

static json_t *start(const json_t *args)
{
    const char *path = json_get_string(args, "path", ""), *text = json_get_string(args, "input-data", "");
    const json_t *words = json_object_get(args, "arg");
    auto_buf struct buf input = BUF_INIT;
    size_t i = 0;
    buf_append_base64_text(&input, text, strlen(text));
    if (json_object_get(args, "env"))
        violate("an environment would be all that the program has");
    while (i < RUNS_MAX && runs[i].is_used)
        i++;
    if (strcmp(path, "taskkill.exe") == 0) {
        int pid = atoi(json_string_value(json_array_get(words, 2)));
        if (pid >= first_pid && pid < first_pid + RUNS_MAX)
            runs[pid - first_pid] = (struct run){ .is_used = true, .code = 1 };
        return returns(json_pack("{s:i}", "pid", 1));
    }
    if (i == RUNS_MAX)
        return error_json("GenericError", "%s", "too many");
    runs[i] = (struct run){ .is_used = true };
    if (strcmp(path, "cmd.exe") == 0) {
        run_cmd(words, &runs[i]);
    } else if (strcmp(path, "powershell.exe") == 0) {
        run_powershell(words, &input, &runs[i]);
    } else {
        violate(path);
        runs[i].is_used = false;
        return error_json("GenericError", "Guest agent command failed, error was 'Failed to execute helper program "
                          "(%s)'", path);
    }
    return returns(json_pack("{s:i}", "pid", first_pid + (int)i));
}

static json_t *status(const json_t *args)
{
    int64_t i = json_get_int(args, "pid", 0) - first_pid;
    if (i < 0 || i >= RUNS_MAX || !runs[i].is_used)
        return error_json("GenericError", "Invalid parameter '%s'", "pid");
    struct run *run = &runs[i];
    if (run->is_running)
        return returns(json_pack("{s:b}", "exited", 0));
    auto_buf struct buf out = BUF_INIT, err = BUF_INIT;
    json_t *ret = json_pack("{s:b}", "exited", 1);
    buf_append_base64(&out, run->out.data, run->out.size);
    buf_append_base64(&err, run->err.data, run->err.size);
    json_object_set_new(ret, (uint32_t)run->code < 0xc0000000u ? "exitcode" : "signal",
                        json_integer((int32_t)run->code));
    if (out.size)
        json_object_set_new(ret, "out-data", json_string(buf_str(&out)));
    if (err.size)
        json_object_set_new(ret, "err-data", json_string(buf_str(&err)));
    buf_deinit(&run->out);
    buf_deinit(&run->err);
    *run = (struct run){ 0 };
    return returns(ret);
}

static json_t *open_file(const json_t *args)
{
    const char *path = json_get_string(args, "path", "");
    bool is_write = json_get_string(args, "mode", "r")[0] == 'w';
    struct file *it = find(path);
    size_t i = 0;
    while (i < ARRAY_LEN(handles) && handles[i].file)
        i++;
    if (i == ARRAY_LEN(handles))
        return error_json("GenericError", "failed to open file '%s': too many", path);
    if (!isalpha((unsigned char)path[0]) || path[1] != ':')
        violate("a path that is none of Windows");
    if (it && it->is_directory)
        return error_json("GenericError", "failed to open file '%s': Zugriff verweigert", path);
    if (!it && !parent(path))
        return error_json("GenericError", "failed to open file '%s': The system cannot find the path specified.", path);
    if (!it && !is_write)
        return error_json("GenericError", "failed to open file '%s': The system cannot find the file specified.", path);
    if (!it)
        it = add(path, false);
    if (is_write)
        it->data.size = 0;
    handles[i].file = it;
    handles[i].at = 0;
    return returns(json_integer(HANDLE_BASE + (int)i));
}

static json_t *read_file(struct file *it, size_t *at, const json_t *args)
{
    size_t n = MIN((size_t)json_get_int(args, "count", 4096), it->data.size - *at);
    auto_buf struct buf text = BUF_INIT;
    buf_append_base64(&text, it->data.data + *at, n);
    *at += n;
    json_t *ret = json_pack("{s:I, s:b}", "count", (json_int_t)n, "eof", n == 0);
    if (n) /* Windows' agent leaves it out */
        json_object_set_new(ret, "buf-b64", json_string(buf_str(&text)));
    return returns(ret);
}

static json_t *with_handle(const char *name, const json_t *args)
{
    int64_t i = json_get_int(args, "handle", -1) - HANDLE_BASE;
    if (i < 0 || i >= (int64_t)ARRAY_LEN(handles) || !handles[i].file)
        return error_json("GenericError", "handle '%s' has not been found", "1000");
    struct file *it = handles[i].file;
    if (strcmp(name, "guest-file-read") == 0)
        return read_file(it, &handles[i].at, args);
    if (strcmp(name, "guest-file-write") == 0) {
        const char *text = json_get_string(args, "buf-b64", "");
        size_t before = it->data.size;
        buf_append_base64_text(&it->data, text, strlen(text));
        return returns(json_pack("{s:I, s:b}", "count", (json_int_t)(it->data.size - before), "eof", 0));
    }
    if (strcmp(name, "guest-file-seek") == 0) {
        bool is_end = strcmp(json_get_string(args, "whence", ""), "end") == 0;
        handles[i].at = MIN(is_end ? it->data.size : (size_t)json_get_int(args, "offset", 0), it->data.size);
        return returns(json_pack("{s:I, s:b}", "position", (json_int_t)handles[i].at, "eof", 0));
    }
    if (strcmp(name, "guest-file-close") == 0)
        handles[i].file = NULL;
    return returns(json_object());
}

static json_t *freeze(const char *name)
{
    if (strcmp(name, "guest-fsfreeze-status") == 0)
        return returns(json_string(is_frozen ? "frozen" : "thawed"));
    if (strcmp(name, "guest-fsfreeze-freeze") == 0 && !has_vss)
        return error_json("GenericError", "failed to add C:\\ to snapshot set: %s",
                          "VSS service is not running or the volume is busy");
    is_frozen = strcmp(name, "guest-fsfreeze-freeze") == 0;
    return returns(json_integer(1));
}

static json_t *clock_json(const char *name, const json_t *args)
{
    struct timespec now;
    if (strcmp(name, "guest-set-time") == 0) {
        int64_t ns = json_get_int(args, "time", 0);
        now = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
        clock_settime(CLOCK_REALTIME, &now);
        return returns(json_object());
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return returns(json_integer((json_int_t)now.tv_sec * 1000000000 + now.tv_nsec));
}

static const char *const names[] = {
    "guest-sync-delimited", "guest-ping", "guest-info", "guest-fsfreeze-status", "guest-fsfreeze-thaw",
    "guest-fsfreeze-freeze", "guest-get-osinfo", "guest-get-host-name", "guest-get-users",
    "guest-network-get-interfaces", "guest-get-time", "guest-set-time", "guest-exec", "guest-exec-status",
    "guest-file-open", "guest-file-read", "guest-file-write", "guest-file-seek", "guest-file-flush",
    "guest-file-close",
};
#define N_WHILE_FROZEN 5

static json_t *info(void)
{
    json_t *commands = json_array();
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_array_append_new(commands, json_pack("{s:s, s:b, s:b}", "name", names[i], "enabled",
                                                  !is_frozen || i < N_WHILE_FROZEN, "success-response", 1));
    return returns(json_pack("{s:s, s:o}", "version", "104.0.2", "supported_commands", commands));
}

static json_t *say_facts(const char *name)
{
    if (strcmp(name, "guest-get-osinfo") == 0)
        return returns(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", "mswindows", "name", "Microsoft Windows",
                                 "pretty-name", "Windows 11 Enterprise Evaluation", "version", "Microsoft Windows 11",
                                 "kernel-release", "22631", "machine", "x86_64"));
    if (strcmp(name, "guest-get-host-name") == 0)
        return returns(json_pack("{s:s}", "host-name", "DESKFARM"));
    if (strcmp(name, "guest-get-users") == 0)
        return returns(json_pack("[{s:s, s:s, s:f}]", "user", "user", "domain", "DESKFARM", "login-time", 1700000000.5));
    return returns(json_pack("[{s:s, s:s, s:[{s:s, s:s, s:i}]}]", "name", "Ethernet", "hardware-address",
                             "52:54:00:12:34:56", "ip-addresses", "ip-address", "10.0.2.15", "ip-address-type", "ipv4",
                             "prefix", 24));
}

static json_t *do_command(const char *name, const json_t *args)
{
    size_t i = 0;
    while (i < ARRAY_LEN(names) && strcmp(names[i], name) != 0)
        i++;
    if (i == ARRAY_LEN(names))
        return error_json("CommandNotFound", "The command %s has not been found", name);
    if (is_frozen && i >= N_WHILE_FROZEN) {
        violate("something is asked of a frozen agent");
        return error_json("CommandNotFound", "Command %s has been disabled: the agent is in frozen state", name);
    }
    if (strcmp(name, "guest-info") == 0)
        return info();
    if (strncmp(name, "guest-fsfreeze-", 15) == 0)
        return freeze(name);
    if (strcmp(name, "guest-exec") == 0)
        return start(args);
    if (strcmp(name, "guest-exec-status") == 0)
        return status(args);
    if (strcmp(name, "guest-file-open") == 0)
        return open_file(args);
    if (strncmp(name, "guest-file-", 11) == 0)
        return with_handle(name, args);
    if (strstr(name, "-time"))
        return clock_json(name, args);
    if (strcmp(name, "guest-sync-delimited") == 0)
        return returns(json_incref(json_object_get(args, "id")));
    return strcmp(name, "guest-ping") == 0 ? returns(json_object()) : say_facts(name);
}

/* --- The port --------------------------------------------------------------------------------- */

static void wait_ms(int ms)
{
    poll(NULL, 0, ms);
}

static int open_port(void)
{
    for (;; wait_ms(50)) {
        glob_t found = { 0 };
        glob("/sys/class/virtio-ports/*/name", 0, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char name[64] = "", path[64];
            FILE *file = fopen(found.gl_pathv[i], "r");
            int n = file ? fscanf(file, "%63s", name) : 0;
            if (file)
                fclose(file);
            sscanf(found.gl_pathv[i], "/sys/class/virtio-ports/%31[^/]", path + 5);
            memcpy(path, "/dev/", 5);
            int fd = n == 1 && strcmp(name, "org.qemu.guest_agent.0") == 0 ? open(path, O_RDWR) : -1;
            if (fd >= 0) {
                globfree(&found);
                return fd;
            }
        }
        globfree(&found);
    }
}

static void reply(const json_t *object, bool is_sync)
{
    auto_buf struct buf line = BUF_INIT;
    if (is_sync)
        buf_append(&line, "\xff", 1);
    json_write(object, &line);
    buf_puts(&line, "\n");
    for (size_t at = 0; at < line.size;) {
        ssize_t n = write(port, line.data + at, line.size - at);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

/* Down and up again: nobody answers for a while, and who does then knows of nothing before. */
static void reboot_machine(void)
{
    close(port);
    memset(handles, 0, sizeof handles);
    memset(runs, 0, sizeof runs);
    must_reboot = is_frozen = false;
    first_pid += 1000;
    wait_ms(3000);
    port = open_port();
}

static void handle_line(const char *text, size_t size)
{
    const char *start_at = memrchr(text, 0xff, size);
    auto_json json_t *request = NULL;
    if (start_at) {
        size -= (size_t)(start_at + 1 - text);
        text = start_at + 1;
    }
    if (json_parse_object(text, size, &request, NULL) < 0)
        return;
    const char *name = json_get_string(request, "execute", "");
    bool is_sync = strcmp(name, "guest-sync-delimited") == 0;
    if (is_sync)
        is_silent = false;
    auto_json json_t *answer = do_command(name, json_object_get(request, "arguments"));
    if (!is_silent)
        reply(answer, is_sync);
    if (must_reboot)
        reboot_machine();
}

int main(void)
{
    static char chunk[65536];
    struct buf in = BUF_INIT;
    add("C:\\", true);
    add("C:\\Users", true);
    add("C:\\Users\\user", true);
    port = open_port();
    for (;;) {
        ssize_t n = read(port, chunk, sizeof chunk);
        if (n <= 0) { /* no host is connected */
            wait_ms(50);
            continue;
        }
        buf_append(&in, chunk, (size_t)n);
        const uint8_t *end;
        while (in.size && (end = memchr(in.data, '\n', in.size))) {
            size_t size = (size_t)(end - in.data);
            handle_line((const char *)in.data, size);
            buf_consume(&in, size + 1);
        }
    }
}
