/* Files of the guest, without their bytes (web/handle-download.c, web/handle-upload.c): each
 * request is a number of operations of the agent, and this file says which. */
#include "base/clock.h"
#include "web/execd.h"
#include "web/inside.h"
#include "web/route.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 10000

/* --- The protocol's words -----------------------------------------------------------------------
 */

/* Four octal digits, read as a decimal number. */
static int mode_digits(int64_t mode)
{
    int digits = 0;
    for (int shift = 9; shift >= 0; shift -= 3)
        digits = digits * 10 + (int)(mode >> shift & 7);
    return digits;
}

int execd_mode(int64_t digits)
{
    int mode = 0;
    for (int shift = 0; digits > 0; shift += 3, digits /= 10) {
        if (digits % 10 > 7 || shift > 9)
            return -1;
        mode |= (int)(digits % 10) << shift;
    }
    return mode;
}

static const char *type_word(const char *type)
{
    return strcmp(type, "link") == 0                                      ? "symlink"
           : strcmp(type, "file") == 0 || strcmp(type, "directory") == 0 ? type
                                                                           : "other";
}

static json_t *name_or_id(const json_t *entry, const char *name, const char *id)
{
    char number[24];
    json_t *text = json_object_get(entry, name);
    if (json_is_string(text))
        return json_incref(text);
    snprintf(number, sizeof number, "%lld", (long long)json_get_int(entry, id, 0));
    return json_string(number);
}

static json_t *file_json(const json_t *entry)
{
    char modified[CLOCK_RFC3339_MAX];
    clock_format(json_get_int(entry, "mtime_us", 0), modified);
    return json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o,s:i}", "path",
                     json_get_string(entry, "path", ""), "type",
                     type_word(json_get_string(entry, "type", "")), "size",
                     (json_int_t)json_get_int(entry, "size", 0), "modified_at", modified,
                     "created_at", modified, "owner", name_or_id(entry, "owner", "uid"), "group",
                     name_or_id(entry, "group", "gid"), "mode",
                     mode_digits(json_get_int(entry, "mode", 0)));
}

/* {"a": {…}} to [{"path": "a", …}]. */
static json_t *list_map(const json_t *map)
{
    json_t *list = json_array();
    const char *path;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)map, path, value) {
        json_t *item = json_copy(value);
        json_object_set_new(item, "path", json_string(path));
        json_array_append_new(list, item);
    }
    return list;
}

static const char *item_path(const struct inside_steps *self)
{
    return json_get_string(inside_item(self), "path", "");
}

/* Adds what is given of mode, owner and group, in the agent's words. */
static json_t *add_permissions(json_t *op, const json_t *item)
{
    json_t *owner = json_object_get(item, "owner"), *group = json_object_get(item, "group");
    if (json_object_get(item, "mode"))
        json_object_set_new(op, "mode", json_integer(execd_mode(json_get_int(item, "mode", 0))));
    if (owner && *json_string_value(owner))
        json_object_set(op, "owner", owner);
    if (group && *json_string_value(group))
        json_object_set(op, "group_owner", group);
    return op;
}

/* Checked before anything is done. */
static bool check_modes(struct request *self)
{
    struct error err = { 0 };
    const char *path;
    json_t *value;
    json_object_foreach (self->body, path, value) {
        if (execd_mode(json_get_int(value, "mode", 0)) >= 0)
            continue;
        error_set(&err, ERROR_BAD_VALUE, "%.200s.mode: is not made of octal digits", path);
        request_answer_error(self, &err);
        return false;
    }
    return true;
}

static int go_on(struct inside_steps *self, const json_t *result maybe_unused,
                 struct error *err maybe_unused)
{
    self->index++;
    self->stage = 0;
    return 0;
}

static void answer_empty(struct inside_steps *self)
{
    request_answer_empty(self->request, 200);
}

static void answer_result(struct inside_steps *self)
{
    if (self->is_truncated)
        request_add_header(self->request, "X-Deskfarm-Truncated", "true");
    request_answer_json(self->request, 200, json_incref(self->result));
}

/* --- Looking ------------------------------------------------------------------------------------
 */

static json_t *next_stat(struct inside_steps *self)
{
    json_t *path = inside_item(self);
    return path ? json_pack("{s:s,s:O}", "op", "stat", "path", path) : NULL;
}

static int take_stat(struct inside_steps *self, const json_t *result, struct error *err)
{
    json_object_set_new(self->result, json_string_value(inside_item(self)), file_json(result));
    return go_on(self, result, err);
}

void handle_file_info(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_stat,
        .done = take_stat,
        .answer = answer_result,
    };
    inside_run(self, &ops, json_incref(json_object_get(self->query, "path")), json_object());
}

static int take_entry(struct inside_steps *self, json_t *entry, struct error *err maybe_unused)
{
    if (json_array_size(self->result) < ENTRIES_MAX)
        json_array_append_new(self->result, file_json(entry));
    else
        self->is_truncated = true;
    return 0;
}

/* What a search answers is files, not the directories that match as well. */
static int take_found(struct inside_steps *self, json_t *entry, struct error *err)
{
    bool is_directory = strcmp(json_get_string(entry, "type", ""), "directory") == 0;
    return is_directory ? 0 : take_entry(self, entry, err);
}

static int take_count(struct inside_steps *self, const json_t *result, struct error *err)
{
    self->is_truncated |= json_get_bool(result, "truncated", false);
    return go_on(self, result, err);
}

/* The one operation, made beforehand. */
static json_t *next_item(struct inside_steps *self)
{
    return json_incref(inside_item(self));
}

void handle_file_search(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_item,
        .done = take_count,
        .line = take_found,
        .answer = answer_result,
    };
    const char *pattern = json_get_string(self->query, "pattern", "**");
    json_t *op = json_pack("{s:s,s:O,s:i}", "op", "search", "path",
                           json_object_get(self->query, "path"), "limit", ENTRIES_MAX);
    /* Any depth is what a name alone means. */
    while (strncmp(pattern, "**/", 3) == 0)
        pattern += 3;
    if (*pattern && strcmp(pattern, "**") != 0)
        json_object_set_new(op, "glob", json_string(pattern));
    inside_run(self, &ops, json_pack("[o]", op), json_array());
}

/* What a directory holds follows it, so a '/' comes before all other characters. */
static int rank(char c)
{
    return c == '/' ? 1 : c ? (unsigned char)c + 1 : 0;
}

static int compare_paths(const void *a, const void *b)
{
    const char *left = json_get_string(*(json_t *const *)a, "path", "");
    const char *right = json_get_string(*(json_t *const *)b, "path", "");
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return rank(*left) - rank(*right);
}

static void answer_sorted(struct inside_steps *self)
{
    size_t n = json_array_size(self->result);
    json_t **order = calloc(n + 1, sizeof *order);
    json_t *sorted = json_array();
    for (size_t i = 0; order && i < n; i++)
        order[i] = json_array_get(self->result, i);
    if (order)
        qsort(order, n, sizeof *order, compare_paths);
    for (size_t i = 0; order && i < n; i++)
        json_array_append(sorted, order[i]);
    free(order);
    json_decref(self->result);
    self->result = sorted;
    answer_result(self);
}

void handle_directory_list(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_item,
        .done = take_count,
        .line = take_entry,
        .answer = answer_sorted,
    };
    json_t *op = json_pack("{s:s,s:O,s:I,s:i}", "op", "list", "path",
                           json_object_get(self->query, "path"), "depth",
                           (json_int_t)MAX(json_get_int(self->query, "depth", 1), 1), "limit",
                           ENTRIES_MAX);
    inside_run(self, &ops, json_pack("[o]", op), json_array());
}

/* --- Changing -----------------------------------------------------------------------------------
 */

static json_t *next_move(struct inside_steps *self)
{
    const json_t *item = inside_item(self);
    return item ? json_pack("{s:s,s:s,s:s}", "op", "move", "from", json_get_string(item, "src", ""),
                            "to", json_get_string(item, "dest", ""))
                : NULL;
}

void handle_file_move(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_move,
        .done = go_on,
        .answer = answer_empty,
    };
    inside_run(self, &ops, json_incref(self->body), NULL);
}

static json_t *next_permissions(struct inside_steps *self)
{
    const json_t *item = inside_item(self);
    return item ? add_permissions(
                      json_pack("{s:s,s:s}", "op", "permissions", "path", item_path(self)), item)
                : NULL;
}

void handle_file_permissions(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_permissions,
        .done = go_on,
        .answer = answer_empty,
    };
    if (check_modes(self))
        inside_run(self, &ops, list_map(self->body), NULL);
}

static json_t *next_replace(struct inside_steps *self)
{
    const json_t *item = inside_item(self);
    return item ? json_pack("{s:s,s:s,s:s,s:s}", "op", "replace", "path", item_path(self), "old",
                            json_get_string(item, "old", ""), "new",
                            json_get_string(item, "new", ""))
                : NULL;
}

static int take_replaced(struct inside_steps *self, const json_t *result, struct error *err)
{
    json_object_set_new(self->result, item_path(self),
                        json_pack("{s:I}", "replacedCount",
                                  (json_int_t)json_get_int(result, "count", 0)));
    return go_on(self, result, err);
}

static void answer_replaced(struct inside_steps *self)
{
    if (json_get_bool(self->request->query, "verbose", false))
        answer_result(self);
    else
        answer_empty(self);
}

void handle_file_replace(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_replace,
        .done = take_replaced,
        .answer = answer_replaced,
    };
    inside_run(self, &ops, list_map(self->body), json_object());
}

/* Stage 0 asks what it is, stage 1 removes it: the agent would remove an empty directory too. */
static json_t *next_remove(struct inside_steps *self)
{
    json_t *path = inside_item(self);
    if (!path)
        return NULL;
    return self->stage == 0
               ? json_pack("{s:s,s:O,s:b}", "op", "stat", "path", path, "follow", 0)
               : json_pack("{s:s,s:O}", "op", "remove", "path", path);
}

static int take_removed(struct inside_steps *self, const json_t *result, struct error *err)
{
    if (self->stage == 1)
        return go_on(self, result, err);
    if (strcmp(json_get_string(result, "type", ""), "directory") == 0)
        return error_set(err, ERROR_BAD_VALUE, "%.200s is a directory; use directories",
                         json_string_value(inside_item(self)));
    self->stage = 1;
    return 0;
}

void handle_file_remove(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_remove,
        .done = take_removed,
        .answer = answer_empty,
    };
    inside_run(self, &ops, json_incref(json_object_get(self->query, "path")), NULL);
}

static json_t *next_remove_tree(struct inside_steps *self)
{
    json_t *path = inside_item(self);
    return path ? json_pack("{s:s,s:O,s:b}", "op", "remove", "path", path, "recursive", 1) : NULL;
}

static int ignore_absent(struct inside_steps *self, const struct error *err)
{
    if (err->code != ERROR_NOT_FOUND)
        return -1;
    return go_on(self, NULL, NULL);
}

void handle_directory_remove(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_remove_tree,
        .done = go_on,
        .failed = ignore_absent,
        .answer = answer_empty,
    };
    inside_run(self, &ops, json_incref(json_object_get(self->query, "path")), NULL);
}

/* Stage 0 makes it, stage 1 gives it away, when somebody is named. */
static json_t *next_make(struct inside_steps *self)
{
    const json_t *item = inside_item(self);
    if (!item)
        return NULL;
    if (self->stage == 1)
        return next_permissions(self);
    json_t *op = json_pack("{s:s,s:s,s:b}", "op", "mkdir", "path", item_path(self), "parents", 1);
    if (json_object_get(item, "mode"))
        json_object_set_new(op, "mode", json_integer(execd_mode(json_get_int(item, "mode", 755))));
    return op;
}

static int take_made(struct inside_steps *self, const json_t *result, struct error *err)
{
    const json_t *item = inside_item(self);
    if (self->stage == 1 || (!json_object_get(item, "owner") && !json_object_get(item, "group")))
        return go_on(self, result, err);
    self->stage = 1;
    return 0;
}

void handle_directory_make(struct request *self)
{
    static const struct inside_steps_ops ops = {
        .next = next_make,
        .done = take_made,
        .answer = answer_empty,
    };
    if (check_modes(self))
        inside_run(self, &ops, list_map(self->body), NULL);
}
