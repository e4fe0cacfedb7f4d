/* What a helper may still ask of the kernel. Its jail has no files and no network to begin with;
 * this closes the system calls that would be needed to look for a way out. For helper programs:
 * the daemon itself does not link it. */
#pragma once

#include "base/util.h"

/* Before the first byte of a stranger is read. 0, or -errno. */
int fence_enter(void);
/* From here on it starts no other process, nor a thread. */
int fence_no_processes(void);
