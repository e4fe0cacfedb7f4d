/* create, and waiting for a guest to come up.
 *
 * An image may say when its desktop is there; then the daemon waits. For the others: a boot is still
 * more than once: firmware, kernel and display manager each show something and
 * then load, often behind a blank screen of another size. So a still screen (QUIET_MS) counts as
 * up when it also has the size that was asked for, shows a pointer, and is not blank. A guest
 * that never gets there, such as a text console, counts when it was still for PLAIN_S. */
#include "cli/output.h"
#include "cli/verbs.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_S 300 /* of --wait without a number */
#define POLL_MS 250
#define QUIET_MS "4000" /* above the pauses of a desktop that loads without KVM */
#define SLICE_MS 10000  /* of one wait request, so that progress moves */
#define PLAIN_S 30
#define BLANK_BYTES \
    100 /* a PNG of 16x10 pixels of one colour has about 80, of the probe's pattern 162 */

static const struct column columns[] = {
    { "ID", "id" },
    { "STATE", "status.state" },
    { "IMAGE", "image.uri" },
    { "WIDTH", "desktop.width" },
    { "HEIGHT", "desktop.height" },
    { "EXPIRES", "expiresAt" },
    { NULL, NULL },
};

struct boot {
    struct cli *cli;
    const char *id;
    int64_t began_us, limit_us, quiet_ms;
    int64_t still_since_us; /* 0: it moved when last looked at */
    int64_t width, height;  /* as asked for */
};

static int elapsed_s(const struct boot *self)
{
    return (int)((clock_now_us() - self->began_us) / 1000000);
}

static bool is_late(const struct boot *self)
{
    return clock_now_us() - self->began_us >= self->limit_us;
}

static int fail_late(const struct boot *self, const char *what)
{
    return cli_fail(self->cli, CLI_FAILED, "timeout", "%s: %s after %d s; it goes on starting",
                    self->id, what, elapsed_s(self));
}

static void pause_ms(int ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&time, NULL);
}

/* Polls until the display is ready. Leaves the last answer in ret. */
static int wait_ready(struct boot *self, struct reply *ret)
{
    for (;;) {
        int status = cli_call(self->cli, API_SANDBOX_GET, self->id, NULL, ret);
        if (status != CLI_OK)
            return status;
        const json_t *state = json_object_get(ret->json, "status");
        const char *name = json_get_string(state, "state", "");
        if (strcmp(name, "Failed") == 0 || strcmp(name, "Terminated") == 0)
            return cli_fail(self->cli, CLI_FAILED, "guest_failed", "%s: %s: %s", self->id, name,
                            json_get_string(state, "message", ""));
        if (json_get_bool(json_object_get(ret->json, "desktop"), "ready", false))
            return CLI_OK;
        if (is_late(self))
            return fail_late(self, "no screen");
        progress_show(self->cli, "%s: %s, waiting for a screen (%d s)", self->id, name,
                      elapsed_s(self));
        reply_deinit(ret);
        pause_ms(POLL_MS);
    }
}

/* The image says when; waits in slices, so that progress moves. */
static int wait_signal(struct boot *self)
{
    for (;;) {
        struct reply reply;
        auto_json json_t *body = json_pack("{s:s,s:i}", "for", "up", "max_ms", SLICE_MS);
        progress_show(self->cli, "%s: waiting until the desktop is up (%d s)", self->id,
                      elapsed_s(self));
        int status = cli_call(self->cli, API_DESKTOP_WAIT, self->id, body, &reply);
        if (status != CLI_OK)
            return status;
        bool is_up = strcmp(json_get_string(reply.json, "result", ""), "settled") == 0;
        reply_deinit(&reply);
        if (is_up)
            return CLI_OK;
        if (is_late(self))
            return fail_late(self, "the desktop is not up");
    }
}

/* One wait of at most SLICE_MS. */
static int wait_slice(struct boot *self)
{
    struct reply reply;
    int64_t max_ms = MAX(SLICE_MS, self->quiet_ms * 2);
    auto_json json_t *body =
        json_pack("{s:s,s:I,s:I,s:I}", "for", "settled", "first_ms", (json_int_t)self->quiet_ms,
                  "quiet_ms", (json_int_t)self->quiet_ms, "max_ms", (json_int_t)max_ms);
    int status = cli_call(self->cli, API_DESKTOP_WAIT, self->id, body, &reply);
    if (status != CLI_OK)
        return status;
    const char *result = json_get_string(json_object_get(reply.json, "settle"), "result", "");
    bool is_still = strcmp(result, "timed_out") != 0;
    if (!is_still)
        self->still_since_us = 0;
    else if (self->still_since_us == 0)
        self->still_since_us = clock_now_us();
    reply_deinit(&reply);
    return CLI_OK;
}

/* The size that was asked for, and a pointer in it. */
static int look_at_display(struct boot *self, bool *ret_is_desktop)
{
    struct reply reply;
    int status = cli_call(self->cli, API_DESKTOP_DISPLAY, self->id, NULL, &reply);
    if (status != CLI_OK)
        return status;
    *ret_is_desktop = json_get_int(reply.json, "width", 0) == self->width &&
                      json_get_int(reply.json, "height", 0) == self->height &&
                      json_get_bool(json_object_get(reply.json, "cursor"), "visible", false);
    reply_deinit(&reply);
    return CLI_OK;
}

/* Whether a very small picture of the screen compresses to nothing. */
static int look_at_pixels(struct boot *self, bool *ret_is_blank)
{
    struct reply reply;
    auto_json json_t *own = json_object();
    struct request request = {
        .op = &api_table[API_DESKTOP_SCREENSHOT],
        .path = json_pack("{s:s}", "id", self->id),
        .query = json_pack("{s:[s],s:[s],s:[s]}", "out_width", "16", "out_height", "10", "cursor",
                           "false"),
        .body = json_object(),
        .own = json_incref(own),
    };
    int status = cli_send(self->cli, &request, &reply);
    request_deinit(&request);
    if (status != CLI_OK)
        return status;
    const json_t *data = json_object_get(json_object_get(reply.json, "image"), "data");
    *ret_is_blank = json_string_length(data) / 4 * 3 < BLANK_BYTES;
    reply_deinit(&reply);
    return CLI_OK;
}

/* One look: waits for a still screen and judges it. */
static int look(struct boot *self, bool *ret_is_up)
{
    bool is_desktop = false, is_blank = true;
    int status = wait_slice(self);
    if (status == CLI_OK && self->still_since_us)
        status = look_at_display(self, &is_desktop);
    if (status == CLI_OK && is_desktop)
        status = look_at_pixels(self, &is_blank);
    bool is_plain =
        self->still_since_us && clock_now_us() - self->still_since_us >= PLAIN_S * 1000000LL;
    *ret_is_up = (is_desktop && !is_blank) || is_plain;
    return status;
}

static int wait_up(struct boot *self)
{
    for (bool is_up = false;;) {
        progress_show(self->cli, "%s: waiting until the screen is still (%d s)", self->id,
                      elapsed_s(self));
        int status = look(self, &is_up);
        if (status != CLI_OK || is_up)
            return status;
        if (is_late(self))
            return fail_late(self, "the screen is not still");
        /* A screen that is still already is answered at once. */
        pause_ms(POLL_MS);
    }
}

static int64_t own_number(const struct request *request, const char *name, int64_t fallback)
{
    const char *text = request_own(request, name);
    return text && *text ? strtoll(text, NULL, 10) : fallback;
}

/* ret: the answer to create, replaced by what the sandbox is in the end. */
static int wait_boot(struct cli *cli, const struct request *request, const char *id,
                     struct reply *ret)
{
    const json_t *desktop = json_object_get(ret->json, "desktop");
    struct boot boot = {
        .cli = cli,
        .id = id,
        .began_us = clock_now_us(),
        .limit_us = own_number(request, "wait-max", WAIT_S) * 1000000,
        .quiet_ms = CLAMP(own_number(request, "wait-quiet", atoll(QUIET_MS)), 100, 60000),
        .width = json_get_int(desktop, "width", 0),
        .height = json_get_int(desktop, "height", 0),
    };
    reply_deinit(ret);
    int status = wait_ready(&boot, ret);
    bool has_signal = status == CLI_OK &&
                      json_is_boolean(json_object_get(json_object_get(ret->json, "desktop"), "up"));
    reply_deinit(ret);
    if (status == CLI_OK)
        status = has_signal ? wait_signal(&boot) : wait_up(&boot);
    progress_end(cli);
    return status == CLI_OK ? cli_call(cli, API_SANDBOX_GET, id, NULL, ret) : status;
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    auto_free char *id = strdup(json_get_string(reply.json, "id", ""));
    if (request_own(request, "wait")) {
        status = wait_boot(cli, request, id, &reply);
        /* Whoever made it must be able to end it. */
        if (status != CLI_OK) {
            puts(id);
            reply_deinit(&reply);
            return status;
        }
    }
    return output_answer(cli, columns, &reply);
}

static const char *const operands[] = { "image.uri", NULL };
static const char *const hidden[] = { "image", NULL };

static const struct flag flags[] = {
    { .name = "cpus",
      .field = "resourceLimits.cpu",
      .value = "N",
      .text = "Virtual CPUs, e.g. 2." },
    { .name = "memory",
      .field = "resourceLimits.memory",
      .value = "SIZE",
      .text = "Memory, e.g. 2Gi or 512Mi." },
    { .name = "disk", .field = "resourceLimits.disk", .value = "SIZE", .text = "Disk, e.g. 20Gi." },
    { .name = "size",
      .field = "display",
      .value = "WIDTHxHEIGHT",
      .text = "Size of the screen, e.g. 1280x800." },
    { .name = "wait",
      .text = "Wait until the desktop is there and still. If that fails, the id is printed and "
              "the sandbox goes on." },
    { .name = "wait-max", .value = "SECONDS", .text = "Longest wait (300)." },
    { .name = "wait-quiet", .value = "MS", .text = "How long nothing may change (" QUIET_MS ")." },
    { .name = "idempotency-key",
      .value = "KEY",
      .text = "A repetition with the same key makes no second sandbox." },
    { .name = NULL },
};

const struct verb verb_create = {
    .name = "create",
    .usage = "IMAGE",
    .operation = "sandbox_create",
    .operands = operands,
    .hidden = hidden,
    .flags = flags,
    .run = run,
    .text = "Prints the new sandbox's id and state. `deskfarm images list` shows what IMAGE can\n"
            "be. Here --timeout is the sandbox's own lease in seconds.\n",
};
