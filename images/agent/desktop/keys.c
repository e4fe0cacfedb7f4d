/* How many changes of keys the X server has taken from its keyboards.
 *
 *   keys {"until"} → {"count", "since", "still"}
 *
 * Answered when the count has reached until, at once without it. The count is of presses and releases, as
 * raw events: before grabs, layouts and focus, and without the server's own repetition. Keys of XTEST, which
 * typing.c presses, do not count. since is when the counting began, in this system's microseconds: another
 * one is another count.
 *
 * When no key has come for STILL_US, in which the server was alive all the time (each TICK_US it is asked,
 * and a server that answers late was not), the answer comes without what was asked for, and still is true:
 * no more is on its way. The server reads its keyboards in a thread of its own, so one answer of it proves
 * nothing, but many in a row do. A server that stands still is waited for, until the host gives up. */
#include "images/agent/desktop/keyboard.h"

#include "base/clock.h"
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/x11.h"

#include <X11/extensions/XInput2.h>
#include <string.h>

#define STILL_US 400000
#define TICK_US 50000
#define LATE_US 25000
#define WAITING_MAX 8

static struct {
    int opcode; /* of the extension; 0: the server has none that is good enough */
    int xtest;  /* the device whose keys are not counted */
    int64_t count, since_us;
    struct task *waiting[WAITING_MAX];
    int n_waiting;
    int64_t quiet_us; /* how long the server has been alive without a key */
} keys;

static struct alarm tick;

static void find_xtest(void)
{
    int n = 0;
    XIDeviceInfo *devices = XIQueryDevice(x11_display(), XIAllDevices, &n);
    for (int i = 0; devices && i < n; i++)
        if (devices[i].use == XISlaveKeyboard && strstr(devices[i].name, "XTEST"))
            keys.xtest = devices[i].deviceid;
    if (devices)
        XIFreeDeviceInfo(devices);
}

void keys_open(void)
{
    int event, error, major = 2, minor = 2, opcode;
    if (!XQueryExtension(x11_display(), "XInputExtension", &opcode, &event, &error) ||
        XIQueryVersion(x11_display(), &major, &minor) != Success)
        return;
    unsigned char bits[XIMaskLen(XI_LASTEVENT)] = { 0 };
    XISetMask(bits, XI_RawKeyPress);
    XISetMask(bits, XI_RawKeyRelease);
    XIEventMask mask = { .deviceid = XIAllMasterDevices, .mask_len = sizeof bits, .mask = bits };
    find_xtest();
    XISelectEvents(x11_display(), x11_root(), &mask, 1);
    XSync(x11_display(), False);
    keys.opcode = opcode;
    keys.since_us = clock_now_us();
}

static void finish(int i, bool is_still)
{
    struct task *task = keys.waiting[i];
    keys.waiting[i] = keys.waiting[--keys.n_waiting];
    task->stop = NULL;
    task_finish(task, json_pack("{s:I, s:I, s:b}", "count", (json_int_t)keys.count, "since",
                                (json_int_t)keys.since_us, "still", is_still));
}

/* Those who have what they wanted; all, when no key is to come. */
static void answer(bool is_still)
{
    for (int i = keys.n_waiting; i-- > 0;)
        if (is_still || json_get_int(keys.waiting[i]->request, "until", 0) <= keys.count)
            finish(i, is_still);
    if (keys.n_waiting == 0)
        alarm_stop(&tick);
}

/* What comes with the server's answer is handled before the next tick, and begins the time anew. */
static void handle_tick(void *data maybe_unused)
{
    int64_t asked_us = clock_now_us();
    XSync(x11_display(), False);
    keys.quiet_us = clock_now_us() - asked_us > LATE_US ? 0 : keys.quiet_us + TICK_US;
    if (keys.quiet_us > STILL_US && XPending(x11_display()) == 0)
        answer(true);
    if (keys.n_waiting > 0)
        alarm_set(&tick, TICK_US, handle_tick, NULL);
}

void keys_event(XEvent *event)
{
    XGenericEventCookie *cookie = &event->xcookie;
    if (event->type != GenericEvent || cookie->extension != keys.opcode || !XGetEventData(x11_display(), cookie))
        return;
    const XIRawEvent *raw = cookie->data;
    bool is_key = cookie->evtype == XI_RawKeyPress || cookie->evtype == XI_RawKeyRelease;
    if (is_key && raw->sourceid != keys.xtest) {
        keys.count++;
        keys.quiet_us = 0;
    }
    XFreeEventData(x11_display(), cookie);
    answer(false);
}

static void stop(struct task *task)
{
    for (int i = 0; i < keys.n_waiting; i++)
        if (keys.waiting[i] == task)
            keys.waiting[i] = keys.waiting[--keys.n_waiting];
    if (keys.n_waiting == 0)
        alarm_stop(&tick);
}

void keys_begin(struct task *task)
{
    if (keys.opcode == 0) {
        task_fail(task, "unsupported", "the X server does not tell of its keys");
        return;
    }
    if (keys.n_waiting == WAITING_MAX) {
        task_fail(task, "busy", "too many wait for keys");
        return;
    }
    XSync(x11_display(), False);
    x11_turn(); /* counts what has come */
    task->stop = stop;
    keys.waiting[keys.n_waiting++] = task;
    if (keys.n_waiting == 1) {
        keys.quiet_us = 0;
        alarm_set(&tick, TICK_US, handle_tick, NULL);
    }
    answer(false);
}
