/* What Windows wants otherwise than Linux: command lines, paths, encodings, numbers of errors.
 *
 * Sources: Microsoft's documents of CommandLineToArgvW, of cmd.exe, of file names ("Naming Files,
 * Paths, and Namespaces"), of powershell.exe's options and of system error codes.
 *
 * Pure: nothing here reads or writes. Internal to hypervisor/, but for tests and the fuzz target. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

#define WINDOWS_LINE_MAX 32000    /* UTF-16 units of a command line; Windows takes 32766 */
#define WINDOWS_CMD_MAX 8000      /* of one that cmd.exe takes apart; it takes 8191 */
#define WINDOWS_ARGUMENT_MAX 1024 /* words of a command */

/* --- Command lines ---------------------------------------------------------------------------- */

/* Appends one word so that CommandLineToArgvW gives it back as it was, behind a space unless the line
 * is empty. */
int windows_quote(struct buf *line, const char *word);
/* The words of an array of strings from the one numbered first. -EINVAL: not strings, or too many. */
int windows_quote_all(struct buf *line, const json_t *words, size_t first);
/* Whether every quoting of it comes to the same: no empty word, and of letters, digits and what no
 * shell takes for more than itself. */
bool windows_is_plain(const char *word);
/* Whether cmd.exe gets it as it is behind /s /c although whoever starts it quotes words as for
 * CommandLineToArgvW, and does not double the backslash before its own closing quote. */
bool windows_is_plain_command(const char *command);
/* A program that cmd.exe runs: its words are taken apart a second time, by other rules. */
bool windows_is_batch(const char *program);
/* How many UTF-16 units a text has. */
size_t windows_units(const char *text);

/* What powershell.exe takes behind -EncodedCommand: UTF-16LE in base64. -EINVAL: it is no UTF-8. */
int windows_encode(struct buf *ret, const char *script);

/* --- Paths ------------------------------------------------------------------------------------ */

/* An absolute path with a drive, or \\server\share\…; either slash. NULL when it is good, else what is
 * wrong with it, a static sentence. */
const char *windows_path_fault(const char *path);

/* --- Errors ----------------------------------------------------------------------------------- */

/* Of a number of Win32 (GetLastError). */
enum error_code windows_error_code(int64_t number);
/* Of a message, which is in the guest's language; guest_failed: not known. */
enum error_code windows_message_code(const char *text);
