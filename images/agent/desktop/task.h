/* One request of the host while deskfarm-desktop works on it. */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "images/agent/desktop/alarm.h"
#include "images/agent/loop.h"

#define TASKS_MAX 64
#define TASK_INPUT_MAX (8 * 1024 * 1024)
#define TASK_OUTPUT_MAX (16 * 1024 * 1024)

struct task;

/* An operation. begin runs when all input is there; it ends the task, now or later, with
 * task_finish or task_fail. */
struct task_op {
    const char *name; /* "windows" for the request "desktop.windows" */
    void (*begin)(struct task *task);
    size_t input_max; /* 0: it has none */
};

struct task {
    struct list link;
    const struct task_op *op;
    json_t *request;
    struct source data; /* the request's input comes here, its output goes here */
    int result_fd;
    struct buf in, out;
    size_t out_sent;
    json_t *result; /* set: it is over, and the output is still being written */
    bool has_begun;

    /* The operation's. stop runs once, when the task ends in whatever way. */
    void *state;
    void (*stop)(struct task *task);
    struct alarm alarm;
};

/* Takes the descriptors over. text is the request's JSON. */
void task_begin(const char *text, size_t size, int data_fd, int result_fd);
/* Ends it with the result (stolen) once its output has been written. The task may be gone after. */
void task_finish(struct task *self, json_t *result);
void task_fail(struct task *self, const char *code, const char *format, ...) printf_like(3, 4);
/* Its output as JSON (stolen). */
void task_output_json(struct task *self, json_t *value);
