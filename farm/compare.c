/* GET …/desktop/compare: where two frames differ, and how much of it a person would see.
 *
 * Which frames are known is bounded (display/past.h): of old ones to the tile, of very old ones nothing. That is
 * an answer, not an error: "known" says it. Pixels are compared on a worker. */
#include "display/difference.h"

#include "farm/change.h"
#include "farm/find.h"
#include "farm/sandbox-impl.h"

#include <errno.h>

struct job {
    struct compare *compare; /* NULL: nobody waits */
    struct frame *then, *now;
    struct difference result;
};

struct compare {
    struct find_op look;
    int64_t since, until;
    struct job *job;
};

static struct job *job_free(struct job *job)
{
    frame_unref(job->then);
    frame_unref(job->now);
    free(job);
    return NULL;
}

static void work(void *data)
{
    struct job *job = data;
    difference_measure(job->then, job->now, &job->result);
}

static void handle_compared(void *data)
{
    struct job *job = data;
    struct compare *self = job->compare;
    if (self) {
        self->job = NULL;
        json_t *body = self->look.op.body;
        json_object_set_new(body, "difference", json_real(job->result.seen));
        json_object_set_new(body, "changed_share", json_real(job->result.changed));
        json_object_set_new(body, "color", json_real(job->result.color));
        find_finish(&self->look.op, &(struct answer){ 0 });
    }
    job_free(job);
}

static void tell_known(struct compare *self, const char *known, pixman_region32_t *changes)
{
    json_object_set_new(self->look.op.body, "known", json_string(known));
    json_object_set_new(self->look.op.body, "changed", change_rects_json(changes));
}

static int start_job(struct compare *self, struct frame *then, struct error *err)
{
    struct job *job = calloc(1, sizeof *job);
    if (job) {
        *job = (struct job){ .compare = self, .then = frame_ref(then), .now = frame_ref(self->look.frame) };
        if (worker_submit(farm_pool(self->look.op.sandbox->farm), WORK_LATENCY, work, handle_compared, job) == 0) {
            self->job = job;
            return 0;
        }
        job_free(job);
    }
    return error_errno(err, ENOMEM, "comparing frames");
}

static int look(struct op *op, struct error *err)
{
    struct compare *self = (struct compare *)op;
    struct display *display = op->sandbox->display;
    struct frame *now = self->until ? display_frame_by_id(display, self->until) : display_frame(display);
    pixman_region32_t changes;
    int r = 0;
    if (!now)
        return error_set(err, ERROR_UNKNOWN_FRAME, "until: the pixels of frame %lld are not kept", (long long)self->until);
    self->look.frame = frame_ref(now);
    struct rect all = { 0, 0, now->width, now->height };
    struct frame *then = self->since == now->id ? now : display_frame_by_id(display, self->since);
    pixman_region32_init(&changes);
    bool is_gone = change_since(display, self->since, now, all, &changes) == CHANGE_GONE;
    bool is_comparable = then && then->width == now->width && then->height == now->height;
    tell_known(self, is_gone ? "gone" : is_comparable ? "pixels" : "tiles", &changes);
    pixman_region32_fini(&changes);
    if (is_comparable)
        r = start_job(self, then, err);
    else
        find_finish(op, &(struct answer){ 0 });
    return r;
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct compare *self = (struct compare *)op;
    find_stop(op);
    if (self->job)
        self->job->compare = NULL;
    self->job = NULL;
}

struct op *sandbox_compare(struct sandbox *sandbox, const json_t *params, answer_fn done, void *data, struct error *err)
{
    static const struct op_impl impl = { .begin = find_begin, .stop = stop, .deinit = find_deinit, .runs_paused = true };
    struct op *op = op_new(sizeof(struct compare), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct compare *self = (struct compare *)op;
    self->look.look = look;
    self->since = json_get_int(params, "since", 0);
    self->until = json_get_int(params, "until", 0);
    return op_start(op);
}
