/* The descriptors that a QEMU is born with. Internal to hypervisor/. */
#pragma once

#include "base/process.h"
#include "hypervisor/guest-args.h"

#define GUEST_SOCK_QMP "qmp.sock"
#define GUEST_SOCK_CONSOLE "console.sock"
#define GUEST_SOCK_AGENT "agent.sock"
#define GUEST_SOCK_QGA "qga.sock"
#define GUEST_SOCK_NET "net.sock"
#define GUEST_FILE_OVERLAY "overlay.qcow2"

struct guest_files {
    int fds[GUEST_FD_COUNT]; /* by enum guest_fd; -1: not there */
};

#define GUEST_FILES_INIT { { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 } }

/* Opens all that the spec needs in dir; the overlay exists. On failure what was opened is in
 * self. */
int guest_files_open(struct guest_files *self, const struct machine_spec *spec, const char *dir,
                     struct error *err);
void guest_files_close(struct guest_files *self);
/* Fills at most GUEST_FD_COUNT rows; returns their number. */
size_t guest_files_rows(const struct guest_files *self, struct process_fd *rows);

/* A memfd for a process's standard error, close-on-exec. Sealed against growth, so one that floods it gets EPERM and
 * fills nothing. */
int guest_files_new_words(int64_t bytes, struct error *err);
/* Reads the words back: the last lines that fit, control characters replaced by spaces, lines
 * joined with "; ". Invalid UTF-8 becomes '?'. */
void guest_files_words(int words_fd, char *out, size_t size);
