/* What came from what: templates, checkpoints and sandboxes as one tree. */
#pragma once

#include "farm/farm.h"

/* {"items":[{"kind","id","name","parent","sandbox","checkpoint","state","image","created_at"}]}, as far as
 * who may see them. parent names another item, or is "". */
json_t *farm_tree(struct farm *farm, const struct principal *who);
