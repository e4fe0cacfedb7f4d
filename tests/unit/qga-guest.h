/* A QEMU guest agent that the test itself plays, and the host's side that talks with it. */
#pragma once

#include "hypervisor/qga.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define TEST_LIMIT_US 20000000

/* What a guest answers to guest-info: the commands that all have, and more of them. */
#define COMMAND(name) "{\"name\": \"" name "\", \"enabled\": true}"
#define INFO(more)                                                                              \
    "{\"return\": {\"version\": \"7.2.0\", \"supported_commands\": [" COMMAND("guest-exec") "," \
    COMMAND("guest-info") "," COMMAND("guest-ping") "," COMMAND("guest-file-open") ","          \
    COMMAND("guest-get-time") "," more "{\"name\": \"guest-get-host-name\", \"enabled\": false}]}}\n"
#define WITH_OS COMMAND("guest-get-osinfo") ","
#define WITH_FREEZE COMMAND("guest-fsfreeze-status") "," COMMAND("guest-fsfreeze-freeze") "," \
    COMMAND("guest-fsfreeze-thaw") ","

/* The agent of the host, and how often it said what. */
extern struct host {
    struct agent *agent;
    int n_ready, n_lost, n_closed;
    char ops_of_guest[256]; /* JSON */
} host;

/* The call that host_begin made last, and all that came of it. */
extern struct host_run {
    struct agent_call *call;
    struct buf out, err;
    int n_ends, n_events, n_eofs, n_writable;
    bool is_slow;
    json_t *result;
    struct error error;
} host_run;

/* The guest's end of the line, for what guest_say cannot send. */
extern int guest_port;

static inline char *text_of(struct buf *buf)
{
    return (char *)(uintptr_t)buf_str(buf);
}

static inline void expect(int64_t value, int64_t wanted)
{
    cr_assert(eq(long, value, wanted));
}

/* --- The guest ------------------------------------------------------------------------------- */

/* Sends the text as it is; a line ends with its newline. */
void guest_say(const char *text);

/* The next request; its name is checked. As a guest does, it answers each of the syncs before it: the host asks
 * again when the first answer is late. The caller owns what is returned. */
json_t *guest_hear(const char *name);

/* Drops what the host has sent and nobody has heard. */
void guest_forget(void);

/* Hears a request and says its arguments' value, then answers. The value is 0 without a key. */
int64_t guest_serve(const char *name, const char *key, const char *reply);

/* A program that is started, and what it comes to. Returns the request, which the caller owns. */
json_t *guest_serve_program(int64_t code, const char *out, const char *err);

/* Answers what the host asks at first, until it is ready. */
void guest_sync_up(void);

/* A new session, in which the guest is one with that INFO; the host may have more to ask before it is ready. */
void guest_become(const char *info);

/* A new session, in which the guest is Windows. */
void guest_become_windows(void);

/* --- What a request asks for ----------------------------------------------------------------- */

/* The program or file; "" if there is none. */
const char *request_path(const json_t *request);

/* The last word of a program's arguments. */
const char *request_last_word(const json_t *request);

/* Whether one of a program's arguments is that word. */
bool request_has_word(const json_t *request, const char *word);

/* Asserts that PowerShell is to run the script of that operation: the script begins with its name. */
void request_expect_script(const json_t *request, const char *op);

/* --- The host -------------------------------------------------------------------------------- */

/* Before each test: an agent with an ordinary guest, which is ready. */
void host_start(void);

/* After each test. */
void host_stop(void);

/* A turn of the host's loop, which waits 5 ms at most. */
void host_turn(void);

/* Turns until the agent has become ready. */
void host_wait_ready(void);

/* Makes a call of the request, which it takes, into host_run. */
void host_begin(json_t *request);

/* Turns until the call has ended. */
void host_finish(void);

/* Empties host_run for the next call. */
void host_again(void);

/* Asserts that a call still gets through to the guest, and its answer back. */
void expect_ping(void);
