/* Keys are read in their plain form: names in other languages are other keys. A line's value has
 * the escapes of a string (\s, \n, \t, \r, \\) and, in Exec, quotes with escapes of their own
 * inside. */
#include "images/agent/desktop/entry.h"

#include <stdio.h>
#include <string.h>

static void copy_value(char *out, size_t size, const char *value, size_t n)
{
    static const char from[] = "sntr\\", to[] = " \n\t\r\\";
    size_t used = 0;
    for (size_t i = 0; i < n && used + 1 < size; i++) {
        const char *found = value[i] == '\\' && i + 1 < n ? strchr(from, value[i + 1]) : NULL;
        if (found && *found) {
            out[used++] = to[found - from];
            i++;
        } else if (value[i]) {
            out[used++] = value[i];
        }
    }
    out[used] = '\0';
}

static bool has_key(const char *line, size_t n, const char *key, const char **ret_value)
{
    size_t size = strlen(key);
    if (n <= size || memcmp(line, key, size) != 0)
        return false;
    size_t at = size;
    while (at < n && line[at] == ' ')
        at++;
    if (at == n || line[at] != '=')
        return false;
    at++;
    while (at < n && line[at] == ' ')
        at++;
    *ret_value = line + at;
    return true;
}

static void read_line(struct entry *self, const char *line, size_t n)
{
    const char *value, *end = line + n;
    if (has_key(line, n, "Name", &value))
        copy_value(self->name, sizeof self->name, value, (size_t)(end - value));
    else if (has_key(line, n, "StartupWMClass", &value))
        copy_value(self->class, sizeof self->class, value, (size_t)(end - value));
    else if (has_key(line, n, "Path", &value))
        copy_value(self->path, sizeof self->path, value, (size_t)(end - value));
    else if (has_key(line, n, "Exec", &value))
        copy_value(self->exec, sizeof self->exec, value, (size_t)(end - value));
    else if (has_key(line, n, "Terminal", &value))
        self->is_terminal = end - value >= 4 && memcmp(value, "true", 4) == 0;
    else if (has_key(line, n, "Hidden", &value))
        self->is_hidden = end - value >= 4 && memcmp(value, "true", 4) == 0;
}

bool entry_parse(const char *text, size_t size, struct entry *ret)
{
    static const char group[] = "[Desktop Entry]";
    bool is_inside = false;
    *ret = (struct entry){ 0 };
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t n = end ? (size_t)(end - line) : size - at;
        at += n + 1;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        if (n > 0 && line[0] == '[')
            is_inside = n == sizeof group - 1 && memcmp(line, group, n) == 0;
        else if (is_inside)
            read_line(ret, line, n);
    }
    return ret->exec[0] && !ret->is_hidden;
}

/* --- The command line ------------------------------------------------------------------------- */

struct draft {
    const char **argv;
    int n;
    char *room;
    size_t used, size;
};

static void add_char(struct draft *d, char c)
{
    if (d->used < d->size)
        d->room[d->used++] = c;
}

static void add_text(struct draft *d, const char *text)
{
    for (; *text; text++)
        add_char(d, *text);
}

static bool add_argument(struct draft *d, const char *text)
{
    if (d->n == ENTRY_ARGS_MAX)
        return false;
    d->argv[d->n++] = text;
    return true;
}

/* An argument that is one field code alone. */
static bool add_field(struct draft *d, char code, const struct entry *entry,
                      const char *const *urls, int n_urls)
{
    if (code == 'c')
        return add_argument(d, entry->name);
    if (!strchr("fFuU", code))
        return true; /* %i, %k and the deprecated ones: nothing */
    int n = code == 'F' || code == 'U' ? n_urls : MIN(n_urls, 1);
    for (int i = 0; i < n; i++) {
        /* %f and %F are for files. */
        const char *url =
            strchr("fF", code) && strncmp(urls[i], "file://", 7) == 0 ? urls[i] + 7 : urls[i];
        if (!add_argument(d, url))
            return false;
    }
    return true;
}

/* One argument from text on; returns where it ends, NULL when the quotes do not. */
static const char *copy_argument(struct draft *d, const char *text, const char *name,
                                 const char *url)
{
    bool is_quoted = false;
    for (; *text && (is_quoted || (*text != ' ' && *text != '\t')); text++) {
        if (*text == '"')
            is_quoted = !is_quoted;
        else if (*text == '\\' && is_quoted && text[1])
            add_char(d, *++text);
        else if (*text == '%' && text[1] == '%')
            add_char(d, *text++);
        else if (*text == '%' && text[1]) /* in the middle of an argument */
            add_text(d, *++text == 'c' ? name : strchr("fFuU", *text) ? url : "");
        else
            add_char(d, *text);
    }
    add_char(d, '\0');
    return is_quoted || d->used >= d->size ? NULL : text;
}

int entry_command(const struct entry *self, const char *const *urls, int n_urls,
                  char room[2 * ENTRY_TEXT_MAX], const char *argv[ENTRY_ARGS_MAX + 1])
{
    struct draft d = { .argv = argv, .room = room, .size = 2 * ENTRY_TEXT_MAX };
    const char *text = self->exec, *url = n_urls > 0 ? urls[0] : "";
    for (;;) {
        text += strspn(text, " \t");
        if (!*text)
            break;
        bool is_field = text[0] == '%' && text[1] && text[1] != '%' && strchr(" \t", text[2]);
        if (is_field) {
            if (!add_field(&d, text[1], self, urls, n_urls))
                return 0;
            text += 2;
            continue;
        }
        if (!add_argument(&d, d.room + d.used))
            return 0;
        text = copy_argument(&d, text, self->name, url);
        if (!text)
            return 0;
    }
    argv[d.n] = NULL;
    return d.n > 0 && argv[0][0] ? d.n : 0;
}
