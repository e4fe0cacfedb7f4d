/* Content negotiation and conditional requests, as pure functions. */
#pragma once

#include "base/util.h"

enum representation { REPRESENT_JSON, REPRESENT_IMAGE, REPRESENT_NONE };

/* What an Accept header ("" when absent) wants of an operation that can answer JSON or an image of
 * type content_type. The higher quality wins; on a tie, preset. An image type other than
 * content_type is REPRESENT_NONE only when JSON is not accepted either. */
enum representation negotiate(const char *accept, const char *content_type,
                              enum representation preset);

/* Whether an If-None-Match header names the ETag (given without quotes). Weak comparison. */
bool negotiate_etag_matches(const char *if_none_match, const char *etag);
