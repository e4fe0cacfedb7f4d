/* API keys, for admins. */
#include "web/route.h"
#include "web/server.h"

void handle_key_list(struct request *self)
{
    request_answer_json(self, 200, keys_list(farm_keys(self->web->farm)));
}

void handle_key_add(struct request *self)
{
    struct error err = { 0 };
    const json_t *given = json_object_get(self->body, "limits");
    struct key_limits limits = {
        .sandboxes = json_get_int(given, "sandboxes", 0),
        .cpus = json_get_int(given, "cpus", 0),
        .memory_mib = json_get_int(given, "memory_mib", 0),
        .disk_mib = json_get_int(given, "disk_mib", 0),
    };
    enum role role = ROLE_NONE;
    json_t *key = NULL;
    role_parse(json_get_string(self->body, "role", ""), &role);
    if (keys_add(farm_keys(self->web->farm), json_get_string(self->body, "name", ""), role, &limits,
                 &key, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 201, key);
}

void handle_key_remove(struct request *self)
{
    struct error err = { 0 };
    if (keys_remove(farm_keys(self->web->farm), json_get_string(self->path_values, "id", ""),
                    &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_empty(self, 204);
}
