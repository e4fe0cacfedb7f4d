/* A request and the operation of a sandbox that works for it. Whichever ends first tells the other:
 * an answer frees the task, a caller that goes away cancels the operation. */
#pragma once

#include "farm/sandbox.h"
#include "web/request.h"

/* sandbox_act and its like. */
typedef struct op *(*task_start_fn)(struct sandbox *sandbox, const json_t *params, answer_fn done,
                                    void *data, struct error *err);
/* Answers the request; body and image of the answer are released afterwards. */
typedef void (*task_show_fn)(struct request *request, struct answer *answer, int variant);

/* Negative: it did not start, and the request is not answered. params is borrowed. variant is handed
 * to show. */
int task_start(struct request *request, struct sandbox *sandbox, task_start_fn start,
               const json_t *params, task_show_fn show, int variant, struct error *err);
