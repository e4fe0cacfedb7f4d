/* Fields of the rows in api/rows-dialect.h. */
#pragma once

#include "api/table.h"

extern const struct api_field api_dialect_path[], api_dialect_query[], api_dialect_tools_query[],
    api_dialect_tools_result[];
