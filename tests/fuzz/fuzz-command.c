/* Any bytes as a command line, arguments split at line ends: the request it makes is one that the API's rows
 * accept, or there is an error that says why not. */
#include "cli/verbs.h"

#include <string.h>

#define ARGS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void translate(int argc, char **argv)
{
    struct error err = { 0 };
    auto_json json_t *own = json_object();
    int used = request_parse_globals(own, argc, argv, &err), n_words = 0;
    const struct verb *verb = used < 0 ? NULL : verb_find(argc - used, argv + used, &n_words);
    if (!verb)
        return;
    used += n_words;
    struct request request;
    int r = request_parse(&request, verb, own, argc - used, argv + used, &err);
    if (r == 0 && request.op)
        r = request_check(&request, &err);
    if (r < 0 && (!err.is_set || !*err.message))
        abort();
    if (r == 0 && request.op)
        free(request_target(&request));
    request_deinit(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[ARGS_MAX + 1], *text = strndup((const char *)data, size), *rest = text;
    int argc = 0;
    while (argc < ARGS_MAX && (argv[argc] = strsep(&rest, "\n")))
        argc++;
    argv[argc] = NULL;
    translate(argc, argv);
    free(text);
    return 0;
}
