/* A recording as a file: asks for the export, shows how far it is, fetches it. And once more: asks for the rerun,
 * shows how far it is, tells what it found. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 200000

static const struct column columns[] = {
    { "ID", "id" },
    { "STATE", "state" },
    { "SANDBOX", "sandbox" },
    { "IMAGE", "image" },
    { "CREATED", "created_at" },
    { "ENDED", "ended_at" },
    { "BYTES", "bytes" },
    { NULL, NULL },
};

static int run_list(struct cli *cli, struct request *request)
{
    struct reply reply;
    if (!json_object_get(request->query, "pageSize"))
        json_object_set_new(request->query, "pageSize", json_pack("[s]", "200"));
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, columns, &reply);
}

const struct verb verb_recordings = {
    .name = "recordings",
    .usage = "",
    .operation = "recording_list",
    .run = run_list,
    .text = "The first 200 unless --page and --page-size are given.\n",
};

/* --- export ----------------------------------------------------------------------------------- */

static size_t take(char *data, size_t size, size_t n, void *to)
{
    return fwrite(data, size, n, to);
}

static int fetch(struct cli *cli, const char *target, FILE *to)
{
    char detail[CURL_ERROR_SIZE] = "";
    long code = 0;
    CURL *curl = cli_curl_new(cli, target);
    if (!curl)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    CURLcode r = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_cleanup(curl);
    if (r == CURLE_WRITE_ERROR)
        return cli_fail(cli, CLI_FAILED, "io", "writing the file: %s", strerror(errno));
    return r == CURLE_OK ? CLI_OK : cli_fail_unreachable(cli, r, detail);
}

/* Until it is done; ret gets its last answer. */
static int wait_done(struct cli *cli, const char *id, struct reply *ret)
{
    while (true) {
        int status = cli_call(cli, API_EXPORT_GET, id, NULL, ret);
        if (status != CLI_OK)
            return status;
        const char *state = json_get_string(ret->json, "state", "");
        if (strcmp(state, "running") != 0)
            return CLI_OK;
        progress_show(cli, "exporting: %.0f %%", json_get_number(ret->json, "progress", 0) * 100);
        reply_deinit(ret);
        usleep(POLL_US);
    }
}

/* Into a file beside, so that one of that name is whole or not there. */
static int save(struct cli *cli, const char *target, const char *file)
{
    if (strcmp(file, "-") == 0)
        return fetch(cli, target, stdout);
    auto_free char *part = NULL;
    FILE *to = asprintf(&part, "%s.part", file) < 0 ? NULL : fopen(part, "we");
    if (!to)
        return cli_fail(cli, CLI_FAILED, "io", "creating %s: %s", file, strerror(errno));
    int status = fetch(cli, target, to);
    if (fclose(to) != 0 && status == CLI_OK)
        status = cli_fail(cli, CLI_FAILED, "io", "writing %s: %s", file, strerror(errno));
    if (status == CLI_OK && rename(part, file) < 0)
        status = cli_fail(cli, CLI_FAILED, "io", "writing %s: %s", file, strerror(errno));
    if (status != CLI_OK)
        unlink(part);
    return status;
}

static int finish(struct cli *cli, const struct reply *reply, const char *file)
{
    const json_t *error = json_object_get(reply->json, "error");
    const char *id = json_get_string(reply->json, "id", "");
    progress_end(cli);
    if (error)
        return cli_fail(cli, CLI_FAILED, json_get_string(error, "code", "internal"), "%s",
                        json_get_string(error, "message", ""));
    char target[96];
    snprintf(target, sizeof target, "/v1/exports/%s/file", id);
    int status = save(cli, target, file);
    if (status == CLI_OK && cli->is_json)
        output_reply(reply);
    else if (status == CLI_OK && strcmp(file, "-") != 0)
        printf("%s\t%lld bytes\n", file, (long long)json_get_int(reply->json, "bytes", 0));
    return status;
}

static int run_export(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *file = request_own(request, "output");
    if (!file)
        return cli_fail(cli, CLI_USAGE, "missing_field", "--output FILE is needed");
    if (strcmp(file, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_fail(cli, CLI_USAGE, "bad_value", "the file would go to the terminal; use -o FILE");
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    auto_free char *id = strdup(json_get_string(reply.json, "id", ""));
    reply_deinit(&reply);
    status = wait_done(cli, id, &reply);
    if (status != CLI_OK)
        return status;
    status = finish(cli, &reply, file);
    reply_deinit(&reply);
    if (cli_call(cli, API_EXPORT_DELETE, id, NULL, &reply) == CLI_OK)
        reply_deinit(&reply);
    return status;
}

static const char *const operands[] = { "id", NULL };
static const struct flag flags[] = {
    { .name = "output", .letter = 'o', .value = "FILE", .text = "Where it goes; - is standard output." },
    { .name = NULL },
};

const struct verb verb_export = {
    .name = "export",
    .usage = "RECORDING",
    .operation = "recording_export",
    .operands = operands,
    .flags = flags,
    .run = run_export,
    .text = "",
};

/* --- rerun ------------------------------------------------------------------------------------ */

static int wait_rerun(struct cli *cli, const char *id, struct reply *ret)
{
    while (true) {
        int status = cli_call(cli, API_RERUN_GET, id, NULL, ret);
        if (status != CLI_OK)
            return status;
        const char *state = json_get_string(ret->json, "state", "");
        if (strcmp(state, "starting") != 0 && strcmp(state, "running") != 0)
            return CLI_OK;
        progress_show(cli, "%s: %.0f %%", state, json_get_number(ret->json, "progress", 0) * 100);
        reply_deinit(ret);
        usleep(POLL_US);
    }
}

static int save_frame(struct cli *cli, const char *recording, int64_t frame, const char *prefix, const char *what)
{
    char target[128];
    auto_free char *file = NULL;
    if (asprintf(&file, "%s-%s.png", prefix, what) < 0)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    snprintf(target, sizeof target, "/v1/recordings/%s/frame?frame=%lld", recording, (long long)frame);
    int status = save(cli, target, file);
    if (status == CLI_OK && !cli->is_json)
        printf("%s\n", file);
    return status;
}

static void print_found(const json_t *rerun)
{
    const json_t *difference = json_object_get(rerun, "difference"), *region = json_object_get(difference, "region");
    if (!json_is_object(difference)) {
        printf("equal\t%zu screens\n", json_array_size(json_object_get(rerun, "steps")));
        return;
    }
    printf("differs\tstep %lld\t%lld pixels in %lldx%lld at %lld,%lld\n",
           (long long)json_get_int(difference, "step", 0), (long long)json_get_int(difference, "pixels", 0),
           (long long)json_get_int(region, "width", 0), (long long)json_get_int(region, "height", 0),
           (long long)json_get_int(region, "x", 0), (long long)json_get_int(region, "y", 0));
    printf("page\t/recordings/%s?with=%s&align=action#frame=%lld\n", json_get_string(rerun, "recording", ""),
           json_get_string(rerun, "again", ""), (long long)json_get_int(difference, "frame", 0));
}

/* CLI_FAILED when it differs, as of diff(1). */
static int finish_rerun(struct cli *cli, const struct reply *reply, const char *prefix)
{
    const json_t *error = json_object_get(reply->json, "error"), *difference = json_object_get(reply->json, "difference");
    int status = CLI_OK;
    progress_end(cli);
    if (error)
        return cli_fail(cli, CLI_FAILED, json_get_string(error, "code", "internal"), "%s",
                        json_get_string(error, "message", ""));
    if (cli->is_json)
        output_reply(reply);
    else
        print_found(reply->json);
    if (!json_is_object(difference))
        return CLI_OK;
    if (prefix)
        status = save_frame(cli, json_get_string(reply->json, "recording", ""), json_get_int(difference, "frame", 0),
                            prefix, "recorded");
    if (prefix && status == CLI_OK)
        status = save_frame(cli, json_get_string(reply->json, "again", ""), json_get_int(difference, "again_frame", 0),
                            prefix, "again");
    return status == CLI_OK ? CLI_FAILED : status;
}

static int run_rerun(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    auto_free char *id = strdup(json_get_string(reply.json, "id", ""));
    reply_deinit(&reply);
    status = wait_rerun(cli, id, &reply);
    if (status != CLI_OK)
        return status;
    status = finish_rerun(cli, &reply, request_own(request, "output"));
    reply_deinit(&reply);
    if (cli_call(cli, API_RERUN_DELETE, id, NULL, &reply) == CLI_OK)
        reply_deinit(&reply);
    return status;
}

static const struct flag rerun_flags[] = {
    { .name = "output", .letter = 'o', .value = "PREFIX",
      .text = "Where the two frames go that differ: PREFIX-recorded.png, PREFIX-again.png." },
    { .name = NULL },
};

const struct verb verb_rerun = {
    .name = "rerun",
    .usage = "RECORDING",
    .operation = "recording_rerun",
    .operands = operands,
    .flags = rerun_flags,
    .run = run_rerun,
    .text = "Ends with status 1 when the screens differ.\n",
};
