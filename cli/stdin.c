#include "cli/stdin.h"

#include "base/fs.h"

#include <string.h>

#define BODY_MAX (8u << 20)

int stdin_read_body(json_t *body, const char *text, const char *list, struct error *err)
{
    auto_buf struct buf file = BUF_INIT;
    const char *path = strcmp(text, "-") == 0 ? "/dev/stdin" : *text == '@' ? text + 1 : NULL;
    json_error_t where;
    if (path) {
        int r = fs_read(path, BODY_MAX, &file, err);
        if (r < 0)
            return r;
        text = buf_str(&file);
    }
    auto_json json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!value)
        return error_set(err, ERROR_BAD_JSON, "the body: line %d, column %d: %s", where.line,
                         where.column, where.text);
    if (json_is_array(value) && list)
        return json_object_set(body, list, value);
    if (!json_is_object(value))
        return error_set(err, ERROR_BAD_TYPE, "the body is %s", json_type_name(value));
    return json_object_update_missing(body, value);
}
