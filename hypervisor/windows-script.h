/* What a Windows guest is asked to run: programs and small scripts for its PowerShell 5.1, which
 * every Windows 10, 11 and Server since 2016 has.
 *
 * All of it is made of a request of deskfarm-agent's (images/agent/README.md). Pure. Internal to
 * hypervisor/, but for tests and the fuzz target. */
#pragma once

#include "base/error.h"

#include <jansson.h>

#define WINDOWS_POWERSHELL "powershell.exe"

/* The arguments of guest-exec for {"op": "exec"}: argv or command, cwd, env. NULL with err. */
json_t *windows_exec(const json_t *request, struct error *err);
/* The same for an operation on files or on the desktop, or of the two of our own: "place" ("temp",
 * "path", "mode": a written file gets its name) and "probe" ("path": why it cannot be opened). The
 * script's output is what the operation sends, a line feed, and its result in one line of JSON,
 * without a line feed. NULL with err. */
json_t *windows_script(const char *op, const json_t *request, struct error *err);
/* The script alone, before it is encoded; for tests. NULL: there is none of that name. */
char *windows_script_text(const char *op, const json_t *request);

#define WINDOWS_NOT_STARTED 0x0df00000 /* exit status of what windows_exec could not start; below it 16
                                          bits of the error's number */

/* Takes the last line off a script's output: its result, a new reference. NULL with err: it said what
 * is wrong, or nothing that is a result. size is cut to what is before. */
json_t *windows_result(const char *op, const uint8_t *output, size_t *size, struct error *err);
