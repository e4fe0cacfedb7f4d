/* What the guest's own desktop answers: fields go to the operation as they came, with what the path
 * names among them. */
#include "api/table.h"
#include "web/route.h"
#include "web/server.h"
#include "web/task.h"

static void show(struct request *request, struct answer *answer, int variant maybe_unused)
{
    if (answer->err.is_set)
        request_answer_error(request, &answer->err);
    else
        request_answer_json(request, 200, json_incref(answer->body));
}

/* The operation knows a window as "id", a node as "node". */
static json_t *make_params(const struct request *self)
{
    json_t *from = self->body ? self->body : self->query,
           *params = from ? json_copy(from) : json_object();
    json_t *window = json_object_get(self->path_values, "window");
    json_t *node = json_object_get(self->path_values, "node");
    if (window)
        json_object_set(params, "id", window);
    if (node)
        json_object_set(params, "node", node);
    return params;
}

static void run(struct request *self, json_t *stolen, task_start_fn fn)
{
    struct error err = { 0 };
    auto_json json_t *params = stolen;
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), &err);
    if (!sandbox || task_start(self, sandbox, fn, params, show, 0, &err) < 0)
        request_answer_error(self, &err);
}

#define HANDLE(handler, fn)                                                                        \
    void handler(struct request *self)                                                             \
    {                                                                                              \
        run(self, make_params(self), fn);                                                          \
    }

HANDLE(handle_desktop_keyboard_get, sandbox_keyboard_get)
HANDLE(handle_clipboard_get, sandbox_clipboard_get)
HANDLE(handle_clipboard_set, sandbox_clipboard_set)
HANDLE(handle_window_list, sandbox_windows)
HANDLE(handle_window_get, sandbox_window_get)
HANDLE(handle_window_activate, sandbox_window_activate)
HANDLE(handle_window_close, sandbox_window_close)
HANDLE(handle_window_place, sandbox_window_place)
HANDLE(handle_window_state, sandbox_window_state)
HANDLE(handle_desktop_launch, sandbox_start_program)
HANDLE(handle_a11y_tree, sandbox_a11y_tree)
HANDLE(handle_a11y_find, sandbox_a11y_find)
HANDLE(handle_a11y_node, sandbox_a11y_node)
HANDLE(handle_a11y_focus, sandbox_a11y_focus)
HANDLE(handle_a11y_invoke, sandbox_a11y_invoke)
HANDLE(handle_a11y_value, sandbox_a11y_value)

void handle_desktop_open(struct request *self)
{
    json_t *params = json_pack("{s:[O]}", "urls", json_object_get(self->body, "url"));
    if (json_object_get(self->body, "wait_ms"))
        json_object_set(params, "wait_ms", json_object_get(self->body, "wait_ms"));
    run(self, params, sandbox_start_program);
}

/* Without "apply" it is only said, and answered at once. */
void handle_desktop_keyboard(struct request *self)
{
    struct error err = { 0 };
    json_t *params = make_params(self);
    if (json_get_bool(params, "apply", false)) {
        json_object_del(params, "apply");
        run(self, params, sandbox_keyboard_set);
        return;
    }
    auto_json json_t *owned = params;
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), &err);
    if (!sandbox || sandbox_set_layout(sandbox, json_get_string(owned, "layout", "us"), &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 200, sandbox_display_json(sandbox));
}
