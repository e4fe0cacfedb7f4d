/* deskfarm: find the verb, parse by its row, run it. */
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int fail_usage(const struct verb *verb, const struct error *err)
{
    fprintf(stderr, "deskfarm: %s: %s\n", error_code_name(err->code), err->message);
    fprintf(stderr, "See `deskfarm help%s%s`.\n", verb ? " " : "", verb ? verb->name : "");
    return CLI_USAGE;
}

/* Half a verb ("keys") gets the ones that begin so. */
static int fail_verb(const char *word)
{
    fprintf(stderr, "deskfarm: unknown_verb: there is no verb \"%.60s\"", word);
    const char *separator = "; did you mean ";
    for (size_t i = 0; verbs[i]; i++) {
        if (strncmp(verbs[i]->name, word, strlen(word)) == 0) {
            fprintf(stderr, "%s`%s`", separator, verbs[i]->name);
            separator = ", ";
        }
    }
    fputs("\nSee `deskfarm help`.\n", stderr);
    return CLI_USAGE;
}

/* help VERB, help api OPERATION. */
static int run_help(int argc, char *const *argv)
{
    int used;
    if (argc == 0) {
        help_print_overview();
        return CLI_OK;
    }
    const struct verb *verb = verb_find(argc, argv, &used);
    if (!verb)
        return fail_verb(argv[0]);
    const struct api_operation *op = verb->is_generic && argc > used ? api_find(argv[used]) : NULL;
    help_print_verb(verb, op);
    return CLI_OK;
}

static int run_plainly(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    return status == CLI_OK ? output_answer(cli, request->verb->columns, &reply) : status;
}

static int run_verb(struct request *request)
{
    struct cli cli;
    struct error err = { 0 };
    int status;
    if (cli_init(&cli, request, &err) < 0)
        status = cli_fail_error(&cli, CLI_USAGE, &err);
    else
        status = (request->verb->run ? request->verb->run : run_plainly)(&cli, request);
    cli_deinit(&cli);
    return status;
}

static int run(json_t *own, int argc, char *const *argv)
{
    int used;
    struct error err = { 0 };
    struct request request;
    const struct verb *verb = verb_find(argc, argv, &used);
    if (!verb)
        return fail_verb(argv[0]);
    if (verb == &verb_help)
        return run_help(argc - used, argv + used);
    int status, r = request_parse(&request, verb, own, argc - used, argv + used, &err);
    if (request_own(&request, "help")) {
        help_print_verb(verb, verb->is_generic ? request.op : NULL);
        status = CLI_OK;
    } else {
        status = r < 0 ? fail_usage(verb, &err) : run_verb(&request);
    }
    request_deinit(&request);
    return status;
}

/* A reader that went away ("| head") is no error; a full disk is one. */
static int finish(int status)
{
    bool is_broken = ferror(stdout) != 0;
    errno = 0;
    is_broken |= fflush(stdout) != 0;
    if (!is_broken || errno == EPIPE || errno == 0)
        return status;
    fprintf(stderr, "deskfarm: internal: writing standard output: %s\n", strerror(errno));
    return status == CLI_OK ? CLI_FAILED : status;
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    auto_json json_t *own = json_object();
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("deskfarm " DESKFARM_VERSION);
        return finish(CLI_OK);
    }
    int used = request_parse_globals(own, argc - 1, argv + 1, &err);
    if (used < 0)
        return fail_usage(NULL, &err);
    if (json_object_get(own, "help") || argc == 1)
        help_print_overview();
    if (json_object_get(own, "help"))
        return finish(CLI_OK);
    if (1 + used == argc)
        return finish(
            argc == 1 ? CLI_USAGE
                      : fail_usage(NULL, (error_set(&err, ERROR_MISSING_FIELD, "a verb is missing"),
                                          &err)));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = run(own, argc - 1 - used, argv + 1 + used);
    curl_global_cleanup();
    return finish(status);
}
