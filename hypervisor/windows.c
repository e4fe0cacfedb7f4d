/* Command lines. A process of Windows gets one line and takes it apart itself, nearly always as
 * CommandLineToArgvW does: words are parted by blanks outside quotes; 2n backslashes before a quote
 * are n, 2n + 1 are n and a quote that is no quote; other backslashes are themselves. cmd.exe does
 * otherwise: with /s /c it takes the first and the last quote away and reads the rest as typed.
 *
 * Text that is no UTF-8 never comes here: it arrives in JSON. */
#include "hypervisor/windows.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* --- Command lines ---------------------------------------------------------------------------- */

static void append_times(struct buf *line, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append(line, &c, 1);
}

int windows_quote(struct buf *line, const char *word)
{
    size_t n_backslashes = 0;
    if (line->size > 0)
        buf_append(line, " ", 1);
    if (*word && !strpbrk(word, " \t\n\v\""))
        return buf_append(line, word, strlen(word));
    buf_append(line, "\"", 1);
    for (; *word; word++) {
        if (*word == '"')
            append_times(line, '\\', n_backslashes + 1);
        n_backslashes = *word == '\\' ? n_backslashes + 1 : 0;
        buf_append(line, word, 1);
    }
    append_times(line, '\\', n_backslashes);
    return buf_append(line, "\"", 1);
}

int windows_quote_all(struct buf *line, const json_t *words, size_t first)
{
    if (json_array_size(words) > WINDOWS_ARGUMENT_MAX)
        return -EINVAL;
    for (size_t i = first; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        int r = word ? windows_quote(line, word) : -EINVAL;
        if (r < 0)
            return r;
    }
    return 0;
}

bool windows_is_plain(const char *word)
{
    for (const char *at = word; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("\\/:._-+@#~", *at))
            return false;
    return *word != '\0';
}

bool windows_is_plain_command(const char *command)
{
    size_t size = strlen(command);
    return size > 0 && command[size - 1] != '\\' && !strpbrk(command, "\"\r\n");
}

bool windows_is_batch(const char *program)
{
    size_t size = strlen(program);
    while (size > 0 && strchr(" .", program[size - 1])) /* Windows does not see them */
        size--;
    return size >= 4 && (strncasecmp(program + size - 4, ".bat", 4) == 0 ||
                         strncasecmp(program + size - 4, ".cmd", 4) == 0);
}

/* --- UTF-16 ----------------------------------------------------------------------------------- */

/* The next character of good UTF-8, and how long it is; 0: it is none. */
static size_t decode(const char *text, uint32_t *ret)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t n = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || at[0] > 0xf4)
        return 0;
    *ret = n == 1 ? at[0] : at[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *ret = *ret << 6 | (at[i] & 0x3f);
    }
    return n;
}

size_t windows_units(const char *text)
{
    size_t n = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at; at++)
        n += (*at & 0xc0) == 0x80 ? 0 : *at >= 0xf0 ? 2 : 1;
    return n;
}

static void append_unit(struct buf *to, uint32_t unit)
{
    const uint8_t bytes[] = { (uint8_t)unit, (uint8_t)(unit >> 8) };
    buf_append(to, bytes, sizeof bytes);
}

int windows_encode(struct buf *ret, const char *script)
{
    auto_buf struct buf units = BUF_INIT;
    while (*script) {
        uint32_t c = 0;
        size_t n = decode(script, &c);
        if (n == 0)
            return -EINVAL;
        script += n;
        if (c >= 0x10000) {
            append_unit(&units, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        append_unit(&units, c);
    }
    return units.failed ? -ENOMEM : buf_append_base64(ret, units.data, units.size);
}

/* --- Paths ------------------------------------------------------------------------------------ */

static bool is_slash(char c)
{
    return c == '\\' || c == '/';
}

/* CON, NUL.txt, COM1: devices, in every directory. */
static bool is_device(const char *name, size_t size)
{
    static const char *const devices[] = { "con", "prn", "aux", "nul" };
    size_t stem = 0;
    while (stem < size && name[stem] != '.')
        stem++;
    while (stem > 0 && name[stem - 1] == ' ')
        stem--;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (stem == 3 && strncasecmp(name, devices[i], 3) == 0)
            return true;
    return stem == 4 && name[3] >= '1' && name[3] <= '9' &&
           (strncasecmp(name, "com", 3) == 0 || strncasecmp(name, "lpt", 3) == 0);
}

static const char *name_fault(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || strchr("<>:\"|?*", name[i]))
            return "a name of Windows has none of < > : \" | ? * and no control characters";
    bool is_dots = size <= 2 && strncmp(name, "..", size) == 0;
    if (size > 0 && !is_dots && (name[size - 1] == '.' || name[size - 1] == ' '))
        return "a name of Windows does not end in a full stop or a blank";
    return is_device(name, size) ? "that name is one of a device of Windows" : NULL;
}

const char *windows_path_fault(const char *path)
{
    bool has_drive = isalpha((unsigned char)path[0]) && path[1] == ':';
    bool is_share = is_slash(path[0]) && is_slash(path[1]);
    const char *at = path + 2;
    if (has_drive && !is_slash(path[2]))
        return "that is relative to a drive's own directory; an absolute path such as C:\\Users is needed";
    if (!has_drive && !is_share)
        return "the guest is Windows: an absolute path such as C:\\Users\\me\\a.txt is needed";
    if (is_share && (is_slash(*at) || *at == '\0' || ((*at == '.' || *at == '?') && is_slash(at[1]))))
        return "paths of devices are not taken; C:\\… or \\\\server\\share\\… is needed";
    size_t n_names = 0;
    while (*at) {
        size_t size = strcspn(at, "\\/");
        const char *fault = name_fault(at, size);
        if (fault)
            return fault;
        n_names += size > 0;
        at += size + (at[size] != '\0');
    }
    return is_share && n_names < 2 ? "\\\\server alone is no path; \\\\server\\share\\… is needed" : NULL;
}

/* --- Errors ----------------------------------------------------------------------------------- */

enum error_code windows_error_code(int64_t number)
{
    static const struct {
        int number;
        enum error_code code;
    } table[] = {
        { 2, ERROR_NOT_FOUND },    /* FILE_NOT_FOUND */
        { 3, ERROR_NOT_FOUND },    /* PATH_NOT_FOUND */
        { 5, ERROR_FORBIDDEN },    /* ACCESS_DENIED */
        { 15, ERROR_NOT_FOUND },   /* INVALID_DRIVE */
        { 17, ERROR_UNSUPPORTED }, /* NOT_SAME_DEVICE */
        { 19, ERROR_FORBIDDEN },   /* WRITE_PROTECT */
        { 21, ERROR_NOT_READY },   /* NOT_READY: a drive without a disc */
        { 32, ERROR_BUSY },        /* SHARING_VIOLATION */
        { 33, ERROR_BUSY },        /* LOCK_VIOLATION */
        { 39, ERROR_DISK_FULL },   /* HANDLE_DISK_FULL */
        { 50, ERROR_UNSUPPORTED }, /* NOT_SUPPORTED */
        { 53, ERROR_NOT_FOUND },   /* BAD_NETPATH */
        { 67, ERROR_NOT_FOUND },   /* BAD_NET_NAME */
        { 80, ERROR_CONFLICT },      /* FILE_EXISTS */
        { 87, ERROR_BAD_VALUE },   /* INVALID_PARAMETER */
        { 112, ERROR_DISK_FULL },  /* DISK_FULL */
        { 123, ERROR_BAD_VALUE },  /* INVALID_NAME */
        { 145, ERROR_CONFLICT },     /* DIR_NOT_EMPTY */
        { 161, ERROR_BAD_VALUE },  /* BAD_PATHNAME */
        { 183, ERROR_CONFLICT },     /* ALREADY_EXISTS */
        { 206, ERROR_BAD_VALUE },  /* FILENAME_EXCED_RANGE */
        { 267, ERROR_NOT_FOUND },  /* DIRECTORY: it is none */
        { 336, ERROR_BAD_VALUE },  /* DIRECTORY_NOT_SUPPORTED: it is one */
        { 740, ERROR_FORBIDDEN },  /* ELEVATION_REQUIRED */
        { 1008, ERROR_NOT_READY }, /* NO_TOKEN: nobody is logged in */
        { 1223, ERROR_CANCELLED }, /* CANCELLED */
        { 1314, ERROR_FORBIDDEN }, /* PRIVILEGE_NOT_HELD */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].number == number)
            return table[i].code;
    return ERROR_GUEST_FAILED;
}

enum error_code windows_message_code(const char *text)
{
    static const struct {
        const char *text;
        enum error_code code;
    } table[] = {
        { "cannot find the file", ERROR_NOT_FOUND }, { "cannot find the path", ERROR_NOT_FOUND },
        { "cannot find the drive", ERROR_NOT_FOUND }, { "Access is denied", ERROR_FORBIDDEN },
        { "not enough space on the disk", ERROR_DISK_FULL },
        { "used by another process", ERROR_BUSY }, { "is not ready", ERROR_NOT_READY },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strstr(text, table[i].text))
            return table[i].code;
    return ERROR_GUEST_FAILED;
}
