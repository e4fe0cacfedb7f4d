/* base/: errors grow a chain, buffers stop at their limit, timers and workers answer on the loop. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/json.h"
#include "base/process.h"
#include "base/sock.h"
#include "base/worker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

Test(error, grows_a_chain_and_keeps_its_code)
{
    struct error err = { 0 };
    cr_assert(lt(int, error_set(&err, ERROR_NOT_FOUND, "no sandbox %s", "sb-1"), 0));
    error_wrap(&err, "taking a screenshot of %s", "sb-1");
    cr_assert(eq(str, err.message, "taking a screenshot of sb-1: no sandbox sb-1"));
    cr_assert(eq(str, (char *)error_code_name(err.code), "not_found"));
    cr_assert(eq(int, error_code_status(err.code), 404));
}

Test(error, names_a_full_disk)
{
    struct error err = { 0 };
    cr_assert(eq(int, error_errno(&err, ENOSPC, "writing the journal"), -ENOSPC));
    cr_assert(eq(int, err.code, ERROR_DISK_FULL));
}

Test(error, cuts_a_chain_that_is_too_long)
{
    struct error err = { 0 };
    error_set(&err, ERROR_INTERNAL, "cause");
    for (int i = 0; i < 100; i++)
        error_wrap(&err, "doing something with a rather long description");
    cr_assert(lt(sz, strlen(err.message), sizeof err.message));
}

Test(buf, stops_at_its_limit)
{
    auto_buf struct buf b = { .limit = 10 };
    cr_assert(eq(int, buf_puts(&b, "0123456789"), 0));
    cr_assert(lt(int, buf_puts(&b, "x"), 0));
    cr_assert(eq(sz, b.size, 10));
}

Test(buf, nothing_can_be_added_to_nothing)
{
    auto_buf struct buf buf = BUF_INIT;
    cr_assert(eq(int, buf_append(&buf, NULL, 0), 0));
    cr_assert(zero(buf.size));
}

Test(buf, writes_base64)
{
    static const struct { const char *in, *out; } rows[] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf struct buf b = BUF_INIT;
        buf_append_base64(&b, rows[i].in, strlen(rows[i].in));
        cr_assert(eq(str, (char *)buf_str(&b), (char *)rows[i].out));
    }
}

Test(clock, reads_what_it_writes)
{
    char text[CLOCK_RFC3339_MAX];
    int64_t us;
    clock_format(1767323045678000, text);
    cr_assert(eq(str, text, "2026-01-02T03:04:05.678Z"));
    cr_assert(eq(int, clock_parse(text, &us), 0));
    cr_assert(eq(i64, us, 1767323045678000));
    cr_assert(eq(int, clock_parse("2026-01-02T05:04:05.678+02:00", &us), 0));
    cr_assert(eq(i64, us, 1767323045678000));
    cr_assert(lt(int, clock_parse("yesterday", &us), 0));
    cr_assert(lt(int, clock_parse("2026-01-02T03:04:05", &us), 0));
}

Test(json, refuses_what_is_no_plain_object)
{
    static const char *const bad[] = { "", "[]", "{", "{\"a\":1,\"a\":2}", "{} {}", "\"x\"", "{\"a\":\"\xff\"}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        json_t *value = NULL;
        cr_assert(lt(int, json_parse_object(bad[i], strlen(bad[i]), &value, &err), 0), "%s", bad[i]);
        cr_assert(eq(int, err.code, ERROR_BAD_JSON));
    }
}

Test(json, bounds_its_depth)
{
    char deep[2000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    json_t *value = NULL;
    cr_assert(lt(int, json_parse_object(deep, sizeof deep, &value, NULL), 0));
}

Test(id, is_a_safe_name)
{
    char a[ID_MAX], b[ID_MAX];
    id_new("sb-", a);
    id_new("sb-", b);
    cr_assert(ne(str, a, b));
    cr_assert(id_is_valid(a));
    cr_assert(not(id_is_valid("../etc")));
    cr_assert(not(id_is_valid("")));
}

Test(fs, replaces_a_file_whole)
{
    struct error err = { 0 };
    auto_buf struct buf out = BUF_INIT;
    char dir[] = "/tmp/deskfarm-test-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    auto_free char *deep = fs_join(dir, "a/b/c"), *file = fs_join(dir, "a/b/c/file");
    cr_assert(eq(int, fs_mkdirs(deep, 0700, &err), 0));
    cr_assert(eq(int, fs_write_atomic(file, "one", 3, 0600, &err), 0));
    cr_assert(eq(int, fs_write_atomic(file, "two", 3, 0600, &err), 0));
    cr_assert(eq(int, fs_read(file, 100, &out, &err), 0));
    cr_assert(eq(str, (char *)buf_str(&out), "two"));
    cr_assert(lt(int, fs_read(file, 2, &out, &err), 0));
    cr_assert(eq(int, fs_remove_tree(dir, &err), 0));
    cr_assert(eq(int, fs_remove_tree(dir, &err), 0));
}

struct seen {
    struct loop loop;
    int count, status;
};

static void count_one(void *data)
{
    struct seen *seen = data;
    seen->count++;
}

Test(loop, timers_run_once_and_never_after_free)
{
    struct seen seen = { 0 };
    loop_init(&seen.loop);
    struct timer *kept = timer_new(&seen.loop, count_one, &seen);
    struct timer *gone = timer_new(&seen.loop, count_one, &seen);
    timer_start(kept, 1000);
    timer_start(gone, 1000);
    timer_free(gone);
    while (timer_is_active(kept))
        loop_turn(&seen.loop, true);
    timer_free(kept);
    loop_deinit(&seen.loop);
    cr_assert(eq(int, seen.count, 1));
}

static void note_events(void *data, int events)
{
    struct seen *seen = data;
    seen->status |= events;
    seen->count++;
}

Test(loop, tells_that_a_peer_has_gone_behind_unread_data)
{
    struct seen seen = { 0 };
    loop_init(&seen.loop);
    int ends[2];
    cr_assert(eq(int, sock_pair(ends, NULL), 0));
    struct watch *watch = watch_new(&seen.loop, ends[0], note_events, &seen);
    watch_set(watch, WATCH_GONE);
    cr_assert(eq(int, (int)write(ends[1], "unread", 6), 6));
    loop_turn(&seen.loop, false);
    cr_assert(eq(int, seen.count, 0));
    close(ends[1]);
    loop_turn(&seen.loop, true);
    cr_assert(eq(int, seen.status, WATCH_GONE));
    watch_free(watch);
    close(ends[0]);
    loop_deinit(&seen.loop);
}

static void work_nothing(void *data maybe_unused) {}

Test(worker, every_job_is_answered_even_when_the_pool_goes)
{
    struct seen seen = { 0 };
    loop_init(&seen.loop);
    struct worker_pool *pool = worker_pool_new(&seen.loop, 2, 1);
    for (int i = 0; i < 200; i++)
        worker_submit(pool, i % 2 ? WORK_BULK : WORK_LATENCY, work_nothing, count_one, &seen);
    while (seen.count < 100)
        loop_turn(&seen.loop, true);
    worker_pool_free(pool);
    loop_deinit(&seen.loop);
    cr_assert(eq(int, seen.count, 200));
}

static void handle_exit(void *data, int status)
{
    struct seen *seen = data;
    seen->status = status;
    seen->count++;
}

Test(process, gives_a_child_exactly_the_named_descriptors)
{
    struct seen seen = { 0 };
    struct error err = { 0 };
    loop_init(&seen.loop);
    int pipe_fds[2];
    cr_assert(eq(int, pipe(pipe_fds), 0)); /* not close-on-exec on purpose: replaced below */
    fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_fds[1], F_SETFD, FD_CLOEXEC);
    const char *argv[] = { "ls", "/proc/self/fd", NULL };
    struct process_fd fds[] = { { pipe_fds[1], 1 }, { pipe_fds[1], 7 } };
    struct process_spec spec = { .argv = argv, .fds = fds, .n_fds = 2 };
    struct process *child = NULL;
    cr_assert(eq(int, process_spawn(&child, &seen.loop, &spec, handle_exit, &seen, &err), 0), "%s", err.message);
    while (!seen.count)
        loop_turn(&seen.loop, true);
    char out[256] = { 0 };
    cr_assert(gt(int, (int)read(pipe_fds[0], out, sizeof out - 1), 0));
    /* 3 is the directory that ls itself has open. */
    cr_assert(eq(str, out, "0\n1\n2\n3\n7\n"));
    cr_assert(eq(int, WEXITSTATUS(seen.status), 0));
    process_free(child);
    loop_deinit(&seen.loop);
}

Test(process, says_what_could_not_be_started)
{
    struct loop loop;
    struct error err = { 0 };
    loop_init(&loop);
    const char *argv[] = { "/nonexistent/qemu", NULL };
    struct process_spec spec = { .argv = argv };
    struct process *child = NULL;
    cr_assert(lt(int, process_spawn(&child, &loop, &spec, NULL, NULL, &err), 0));
    cr_assert(eq(str, err.message, "starting /nonexistent/qemu: No such file or directory"));
    loop_deinit(&loop);
}

Test(process, adoption_refuses_a_reused_pid)
{
    struct loop loop;
    struct error err = { 0 };
    loop_init(&loop);
    struct process *self = NULL;
    uint64_t start = process_start_time(getpid());
    cr_assert(gt(u64, start, 0));
    cr_assert(lt(int, process_adopt(&self, &loop, getpid(), start + 1, NULL, NULL, &err), 0));
    cr_assert(eq(int, process_adopt(&self, &loop, getpid(), start, NULL, NULL, &err), 0));
    process_free(self);
    loop_deinit(&loop);
}
