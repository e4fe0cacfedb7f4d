/* Checks requests against the rows of the table. What passes has the declared types and limits all
 * the way down, so the layers below read it without checking again. Nothing is injected: an absent
 * field stays absent. */
#pragma once

#include "api/table.h"
#include "base/json.h"

/* Checks body (an object, or what op->whole says; NULL when there was none) in place. Fields that an OpenSandbox operation
 * does not know are removed and added to *ret_ignored; elsewhere they are unknown_field. Messages
 * name the field by its whole path: "actions[3].x". */
int api_check_body(const struct api_operation *op, json_t *body, int *ret_ignored,
                   struct error *err);

/* Checks the first message of a WebSocket by op->first. */
int api_check_first(const struct api_operation *op, json_t *message, struct error *err);

/* One "name=value" of a query, percent-decoding done. */
struct api_pair {
    const char *name, *value; /* NUL-terminated */
};

#define API_QUERY_MAX 128

/* Turns a query into an object of typed values, by the rows of op. The caller owns *ret. */
int api_check_query(const struct api_operation *op, const struct api_pair *pairs, size_t n,
                    json_t **ret, int *ret_ignored, struct error *err);

/* Turns the path's parameters into an object of typed values. A value that no object could have is
 * not_found. The caller owns *ret. */
int api_check_path(const struct api_operation *op, const struct api_match *match, json_t **ret,
                   struct error *err);
