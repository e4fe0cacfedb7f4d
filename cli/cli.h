/* What all verbs share: how the daemon is reached, how results are shown, how a run ends. */
#pragma once

#include "base/buf.h"
#include "cli/request.h"

/* The exit status. Functions of the client return one of these; whoever meets the failure prints
 * it. */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the daemon answered an error, or a local file failed */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no answer from the daemon */
};

struct cli {
    char *url;         /* "http://…", or NULL with socket_path */
    char *socket_path; /* of the daemon's unix socket */
    char *key;         /* NULL: none */
    long timeout_s;
    bool is_json, has_header, has_progress;
    bool has_progress_line;      /* a line is being rewritten on the terminal */
    const char *progress_format; /* of the last line, and when it was shown */
    int64_t progress_us;
    void *curl; /* one connection, kept for all requests of a run */
};

/* From the global flags and the environment. */
int cli_init(struct cli *self, const struct request *request, struct error *err);
void cli_deinit(struct cli *self);

/* Prints "deskfarm: CODE: message" and returns status. */
int cli_fail(struct cli *self, int status, const char *code, const char *format, ...)
    printf_like(4, 5);
int cli_fail_error(struct cli *self, int status, const struct error *err);

/* Where settings of the user are, allocated; it need not exist. */
char *cli_config_dir(void);

/* Makes an abbreviated id in request.path whole. */
int cli_complete_id(struct cli *self, struct request *request);
/* What text names in a list: an id, the beginning of one, or a name. NULL in ret when nothing fits, else
 * allocated. */
int cli_find_id(struct cli *self, enum api_id list, const char *text, char **ret);

/* For connections of their own (cli/connection.c): a curl handle for a path of the daemon, to be
 * cleaned up by the caller; and what to say when it is not reached, or refuses with this text. */
void *cli_curl_new(const struct cli *self, const char *target);
int cli_fail_unreachable(struct cli *self, int curl_code, const char *detail);
int cli_fail_text(struct cli *self, int status, const char *text, size_t size);

/* An answer with a status below 400. */
struct reply {
    int status;
    struct buf text; /* as it came */
    json_t *json;    /* NULL when it is no JSON object */
    char content_type[64];
};

void reply_deinit(struct reply *self);

/* Completes an abbreviated id, checks the request by its rows, sends it, prints what went wrong.
 * CLI_OK: the caller owns ret. */
int cli_send(struct cli *self, struct request *request, struct reply *ret);
/* The same for an operation that the verb needs on the way: id may be NULL, body is borrowed or
 * NULL. */
int cli_call(struct cli *self, enum api_id operation, const char *id, json_t *body,
             struct reply *ret);
