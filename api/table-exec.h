/* Fields of the OpenSandbox execd protocol. Its rows are in api/rows-exec.h, which is a part of
 * api/table.c. */
#pragma once

#include "api/table.h"

/* Where it is mounted: what endpoints/44772 and endpoints/18080 answer. */
#define API_EXECD "/v1/sandboxes/{id}/proxy/44772"
#define API_EGRESS "/v1/sandboxes/{id}/proxy/18080"

extern const struct api_field api_exec_event[];          /* of a stream */
extern const struct api_field api_exec_run[];            /* POST command */
extern const struct api_field api_exec_status[];         /* GET command/status/{command} */
extern const struct api_field api_exec_command_path[];   /* {id}, {command} */
extern const struct api_field api_exec_session_path[];   /* {id}, {session} */
extern const struct api_field api_exec_session_run[];    /* POST session/{session}/run */
extern const struct api_field api_exec_paths[];          /* query path=…&path=… */
extern const struct api_field api_exec_path[];           /* query path=… */
extern const struct api_field api_exec_search[];         /* GET files/search */
extern const struct api_field api_exec_list[];           /* GET directories/list */
extern const struct api_field api_exec_download[];       /* GET files/download */
extern const struct api_field api_exec_upload[];         /* POST files/upload */
extern const struct api_field api_exec_file_map;         /* files by path */
extern const struct api_field api_exec_file_array;       /* files */
extern const struct api_field api_exec_permission_map;   /* permissions by path */
extern const struct api_field api_exec_move_array;       /* from, to */
extern const struct api_field api_exec_replace_map;      /* texts by path */
extern const struct api_field api_exec_replaced_map;     /* counts by path */
extern const struct api_field api_exec_metrics[];
extern const struct api_field api_exec_policy[];         /* GET policy */
extern const struct api_field api_exec_rule_array;       /* PATCH policy */
extern const struct api_field api_exec_target_array;     /* DELETE policy */
extern const struct api_field api_exec_context_path[];   /* {id}, {context} */
extern const struct api_field api_exec_limits[];
extern const struct api_field api_watch_query[], api_watch_event[], api_archive_query[];
