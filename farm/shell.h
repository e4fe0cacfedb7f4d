/* A shell in a guest that lines are given to, one caller after another; it keeps its directory,
 * variables and functions in between. bash where the guest has it, else sh.
 *
 *   starting  it has been asked for
 *   idle      it waits for lines
 *   running   somebody's lines; others are refused with busy
 *   stopping  their caller left or their time is over: they have been interrupted
 *   (gone)    the shell ended: by its lines, by shell_end, with the guest, or because it did not
 *             come back from an interruption */
#pragma once

#include "base/agent-wire.h"
#include "farm/sandbox.h"

#define SHELLS_MAX 16 /* of a sandbox */

struct shells;
struct shell;

/* None may be NULL. One of the last two ends it, once; the shell may be gone then. */
struct shell_ops {
    /* Borrowed. shell_consumed says when it is dealt with. */
    void (*on_output)(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size);
    /* exit_code: of the last line, 128 + n after signal n. */
    void (*on_done)(void *data, int exit_code, const char *text, int64_t duration_us);
    void (*on_failed)(void *data, const struct error *why);
};

/* Starts one in cwd ("": the user's home); on_done tells that it waits for lines. */
int shell_start(struct shell **ret, struct sandbox *sandbox, const char *cwd,
                const struct shell_ops *ops, void *data, struct error *err);
/* Gives it request's command, for which cwd and timeout (ms) may be given. */
int shell_run(struct shell *self, const json_t *request, const struct shell_ops *ops, void *data,
              struct error *err);
/* NULL with not_found in err. Borrowed for this turn of the loop. */
struct shell *shell_find(struct sandbox *sandbox, const char *id, struct error *err);
const char *shell_id(const struct shell *self);
/* The listener is done with size bytes. */
void shell_consumed(struct shell *self, size_t size);
/* The listener goes before the end; what runs is interrupted. */
void shell_leave(struct shell *self);
/* Kills it, and all that runs in it. */
void shell_end(struct shell *self);

/* --- For sandbox.c --------------------------------------------------------------------------- */

/* Takes NULL, returns NULL. */
struct shells *shells_free(struct shells *self);

/* --- For tests ------------------------------------------------------------------------------- */

#define SHELL_MARK 34 /* RS, 32 hexadecimal digits, ':' */

/* Looks for a mark in one stream of output: after the mark come digits and RS. Zeroed but for the
 * mark is the beginning. */
struct shell_finder {
    char mark[SHELL_MARK];
    size_t matched;
    bool in_number, is_found;
    int number;
};

/* Takes all of it; hands on what is not the mark. *ret_number is what followed it. */
void shell_find_mark(struct shell_finder *self, const uint8_t *bytes, size_t size,
                     void (*give)(void *data, const uint8_t *bytes, size_t size), void *data);
