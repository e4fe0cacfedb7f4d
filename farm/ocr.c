/* One read is worked on at a time, part by part (words_missing): a worker copies the part as grey
 * bytes into a memfd, the helper gets that and answers with words, and they go among what is known.
 * When nothing is missing any more the read is answered. A read whose asker has gone still finishes its
 * part, because the next one will want it.
 *
 * The helper starts with the first part, in a jail of its own per sandbox: one desktop's pictures never
 * meet another's. It ends when it was idle for OCR_IDLE_US, took too long, or said nonsense; the next
 * read starts another. */
#include "farm/ocr.h"

#include "base/clock.h"
#include "base/sock.h"
#include "display/ocr/wire.h"
#include "farm/fenced.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define PARTS_TRIES 64 /* of one read; each makes tiles known, so this is never reached */

struct ocr_read {
    struct list link; /* ocr->reads; the first is worked on */
    struct ocr *ocr;
    struct frame *frame;
    struct rect region;
    int n_parts;
    ocr_fn fn;
    void *data;
};

/* A part on its way: first on a worker, then at the helper. */
struct job {
    struct ocr *ocr; /* NULL when that was freed meanwhile */
    struct frame *frame;
    struct words_part part;
    int fd; /* the picture */
    int error;
};

struct ocr {
    struct sandbox *sandbox;
    struct words *words;
    struct list reads;
    struct defer *defer;
    struct job *job;     /* NULL: nothing is under way */
    bool is_at_helper;
    struct fenced *fenced;
    int fd;              /* ours of the helper's socket; -1: it does not run */
    struct watch *watch;
    struct timer *timer; /* for the answer, or idle */
    struct buf reply;
    uint32_t id;
};

static void turn(void *data);

/* --- The helper -------------------------------------------------------------------------------- */

static void stop_helper(struct ocr *self)
{
    if (self->fd < 0)
        return;
    farm_counters(self->sandbox->farm)->ocr_helpers--;
    self->watch = watch_free(self->watch);
    util_close_ptr(&self->fd);
    self->fd = -1;
    self->fenced = fenced_free(self->fenced);
    buf_deinit(&self->reply);
    self->reply = (struct buf){ .limit = OCR_REPLY_MAX + sizeof(struct ocr_reply) };
}

static struct job *job_free(struct job *job)
{
    if (job) {
        frame_unref(job->frame);
        util_close_ptr(&job->fd);
        free(job);
    }
    return NULL;
}

/* The first read fails; others may have more luck. */
static void fail_first(struct ocr *self, const struct error *err)
{
    if (list_empty(&self->reads))
        return;
    struct ocr_read *read = list_first(&self->reads, struct ocr_read, link);
    ocr_fn fn = read->fn;
    void *data = read->data;
    ocr_read_cancel(read);
    fn(data, NULL, 0, err);
}

static void lose_helper(struct ocr *self, const char *why)
{
    struct error err = { 0 };
    bool was_working = self->is_at_helper;
    error_set(&err, ERROR_GUEST_FAILED, "reading the screen: %s", why);
    stop_helper(self);
    if (!was_working)
        return;
    self->is_at_helper = false;
    self->job = job_free(self->job);
    defer_request(self->defer);
    fail_first(self, &err);
}

static void handle_exit(void *data)
{
    lose_helper(data, "deskfarm-ocr ended");
}

static void handle_late(void *data)
{
    struct ocr *self = data;
    lose_helper(self, "deskfarm-ocr took too long");
}

static void handle_reply(struct ocr *self)
{
    struct rect outer = self->job->part.outer;
    auto_free struct word *list = NULL;
    int n = 0;
    int r = ocr_wire_read(self->reply.data, self->reply.size, self->id, outer.w, outer.h, &list, &n);
    if (r == OCR_MORE)
        return;
    for (int i = 0; i < n; i++) {
        list[i].rect.x += outer.x;
        list[i].rect.y += outer.y;
    }
    if (r == 0)
        r = words_put(self->words, self->job->frame, &self->job->part, list, n);
    if (r < 0) {
        lose_helper(self, "deskfarm-ocr answered nonsense");
        return;
    }
    self->reply.size = 0;
    self->is_at_helper = false;
    self->job = job_free(self->job);
    timer_start(self->timer, OCR_IDLE_US);
    defer_request(self->defer);
}

static void handle_socket(void *data, int events maybe_unused)
{
    struct ocr *self = data;
    char bytes[16384];
    ssize_t n = read(self->fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        self->watch = watch_free(self->watch); /* its end follows, with its last words */
    else if (!self->is_at_helper || buf_append(&self->reply, bytes, (size_t)n) < 0)
        lose_helper(self, "deskfarm-ocr answered nonsense");
    else
        handle_reply(self);
}

static const char *find_data(void)
{
    static const char *const places[] = { "/usr/share/tesseract-ocr/5/tessdata",
                                          "/usr/share/tesseract-ocr/4.00/tessdata", "/usr/share/tessdata" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

static int start_helper(struct ocr *self, struct error *err)
{
    struct farm *farm = self->sandbox->farm;
    int fds[2];
    const char *data = find_data();
    if (!data)
        return error_set(err, ERROR_UNSUPPORTED, "Tesseract's data is not installed (package tesseract-ocr)");
    if (farm_counters(farm)->ocr_helpers >= OCR_HELPERS_MAX)
        return error_set(err, ERROR_QUOTA, "the text of %d screens is being read already", OCR_HELPERS_MAX);
    int r = sock_pair(fds, err);
    if (r < 0)
        return r;
    auto_fd int theirs = fds[1];
    auto_fd int ours = fds[0];
    fcntl(theirs, F_SETFL, 0); /* it waits */
    const struct jail_bind binds[] = { { data, "/tessdata" } };
    const struct fenced_spec spec = { .folder = "display/ocr", .name = "deskfarm-ocr", .what = "text reader",
                                      .fd = theirs, .as = OCR_HELPER_FD, .binds = binds, .n_binds = 1 };
    r = fenced_start(&self->fenced, self->sandbox, &spec, handle_exit, self, err);
    if (r < 0)
        return r;
    self->watch = watch_new(farm_loop(farm), ours, handle_socket, self);
    if (!self->watch) {
        self->fenced = fenced_free(self->fenced);
        return error_errno(err, ENOMEM, "starting the text reader");
    }
    watch_set(self->watch, WATCH_READ);
    self->fd = steal_fd(&ours);
    farm_counters(farm)->ocr_helpers++;
    return 0;
}

/* --- One part ---------------------------------------------------------------------------------- */

static uint8_t *map_picture(struct job *job, size_t size)
{
    job->fd = memfd_create("deskfarm-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (job->fd < 0 || ftruncate(job->fd, (off_t)size) < 0)
        return NULL;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, job->fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Luma of BT.601. */
static void write_grey(const struct frame *frame, struct rect r, uint32_t *row, uint8_t *out)
{
    for (int y = 0; y < r.h; y++, out += r.w) {
        frame_read(frame, (struct rect){ r.x, r.y + y, r.w, 1 }, row, r.w);
        for (int x = 0; x < r.w; x++)
            out[x] = (uint8_t)((77 * (row[x] >> 16 & 255) + 150 * (row[x] >> 8 & 255) + 29 * (row[x] & 255)) >> 8);
    }
}

static void work(void *data)
{
    struct job *job = data;
    struct rect r = job->part.outer;
    size_t size = (size_t)r.w * (size_t)r.h;
    auto_free uint32_t *row = malloc((size_t)r.w * sizeof *row);
    uint8_t *grey = row ? map_picture(job, size) : NULL;
    job->error = grey ? 0 : ENOMEM;
    if (!grey)
        return;
    write_grey(job->frame, r, row, grey);
    munmap(grey, size);
    if (fcntl(job->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        job->error = errno;
}

static int send_part(struct ocr *self, struct error *err)
{
    struct job *job = self->job;
    if (job->error)
        return error_errno(err, job->error, "copying the screen");
    if (self->fd < 0) {
        int r = start_helper(self, err);
        if (r < 0)
            return r;
    }
    struct ocr_request request = { OCR_MAGIC, ++self->id, job->part.outer.w, job->part.outer.h };
    int r = sock_send_fd(self->fd, &request, sizeof request, job->fd);
    if (r < 0)
        return error_errno(err, -r, "giving the screen to the text reader");
    self->is_at_helper = true;
    farm_counters(self->sandbox->farm)->ocr_parts++;
    timer_start(self->timer, OCR_ANSWER_US);
    return 0;
}

static void done(void *data)
{
    struct job *job = data;
    struct ocr *self = job->ocr;
    struct error err = { 0 };
    if (!self) {
        job_free(job);
        return;
    }
    if (send_part(self, &err) < 0) {
        self->job = job_free(job);
        stop_helper(self);
        defer_request(self->defer);
        fail_first(self, &err);
    }
}

static void start_part(struct ocr *self, struct frame *frame, const struct words_part *part)
{
    struct error err = { 0 };
    struct job *job = calloc(1, sizeof *job);
    if (job) {
        *job = (struct job){ .ocr = self, .frame = frame_ref(frame), .part = *part, .fd = -1 };
        self->job = job;
        if (worker_submit(farm_pool(self->sandbox->farm), WORK_LATENCY, work, done, job) == 0)
            return;
        self->job = job_free(job);
    }
    error_errno(&err, ENOMEM, "reading the screen");
    defer_request(self->defer);
    fail_first(self, &err);
}

/* --- Reads ------------------------------------------------------------------------------------- */

static void answer_first(struct ocr *self)
{
    struct ocr_read *read = list_first(&self->reads, struct ocr_read, link);
    struct word *list = NULL;
    struct error err = { 0 };
    int n = words_get(self->words, read->region, &list);
    ocr_fn fn = read->fn;
    void *data = read->data;
    if (n < 0)
        error_errno(&err, ENOMEM, "reading the screen");
    ocr_read_cancel(read);
    defer_request(self->defer);
    fn(data, list, MAX(n, 0), n < 0 ? &err : NULL);
    free(list);
}

static void turn(void *data)
{
    struct ocr *self = data;
    struct words_part parts[WORDS_PARTS_MAX];
    if (self->job || list_empty(&self->reads))
        return;
    struct ocr_read *read = list_first(&self->reads, struct ocr_read, link);
    if (words_missing(self->words, read->frame, read->region, parts) == 0 || read->n_parts++ == PARTS_TRIES)
        answer_first(self);
    else
        start_part(self, read->frame, &parts[0]);
}

static void handle_timer(void *data)
{
    struct ocr *self = data;
    if (self->is_at_helper)
        handle_late(self);
    else
        stop_helper(self);
}

static struct ocr *get(struct sandbox *sandbox)
{
    if (sandbox->ocr)
        return sandbox->ocr;
    struct ocr *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct ocr){ .sandbox = sandbox, .fd = -1 };
    self->reply.limit = OCR_REPLY_MAX + sizeof(struct ocr_reply);
    list_init(&self->reads);
    self->words = words_new();
    self->defer = defer_new(farm_loop(sandbox->farm), turn, self);
    self->timer = timer_new(farm_loop(sandbox->farm), handle_timer, self);
    if (!self->words || !self->defer || !self->timer)
        return ocr_free(self);
    return sandbox->ocr = self;
}

struct ocr *ocr_free(struct ocr *self)
{
    if (!self)
        return NULL;
    stop_helper(self);
    if (self->job && self->is_at_helper)
        job_free(self->job);
    else if (self->job)
        self->job->ocr = NULL;
    defer_free(self->defer);
    timer_free(self->timer);
    words_free(self->words);
    free(self);
    return NULL;
}

struct ocr_read *ocr_read_start(struct sandbox *sandbox, struct frame *frame, struct rect region, ocr_fn fn,
                                void *data)
{
    struct ocr *ocr = get(sandbox);
    struct ocr_read *self = ocr ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    *self = (struct ocr_read){ .ocr = ocr, .frame = frame_ref(frame), .region = region, .fn = fn, .data = data };
    list_append(&ocr->reads, &self->link);
    defer_request(ocr->defer);
    return self;
}

struct ocr_read *ocr_read_cancel(struct ocr_read *self)
{
    if (self) {
        list_remove(&self->link);
        frame_unref(self->frame);
        free(self);
    }
    return NULL;
}
