#include "web/execd.h"

#include "web/route.h"
#include "web/server.h"

struct sandbox *execd_sandbox(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(request->web->farm, &request->who,
                  json_get_string(request->path_values, "id", ""), &err);
    if (!sandbox)
        request_answer_error(request, &err);
    return sandbox;
}
