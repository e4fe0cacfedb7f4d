#include "cli/transfer.h"

#include <curl/curl.h>
#include <string.h>

struct transfer {
    CURL *curl;
    FILE *in, *out;
    struct buf text; /* of an answer that is not for out */
    bool has_failed; /* out took no more */
};

static size_t handle_piece(char *data, size_t size, size_t n, void *to)
{
    struct transfer *self = to;
    long status = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!self->out || status >= 400)
        return buf_append(&self->text, data, size * n) < 0 ? 0 : size * n;
    size_t put = fwrite(data, size, n, self->out);
    self->has_failed |= put < n;
    return put * size;
}

static size_t read_piece(char *data, size_t size, size_t n, void *from)
{
    struct transfer *self = from;
    size_t got = fread(data, size, n, self->in);
    return got == 0 && ferror(self->in) ? CURL_READFUNC_ABORT : got * size;
}

static struct curl_slist *make_headers(const struct cli *cli, const struct api_operation *op, bool has_body)
{
    auto_free char *key = NULL, *type = NULL;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (cli->key && asprintf(&key, "Authorization: Bearer %s", cli->key) > 0)
        list = curl_slist_append(list, key);
    if (has_body && op->takes && asprintf(&type, "Content-Type: %s", op->takes) > 0)
        list = curl_slist_append(list, type);
    return list;
}

static int finish(struct cli *cli, struct transfer *self, CURLcode code, const char *detail, struct reply *ret)
{
    long status = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    if (self->has_failed || (self->out && fflush(self->out) != 0))
        return cli_fail(cli, CLI_FAILED, "write_failed", "writing the file failed");
    /* A daemon that refuses answers before it has taken the whole body. */
    if (code != CURLE_OK && status < 400)
        return cli_fail_unreachable(cli, (int)code, detail);
    if (status >= 400)
        return cli_fail_text(cli, (int)status, buf_str(&self->text), self->text.size);
    ret->status = (int)status;
    if (!self->out && json_parse_object(buf_str(&self->text), self->text.size, &ret->json, NULL) < 0)
        ret->json = NULL;
    buf_append(&ret->text, self->text.data, self->text.size);
    return CLI_OK;
}

int transfer_run(struct cli *cli, struct request *request, FILE *in, FILE *out, struct reply *ret)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct error err = { 0 };
    *ret = (struct reply){ 0 };
    if (request_check(request, &err) < 0)
        return cli_fail_error(cli, CLI_USAGE, &err);
    int status = cli_complete_id(cli, request);
    if (status != CLI_OK)
        return status;
    auto_free char *target = request_target(request);
    struct transfer self = { .curl = target ? cli_curl_new(cli, target) : NULL, .in = in, .out = out,
                             .text = { .limit = 1 << 20 } };
    if (!self.curl)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    struct curl_slist *headers = make_headers(cli, request->op, in != NULL);
    if (in) {
        curl_easy_setopt(self.curl, CURLOPT_POST, 1L);
        curl_easy_setopt(self.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
        curl_easy_setopt(self.curl, CURLOPT_READFUNCTION, read_piece);
        curl_easy_setopt(self.curl, CURLOPT_READDATA, &self);
    }
    curl_easy_setopt(self.curl, CURLOPT_CUSTOMREQUEST, request->op->method);
    curl_easy_setopt(self.curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(self.curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(self.curl, CURLOPT_WRITEFUNCTION, handle_piece);
    curl_easy_setopt(self.curl, CURLOPT_WRITEDATA, &self);
    CURLcode code = curl_easy_perform(self.curl);
    status = finish(cli, &self, code, detail, ret);
    curl_slist_free_all(headers);
    curl_easy_cleanup(self.curl);
    buf_deinit(&self.text);
    return status;
}
