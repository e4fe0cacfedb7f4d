/* A command line turned into a request: what goes into the path, the query and the body of an
 * operation, and what is the client's own business. Pure: nothing is read but the arguments. */
#pragma once

#include "api/table.h"
#include "base/json.h"

struct cli;
struct column;
struct request;

/* A flag that is not simply the name of a row. Lists end with a NULL name. */
struct flag {
    const char *name; /* without "--" */
    char letter;      /* of the short form, or 0 */
    /* The row it stands for, or several joined by ',' whose values are split at ',' or 'x'. NULL: a
     * setting of the client's own, kept in request.own under name. */
    const char *field;
    /* What help calls the value. NULL: from the row; an own setting is then a switch. */
    const char *value;
    const char *text; /* NULL: that of the row */
};

/* A verb is a row: its operation gives it its options, their types, limits and texts. */
struct verb {
    const char *name;      /* one or two words */
    const char *usage;     /* its operands, as help shows them */
    const char *operation; /* name of the row; NULL: none, or chosen by the first operand */
    bool is_generic;       /* the first operand names the operation, the next fill its path */
    /* The rows that operands fill, in order, as in flag.field; "?" in front: may be absent.
     * NULL: none. */
    const char *const *operands;
    /* Takes operands beyond those; returns how many arguments it used, or negative. NULL: none
     * allowed. */
    int (*take)(struct request *request, int argc, char *const *argv, struct error *err);
    const struct flag *flags;
    const char *const *hidden; /* rows that have no option: operands or the verb itself fill them */
    /* NULL: sends the request and shows the answer by columns (cli/output.h). */
    int (*run)(struct cli *cli, struct request *request);
    const struct column *columns; /* with run NULL; NULL: every scalar of the answer, a line each */
    const char *summary; /* NULL: that of the operation */
    const char *text;    /* more, for help; lines end with '\n'; NULL: that of the operation */
    /* Prints a list for help; NULL: none. */
    void (*print_more)(void (*print)(const char *term, const char *text));
};

struct request {
    const struct verb *verb;
    const struct api_operation *op; /* NULL: none */
    json_t *path, *query, *body;    /* objects; query holds lists of texts by name */
    json_t *own;                    /* flags without a field, by name; and "words" */
    size_t n_operands;
};

/* The flags that every verb takes, at any place. */
extern const struct flag request_globals[];

/* Parses what stands before the verb into own (an object). Returns how many arguments it used. */
int request_parse_globals(json_t *own, int argc, char *const *argv, struct error *err);
/* Parses what follows the verb. own holds what request_parse_globals found; a reference is
 * taken. Call request_deinit in any case. Errors are the caller's fault: usage. */
int request_parse(struct request *ret, const struct verb *verb, json_t *own, int argc,
                  char *const *argv, struct error *err);
void request_deinit(struct request *self);

/* Whether an argument is an option: "-o", "--name"; not "-", "--" or "-5". */
bool request_is_option(const char *text);
/* For verb.take: gathers all operands in own "words". */
int request_take_words(struct request *self, int argc, char *const *argv, struct error *err);
/* The same, and what looks like an option is an operand too: the rest belongs to another program. */
int request_take_rest(struct request *self, int argc, char *const *argv, struct error *err);
/* The rows that request.body follows: of the operation's body, or of a WebSocket's first message. */
const struct api_field *request_rows(const struct api_operation *op);

/* An own setting: its text, "" for a switch that is on, or NULL. */
const char *request_own(const struct request *self, const char *name);

/* Path of the operation with its parameters and query, percent-encoded, allocated. */
char *request_target(const struct request *self);
/* Checks query and body by their rows, as the daemon will. */
int request_check(const struct request *self, struct error *err);
