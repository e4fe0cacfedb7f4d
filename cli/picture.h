/* Images in answers: base64 to a file. */
#pragma once

#include "cli/cli.h"

/* "png", "jpeg" or "webp" from the end of a file's name, or NULL. */
const char *picture_format(const char *file);
/* Refuses, before anything is asked of the daemon, to write bytes to a terminal. file: as in
 * picture_save. */
int picture_check(struct cli *cli, const char *file);
/* Writes the bytes of an answer's "image" to file ("-": standard output) and, unless that is
 * standard output, prints "FILE<TAB>BYTES<TAB>WIDTHxHEIGHT<TAB>frame N". The answer must have
 * one. */
int picture_save(struct cli *cli, const json_t *answer, const char *file);
/* Writes bytes to a file as a whole; one that is no plain file (a pipe, a device) is written to. */
int picture_write(struct cli *cli, const char *file, const void *data, size_t size);
