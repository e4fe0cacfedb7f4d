/* A task's life: its input is read to the end, the operation runs, its output is written as the
 * agent takes it, then the result goes into the pipe in one piece. Closing the socket last tells
 * the agent that all is said. A hang-up of the socket is the host that does not want the answer
 * any more. */
#include "images/agent/desktop/task.h"

#include "images/agent/answer.h"
#include "images/agent/desktop/desktop.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PREFIX "desktop."
#define CHUNK 65536

static struct list tasks = LIST_INIT(tasks);
static int n_tasks;

static void task_free(struct task *self)
{
    if (self->stop)
        self->stop(self);
    alarm_stop(&self->alarm);
    source_close(&self->data);
    util_close_ptr(&self->result_fd);
    buf_deinit(&self->in);
    buf_deinit(&self->out);
    json_decref(self->request);
    json_decref(self->result);
    list_remove(&self->link);
    n_tasks--;
    free(self);
}

/* The pipe is empty and has room for far more than ANSWER_MAX. */
static void write_result(struct task *self)
{
    auto_buf struct buf text = { .limit = ANSWER_MAX };
    static const char too_large[] =
        "{\"error\":{\"code\":\"too_large\",\"message\":\"the result is too large\"}}";
    if (json_write(self->result, &text) < 0) {
        text.size = 0;
        text.failed = false;
        buf_puts(&text, too_large);
    }
    if (write(self->result_fd, text.data, text.size) < 0)
        return; /* the agent is gone, and with it the reader */
}

static void write_output(struct task *self)
{
    while (self->out_sent < self->out.size) {
        ssize_t n = send(self->data.fd, self->out.data + self->out_sent,
                         MIN(self->out.size - self->out_sent, CHUNK), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            source_set(&self->data, EPOLLOUT);
            return;
        }
        if (n < 0)
            break;
        self->out_sent += (size_t)n;
    }
    write_result(self);
    task_free(self);
}

void task_finish(struct task *self, json_t *result)
{
    alarm_stop(&self->alarm);
    self->result = result ? result : json_object();
    write_output(self);
}

void task_fail(struct task *self, const char *code, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    json_t *result = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", text);
    self->out.size = 0;
    task_finish(self, result ? result : json_pack("{s:{s:s, s:s}}", "error", "code", code,
                                                  "message", code));
}

void task_output_json(struct task *self, json_t *value)
{
    auto_json json_t *owned = value;
    if (!owned || json_write(owned, &self->out) < 0)
        self->out.size = 0;
}

/* --- Beginning -------------------------------------------------------------------------------- */

static void run(struct task *self)
{
    self->has_begun = true;
    source_set(&self->data, EPOLLHUP | EPOLLERR); /* these two are always reported */
    self->op->begin(self);
}

static void read_input(struct task *self)
{
    for (;;) {
        uint8_t *at = buf_reserve(&self->in, CHUNK);
        if (!at) {
            task_fail(self, "too_large", "the input has more than %zu bytes", self->op->input_max);
            return;
        }
        ssize_t n = read(self->data.fd, at, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            task_free(self);
            return;
        }
        if (n == 0)
            break;
        self->in.size += (size_t)n;
    }
    run(self);
}

static void handle_data(void *data, uint32_t events)
{
    struct task *self = data;
    if (self->result && events & EPOLLOUT)
        write_output(self);
    else if (events & (EPOLLHUP | EPOLLERR))
        task_free(self);
    else if (!self->has_begun)
        read_input(self);
}

static const struct task_op *find_op(const char *name)
{
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0)
        return NULL;
    for (size_t i = 0; i < desktop_n_ops; i++)
        if (strcmp(desktop_ops[i].name, name + sizeof PREFIX - 1) == 0)
            return &desktop_ops[i];
    return NULL;
}

void task_begin(const char *text, size_t size, int data_fd, int result_fd)
{
    struct error err = { 0 };
    struct task *self = n_tasks < TASKS_MAX ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        close(data_fd); /* the agent says that there was no answer */
        close(result_fd);
        return;
    }
    list_append(&tasks, &self->link);
    n_tasks++;
    self->result_fd = result_fd;
    self->out.limit = TASK_OUTPUT_MAX;
    source_open(&self->data, data_fd, handle_data, self);
    if (json_parse_object(text, size, &self->request, &err) < 0) {
        task_fail(self, "bad_json", "%s", err.message);
        return;
    }
    self->op = find_op(json_get_string(self->request, "op", ""));
    if (!self->op) {
        task_fail(self, "unsupported", "this helper has no such operation");
        return;
    }
    self->in.limit = self->op->input_max + CHUNK;
    if (self->op->input_max == 0) {
        run(self);
        return;
    }
    source_set(&self->data, EPOLLIN);
}
