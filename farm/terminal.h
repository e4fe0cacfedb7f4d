/* A terminal in a guest: a shell or a command on a PTY, with an id that outlives whoever looks at
 * it.
 *
 *   idle      made, and nothing runs: before the first viewer, or after the program ended
 *   starting  a viewer came; the agent has been asked
 *   running   its program runs, with or without a viewer
 *
 * One viewer at a time. What the program writes goes to a log that remembers the last TERMINAL_LOG
 * bytes and counts all that ever came, so a viewer that lost its connection goes on where it was.
 * While there is a viewer, the program is held back by what the viewer takes; without one it runs
 * on, and the oldest output is forgotten. Terminals belong to their sandbox and end with it, with
 * the agent's session, or with the daemon. */
#pragma once

#include "farm/sandbox.h"

#define TERMINALS_MAX 32 /* of a sandbox */
#define TERMINAL_LOG ((size_t)1 << 20)
#define TERMINAL_INPUT_MAX ((size_t)256 * 1024) /* not yet taken by the program */

struct terminal;
struct terminals;

/* Of the viewer; any may be NULL. */
struct terminal_ops {
    /* terminal_read has something new. */
    void (*on_output)(void *data);
    /* terminal_write takes more again. */
    void (*on_writable)(void *data);
    /* The program ended: code is its exit status, 128 + n after signal n, -1 with why when it is
     * not known. The viewer is not one any more; what it has not read can be read now. */
    void (*on_end)(void *data, int code, const struct error *why);
};

/* command NULL: the user's shell. user, cwd: NULL for the agent's own. Of TERMINALS_MAX the oldest
 * that has ended makes room; quota_exceeded when none has. *ret is the sandbox's. */
int terminal_new(struct terminal **ret, struct sandbox *sandbox, const char *command,
                 const char *cwd, const char *user, struct error *err);
/* NULL with not_found. Borrowed for this turn of the loop. */
struct terminal *terminal_find(struct sandbox *sandbox, const char *id, struct error *err);
/* Kills the program; a viewer's on_end runs. */
void terminal_delete(struct terminal *self);

const char *terminal_id(const struct terminal *self);
bool terminal_is_running(const struct terminal *self);
bool terminal_has_viewer(const struct terminal *self);
/* Bytes that ever came. */
int64_t terminal_offset(const struct terminal *self);

/* Makes the caller its viewer and starts the program when none runs. A viewer before it is told by
 * on_end with conflict in why, and the program runs on. */
int terminal_attach(struct terminal *self, const struct terminal_ops *ops, void *data,
                    struct error *err);
/* The viewer goes; no callback follows. */
void terminal_detach(struct terminal *self);
/* What there is from offset on: a size, bytes borrowed for this turn, and where they begin, which
 * is later than offset when older ones are forgotten. */
size_t terminal_read(const struct terminal *self, int64_t offset, const uint8_t **ret_bytes,
                     int64_t *ret_from);
/* The viewer has what comes before offset. */
void terminal_taken(struct terminal *self, int64_t offset);
/* Input. Returns how many bytes were taken; fewer than size: wait for on_writable. */
size_t terminal_write(struct terminal *self, const void *bytes, size_t size);
/* Of the window, 1 to 4096 each; kept for a program that does not run yet. */
void terminal_resize(struct terminal *self, int columns, int rows);
/* A name ("INT") or a number. */
void terminal_signal(struct terminal *self, const char *name);

/* --- For sandbox.c ---------------------------------------------------------------------------- */

/* Ends all. Takes NULL, returns NULL. */
struct terminals *terminals_free(struct terminals *self);
