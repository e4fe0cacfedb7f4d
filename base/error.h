/* Errors that a user may see: a stable code, an HTTP status and a chain "doing X: doing Y: cause".
 *
 * The rule for return values, everywhere in this tree:
 *   negative  fatal to the operation; passed on unchanged, never matched on. A function that takes
 *             a struct error has filled it then; one that does not returns -errno.
 *   0         good
 *   positive  a named result of this one function, which its caller must handle.
 *
 * A struct error is owned by the caller, plain memory, nothing to free. NULL is allowed wherever
 * one is taken. */
#pragma once

#include "base/util.h"

/* X(symbol, code on the wire, HTTP status, what it means). docs/api.md is generated from this. */
#define ERROR_TABLE(X)                                                                             \
    X(INTERNAL, "internal", 500, "A defect of the daemon. Nothing the caller did.")                \
    X(BAD_JSON, "bad_json", 400, "The body is not JSON, or not an object.")                        \
    X(UNKNOWN_FIELD, "unknown_field", 400, "A field or query parameter that the operation lacks.") \
    X(MISSING_FIELD, "missing_field", 400, "A required field is absent.")                          \
    X(BAD_TYPE, "bad_type", 400, "A field has the wrong JSON type.")                               \
    X(BAD_VALUE, "bad_value", 400, "A field is outside its limits or not one of its values.")      \
    X(OUTSIDE_SCREEN, "outside_screen", 400, "A coordinate lies outside the screen or frame.")     \
    X(UNKNOWN_FRAME, "unknown_frame", 410, "The named frame is not kept any more.")                \
    X(STALE, "stale_frame", 409, "What the named frame showed at that place has changed since.")   \
    X(UNKNOWN_KEY, "unknown_key", 400, "A key name that is not in the vocabulary.")                \
    X(UNTYPABLE, "untypable", 422, "A character that the guest's layout cannot type.")             \
    X(UNAUTHORIZED, "unauthorized", 401, "No valid API key.")                                      \
    X(FORBIDDEN, "forbidden", 403, "The key's role does not allow the operation.")                 \
    X(BAD_HOST, "bad_host", 403, "The Host header names no allowed host.")                         \
    X(BAD_ORIGIN, "bad_origin", 403, "The Origin header names another site.")                      \
    X(NOT_FOUND, "not_found", 404, "No such route, sandbox or object.")                            \
    X(UNKNOWN_IMAGE, "unknown_image", 404, "No image of that name in the cache.")                  \
    X(METHOD, "method_not_allowed", 405, "The path exists, but not with this method.")             \
    X(CONFLICT, "conflict", 409, "The object's state does not allow the operation.")               \
    X(BUSY, "busy", 409, "Another batch is running on this sandbox.")                              \
    X(CONFIRM, "confirmation_required", 409, "The model asks that a person agrees first.")         \
    X(IDEMPOTENCY, "idempotency_mismatch", 422, "The Idempotency-Key was used for another request.") \
    X(LENGTH_REQUIRED, "length_required", 411, "The body has no Content-Length.")                  \
    X(TOO_LARGE, "too_large", 413, "The body or a value is larger than its limit.")                \
    X(MEDIA_TYPE, "media_type", 415, "The Content-Type is not the one the operation takes.")       \
    X(NOT_ACCEPTABLE, "not_acceptable", 406, "No representation of that type.")                    \
    X(QUOTA, "quota_exceeded", 429, "A limit of the key or of the daemon would be exceeded.")      \
    X(CANCELLED, "cancelled", 499, "The caller went away or the sandbox was deleted.")             \
    X(GUEST_FAILED, "guest_failed", 502, "QEMU could not be started, or it died.")                 \
    X(GUEST_GONE, "guest_gone", 410, "The sandbox's guest has ended.")                             \
    X(PORT_CLOSED, "port_closed", 502, "Nothing listens on that port of the guest.")               \
    X(BAD_ANSWER, "bad_answer", 502, "A program in the guest did not answer in HTTP.")             \
    X(NOT_READY, "not_ready", 503, "The guest has no screen yet, or the daemon is draining.")      \
    X(TIMEOUT, "timeout", 504, "The guest did not answer in time.")                                \
    X(DISK_FULL, "disk_full", 507, "The state directory's file system is full.")                   \
    X(PORT_IN_USE, "port_in_use", 500, "The listening address is taken.")                          \
    X(UNSUPPORTED, "unsupported", 501, "This guest or build cannot do that.")                      \
    X(CONFIG, "bad_config", 500, "The daemon's configuration is wrong.")

enum error_code {
#define ERROR_ENUM(sym, code, status, text) ERROR_##sym,
    ERROR_TABLE(ERROR_ENUM)
#undef ERROR_ENUM
        ERROR_COUNT
};

#define ERROR_MESSAGE_MAX 768

struct error {
    bool is_set;
    enum error_code code;
    char message[ERROR_MESSAGE_MAX]; /* UTF-8, cut at the limit */
};

/* Fills e (when not NULL) and returns the negative value that goes up with it. */
int error_set(struct error *e, enum error_code code, const char *format, ...) printf_like(3, 4);

/* The same for a failed system call: err is an errno value (positive). ENOSPC and EDQUOT become
 * disk_full, EADDRINUSE port_in_use, all others internal. The text of errno is appended. */
int error_errno(struct error *e, int err, const char *format, ...) printf_like(3, 4);

/* Puts "doing X: " in front, on the way up. */
void error_wrap(struct error *e, const char *format, ...) printf_like(2, 3);

/* The code as it appears on the wire, its HTTP status, and its description. */
const char *error_code_name(enum error_code code);
int error_code_status(enum error_code code);
const char *error_code_text(enum error_code code);
