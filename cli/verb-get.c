#include "cli/output.h"
#include "cli/verbs.h"

static const char *const operands[] = { "id", NULL };

const struct verb verb_get = {
    .name = "get",
    .usage = "ID",
    .operation = "sandbox_get",
    .operands = operands,
};

const struct verb verb_info = {
    .name = "info",
    .usage = "",
    .operation = "info",
};
