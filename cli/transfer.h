/* Whole files as bodies of requests and answers, in pieces of any number. */
#pragma once

#include "cli/cli.h"

#include <stdio.h>

/* Sends the request, with the bytes of in as the body unless in is NULL. What a good answer holds goes to
 * out, or where out is NULL into ret as JSON. Prints what went wrong. */
int transfer_run(struct cli *cli, struct request *request, FILE *in, FILE *out, struct reply *ret);
