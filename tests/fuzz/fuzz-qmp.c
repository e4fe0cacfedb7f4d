/* What a QEMU may say: greeting, answers to two commands that wait, events. The first byte says in how
 * large pieces it arrives. */
#include "base/sock.h"
#include "hypervisor/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle_event(void *data maybe_unused, const char *name maybe_unused,
                         const json_t *args maybe_unused)
{
}

static void handle_done(void *data, json_t *result maybe_unused, const struct error *err maybe_unused)
{
    ++*(int *)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct qmp_ops ops = { .on_event = handle_event };
    struct loop loop;
    struct qmp *qmp = NULL;
    int fds[2], n_done = 0;
    if (size < 1 || loop_init(&loop) < 0)
        return 0;
    if (sock_pair(fds, NULL) < 0 || qmp_new(&qmp, &loop, fds[0], &ops, NULL, NULL) < 0)
        abort();
    qmp_execute(qmp, "query-status", NULL, handle_done, &n_done);
    qmp_execute(qmp, "stop", NULL, handle_done, &n_done);
    size_t step = data[0] ? data[0] : size;
    for (size_t at = 1; at < size; at += step) {
        qmp_feed(qmp, data + at, MIN(step, size - at));
        loop_turn(&loop, false);
    }
    qmp_free(qmp);
    if (n_done != 2) /* every command is answered exactly once */
        abort();
    close(fds[1]);
    loop_deinit(&loop);
    return 0;
}
