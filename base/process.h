/* A child process without a shell: exact arguments, exact descriptors, watched by pidfd. */
#pragma once

#include "base/error.h"
#include "base/loop.h"

#include <sys/types.h>

struct process_fd {
    int fd; /* ours; stays ours */
    int as; /* its number in the child */
};

struct process_spec {
    const char *const *argv; /* argv[0] is a path or a name looked up in PATH */
    const char *const *envp; /* NULL: a minimal environment (PATH, LANG=C.UTF-8) */
    const struct process_fd *fds; /* 0, 1, 2 that are not named here are /dev/null */
    size_t n_fds;
    bool new_session; /* setsid(): a terminal's Ctrl-C does not reach it */
};

struct process;
/* status as from waitpid; -1 when unknown (an adopted process, not our child). The process object
 * is still its owner's, to be freed there or later. */
typedef void (*process_exit_fn)(void *data, int status);

int process_spawn(struct process **ret, struct loop *loop, const struct process_spec *spec,
                  process_exit_fn on_exit, void *data, struct error *err);
/* Watches a process that somebody else started. start_time guards against a reused pid: field 22
 * of /proc/PID/stat as process_start_time() gave it, 0 for "do not check". */
int process_adopt(struct process **ret, struct loop *loop, pid_t pid, uint64_t start_time,
                  process_exit_fn on_exit, void *data, struct error *err);
pid_t process_pid(const struct process *self);
int process_pidfd(const struct process *self);
bool process_is_alive(const struct process *self);
/* Sends a signal by pidfd; a process that is gone is no error. */
void process_kill(struct process *self, int signo);
/* Forgets the process without touching it. Takes NULL, returns NULL. A child that ends later is
 * reaped by nobody unless SIGCHLD is ignored, so free after exit or kill. */
struct process *process_free(struct process *self);

/* Lets the calling thread, and threads that it makes from here on, go before guests when CPUs are short:
 * whoever waits for a screenshot waits for us. Children do not inherit it. Without the right to do so
 * (CAP_SYS_NICE) nothing changes. */
void process_go_first(void);

/* Clock ticks after boot at which pid started; 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);
/* Writes "exit status 3" or "signal 9 (Killed)". */
void process_status_text(int status, char *out, size_t size);

#define PROCESS_PATH_MAX 4096
/* Finds a program of ours that the daemon runs: beside the running program, in the build tree (folder
 * is where it is built), or where it is installed. -ENOENT. */
int process_find_helper(const char *folder, const char *name, char out[PROCESS_PATH_MAX]);
