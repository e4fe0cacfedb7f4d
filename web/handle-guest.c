/* What the agent in a guest knows of it. */
#include "web/inside.h"
#include "web/route.h"

#define ANSWER_US 15000000

static void answer(struct request *request, const json_t *result)
{
    request_answer_json(request, 200, json_incref((json_t *)(uintptr_t)result));
}

void handle_sandbox_guest(struct request *self)
{
    inside_ask(self, json_pack("{s:s}", "op", "facts"), ANSWER_US, answer);
}
