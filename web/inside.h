/* A request that is answered by the agent in a guest: by one of its operations, or by several, one
 * after the other. The first that fails ends it with that error; what was done before stays done. A
 * caller that goes away cancels what is under way. */
#pragma once

#include "farm/sandbox.h"
#include "web/request.h"

/* Answers the request from the operation's result; borrowed. */
typedef void (*inside_answer_fn)(struct request *request, const json_t *result);

/* Sends op (stolen) to the agent of the path's sandbox. timeout_us as in agent_call_new. */
void inside_ask(struct request *request, json_t *op, int64_t timeout_us, inside_answer_fn answer);

/* Several of them. */
struct inside_steps;

struct inside_steps_ops {
    /* The next operation as a new object, or NULL when all are done; then answer runs. */
    json_t *(*next)(struct inside_steps *self);
    /* One is done. Negative ends it all with err. May be NULL. */
    int (*done)(struct inside_steps *self, const json_t *result, struct error *err);
    /* One failed. 0: go on as if it had not. May be NULL. */
    int (*failed)(struct inside_steps *self, const struct error *err);
    /* A line of its output, a JSON object; borrowed. Negative as for done. May be NULL. */
    int (*line)(struct inside_steps *self, json_t *object, struct error *err);
    void (*answer)(struct inside_steps *self);
};

struct inside_steps {
    struct request *request;
    struct sandbox *sandbox; /* a reference */
    const struct inside_steps_ops *ops;
    /* The owner's: */
    json_t *items;  /* an array: what to work on */
    size_t index;   /* of the one that is being worked on */
    int stage;      /* of it */
    json_t *result; /* what will be answered */
    bool is_truncated;
};

/* Runs through; the request is answered in the end. items and result are stolen; result may be
 * NULL. */
void inside_run(struct request *request, const struct inside_steps_ops *ops, json_t *items,
                json_t *result);
/* The item that is being worked on, or NULL behind the last. Borrowed. */
json_t *inside_item(const struct inside_steps *self);
