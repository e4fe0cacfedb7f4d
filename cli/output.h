/* Results on standard output, progress on standard error. */
#pragma once

#include "cli/cli.h"

/* A column: its head and the dotted path of its value in an item. Lists end with a NULL head. */
struct column {
    const char *head, *path;
};

/* Tab-separated lines, one per item, with a first line of heads unless --no-header. Tabs and
 * line ends in values become spaces. */
void output_table(struct cli *cli, const struct column *columns, const json_t *items);
/* The same for one object. */
void output_row(struct cli *cli, const struct column *columns, const json_t *item);
/* Every scalar of an object as "dotted.name<TAB>value". */
void output_object(const json_t *object);
/* The scalars of an object as "name=value" with tabs in between, no line end. skip: a name to
 * leave out. */
void output_inline(const json_t *object, const char *skip);
/* An answer, which is freed: with --json as it came; else a table of its items, or one row when it has
 * none. columns NULL: as output_object. Returns CLI_OK. */
int output_answer(struct cli *cli, const struct column *columns, struct reply *reply);
/* The answer as it came. */
void output_reply(const struct reply *reply);

/* Shows a line of progress. On a terminal it replaces the one before; elsewhere the same line
 * comes again after 10 s at the earliest. format is a literal: it tells lines apart. */
void progress_show(struct cli *cli, const char *format, ...) printf_like(2, 3);
/* Clears it. */
void progress_end(struct cli *cli);
