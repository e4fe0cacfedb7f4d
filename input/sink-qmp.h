/* The default sink: QMP `input-send-event` (qapi/ui.json), with exact positions on the absolute
 * axis. The QMP client belongs to hypervisor/, so commands go out through a callback. */
#pragma once

#include "base/json.h"
#include "base/loop.h"
#include "input/sink.h"

/* result is borrowed: what "return" held, or NULL when the command failed or QMP is closed. */
typedef void (*sink_qmp_done_fn)(void *data, const json_t *result);

/* Queues one QMP command; arguments (may be NULL) is stolen in every case. 0: done will run
 * exactly once from the loop, in the order of submission, also (with NULL) when QMP closes or is
 * freed first. Negative: not queued, done will not run. Commands are answered in order; the sink
 * never has more than 40 on the way. */
typedef int (*sink_qmp_submit_fn)(void *data, const char *command, json_t *arguments,
                                  sink_qmp_done_fn done, void *done_data);

/* device: id of the display device the tablet is bound to (`-device virtio-tablet-pci,display=ID`)
 * or NULL when it is bound to none; copied. NULL when memory is short. May be freed while commands
 * are on the way; submit is not called after that. */
struct sink *sink_qmp_new(struct loop *loop, const char *device, sink_qmp_submit_fn submit,
                          void *data);

/* For a keyboard and tablet whose queue nobody can look into (QEMU's USB devices hold 16 events and drop the
 * rest): at most burst events at once, then one every interval_us, which the guest has to keep up with. Keys are then those that
 * such a keyboard has. */
void sink_qmp_set_usb(struct sink *sink, int burst, int64_t interval_us);
