#include "farm/sight.h"

#include "farm/sandbox-impl.h"

#include <errno.h>
#include <string.h>

struct sight {
    sight_fn fn; /* NULL: nobody waits any more */
    void *data;
    struct frame *frame;
    struct template *template;
    struct template_search search;
    struct template_match matches[TEMPLATE_MATCHES_MAX];
    int n;
};

static void work(void *data)
{
    struct sight *self = data;
    self->n = template_find(self->template, self->frame, &self->search, self->matches);
}

static struct sight *sight_free(struct sight *self)
{
    frame_unref(self->frame);
    template_unref(self->template);
    free(self);
    return NULL;
}

static json_t *match_json(struct rect r, double score)
{
    return json_pack("{si si si si sf}", "x", r.x, "y", r.y, "width", r.w, "height", r.h, "score", score);
}

static void done(void *data)
{
    struct sight *self = data;
    struct error err = { 0 };
    json_t *list = self->n >= 0 ? json_array() : NULL;
    for (int i = 0; i < self->n; i++)
        json_array_append_new(list, match_json(self->matches[i].rect, self->matches[i].score));
    if (!list)
        error_errno(&err, ENOMEM, "looking for an image");
    if (self->fn)
        self->fn(self->data, list, list ? NULL : &err);
    else
        json_decref(list);
    sight_free(self);
}

struct sight *sight_start(struct sandbox *sandbox, struct frame *frame, struct template *template,
                          const struct template_search *search, sight_fn fn, void *data)
{
    struct sight *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct sight){ .fn = fn, .data = data, .frame = frame_ref(frame), .template = template_ref(template),
                            .search = *search };
    if (worker_submit(farm_pool(sandbox->farm), WORK_LATENCY, work, done, self) < 0)
        return sight_free(self);
    return self;
}

struct sight *sight_cancel(struct sight *self)
{
    if (self)
        self->fn = NULL; /* the worker has it */
    return NULL;
}

int sight_template(struct template **ret, const char *base64, struct error *err)
{
    auto_buf struct buf png = { .limit = TEMPLATE_PNG_MAX };
    if (buf_append_base64_text(&png, base64, strlen(base64)) < 0)
        return error_set(err, ERROR_BAD_VALUE, "picture: no base64 of at most %zu bytes", TEMPLATE_PNG_MAX);
    int r = template_new(ret, png.data, png.size, err);
    if (r < 0)
        error_wrap(err, "picture");
    return r;
}

static json_t *runs_json(const struct word *list, const struct words_run *runs, int n)
{
    json_t *out = json_array();
    for (int i = 0; i < n; i++) {
        auto_buf struct buf text = BUF_INIT;
        json_t *match = match_json(runs[i].rect, runs[i].confidence / 100.0);
        words_text(list, &runs[i], &text);
        json_object_set_new(match, "text", json_stringn(buf_str(&text), text.size));
        json_array_append_new(out, match);
    }
    return out;
}

typedef int (*runs_fn)(const struct word *list, int n, const char *text, struct words_run *out, int max);

static int all_lines(const struct word *list, int n, const char *text maybe_unused, struct words_run *out, int max)
{
    return words_lines(list, n, out, max);
}

static json_t *collect(const struct word *list, int n, const char *text, int limit, runs_fn fn)
{
    auto_free struct words_run *runs = calloc((size_t)limit, sizeof *runs);
    return runs ? runs_json(list, runs, fn(list, n, text, runs, limit)) : json_array();
}

json_t *sight_texts(const struct word *list, int n, const char *text, int limit)
{
    return collect(list, n, text, limit, words_find);
}

json_t *sight_lines(const struct word *list, int n, int limit)
{
    return collect(list, n, NULL, limit, all_lines);
}
