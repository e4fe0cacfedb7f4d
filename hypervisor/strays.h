/* Processes of guests that a daemon left behind when it was killed, found by what they were started as. */
#pragma once

#include "base/util.h"

#include <sys/types.h>

/* Whether a process that was started for the guest of that name is to be killed. is_qemu: it is QEMU
 * itself, and not what builds its jail. */
typedef bool (*stray_fn)(void *data, const char *name, pid_t pid, bool is_qemu);

/* Looks at every process of this host whose arguments are those of a guest (-name guest=NAME; of its swtpm) and kills
 * (SIGKILL, by pidfd) those that is_stray names. Returns their number. Some milliseconds. */
int strays_end(stray_fn is_stray, void *data);
