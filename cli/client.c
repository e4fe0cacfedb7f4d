/* HTTP to the daemon by libcurl, one request at a time. Proxies are left aside for a daemon on
 * this host; redirects are not followed; an answer has at most REPLY_MAX bytes.
 *
 * The id in a path may be the beginning of one, with or without its kind ("sb-"): one that is
 * shorter than ids are is looked up in the list it belongs to. Ids of full length cost no extra
 * request. */
#include "cli/cli.h"

#include "base/fs.h"
#include "base/id.h"
#include "cli/output.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define REPLY_MAX (256u << 20) /* more than the largest screenshot in base64 */
#define KEY_FILE_MAX 4096
#define TIMEOUT_S 660 /* the longest wait that the API allows, and a minute */
#define CONNECT_S 10

/* --- Where the daemon is ---------------------------------------------------------------------- */

/* dir/deskfarm below the home or XDG directory. */
static char *user_dir(const char *xdg, const char *home_dir)
{
    char *path = NULL;
    const char *base = getenv(xdg), *home = getenv("HOME");
    int n = base && *base == '/'
                ? asprintf(&path, "%s/deskfarm", base)
                : asprintf(&path, "%s/%s/deskfarm", home ? home : "/tmp", home_dir);
    return n < 0 ? NULL : path;
}

char *cli_config_dir(void)
{
    return user_dir("XDG_CONFIG_HOME", ".config");
}

/* The socket in the state directory that deskfarmd uses when it is not told another; NULL when
 * it cannot be opened. */
static char *find_socket(void)
{
    auto_free char *dir =
        geteuid() == 0 ? strdup("/var/lib/deskfarm") : user_dir("XDG_STATE_HOME", ".local/state");
    auto_free char *path = dir ? fs_join(dir, "api.sock") : NULL;
    struct stat st;
    bool is_usable =
        path && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && access(path, R_OK | W_OK) == 0;
    return is_usable ? steal_ptr(&path) : NULL;
}

static int set_url(struct cli *self, const char *url, struct error *err)
{
    if (strncmp(url, "unix:", 5) == 0 && url[5])
        self->socket_path = strdup(url + 5 + (strncmp(url + 5, "//", 2) == 0 ? 2 : 0));
    else if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0)
        self->url = strdup(url);
    else
        return error_set(err, ERROR_BAD_VALUE,
                         "--url: \"%.80s\" begins with neither http:// nor unix:", url);
    for (size_t n = self->url ? strlen(self->url) : 0; n > 0 && self->url[n - 1] == '/'; n--)
        self->url[n - 1] = 0;
    return 0;
}

static int find_daemon(struct cli *self, const struct request *request, struct error *err)
{
    const char *url = request_own(request, "url");
    if (!url)
        url = getenv("DESKFARM_URL");
    if (url && *url)
        return set_url(self, url, err);
    self->socket_path = find_socket();
    return self->socket_path ? 0 : set_url(self, "http://127.0.0.1:7070", err);
}

static int read_key(struct cli *self, const char *path, struct error *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = fs_read(path, KEY_FILE_MAX, &text, err);
    if (r < 0)
        return r;
    const char *key = buf_str(&text);
    self->key = strndup(key, strcspn(key, " \t\r\n"));
    return 0;
}

static int find_key(struct cli *self, const struct request *request, struct error *err)
{
    const char *key = request_own(request, "key");
    if (!key)
        key = getenv("DESKFARM_API_KEY");
    if (key && *key == '@')
        return read_key(self, key + 1, err);
    if (key) {
        self->key = *key ? strdup(key) : NULL;
        return 0;
    }
    auto_free char *dir = cli_config_dir();
    auto_free char *path = dir ? fs_join(dir, "key") : NULL;
    return path && access(path, F_OK) == 0 ? read_key(self, path, err) : 0;
}

int cli_init(struct cli *self, const struct request *request, struct error *err)
{
    *self = (struct cli){
        .is_json = request_own(request, "json"),
        .has_header = !request_own(request, "no-header"),
        .has_progress = request_own(request, "progress") || isatty(STDERR_FILENO),
        .timeout_s = TIMEOUT_S,
    };
    const char *timeout = request_own(request, "timeout");
    if (timeout) {
        char *end;
        self->timeout_s = strtol(timeout, &end, 10);
        if (*end || self->timeout_s < 1 || self->timeout_s > 86400)
            return error_set(err, ERROR_BAD_VALUE, "--timeout: \"%.20s\" is not 1 to 86400 seconds",
                             timeout);
    }
    int r = find_daemon(self, request, err);
    return r < 0 ? r : find_key(self, request, err);
}

void cli_deinit(struct cli *self)
{
    if (self->curl)
        curl_easy_cleanup(self->curl);
    free(self->url);
    free(self->socket_path);
    free(self->key);
    *self = (struct cli){ 0 };
}

/* --- Failing ---------------------------------------------------------------------------------- */

int cli_fail(struct cli *self, int status, const char *code, const char *format, ...)
{
    va_list ap;
    progress_end(self);
    fflush(stdout);
    fprintf(stderr, "deskfarm: %s: ", code);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}

int cli_fail_error(struct cli *self, int status, const struct error *err)
{
    return cli_fail(self, status, error_code_name(err->code), "%s", err->message);
}

/* --- One exchange ----------------------------------------------------------------------------- */

void reply_deinit(struct reply *self)
{
    json_decref(self->json);
    buf_deinit(&self->text);
    *self = (struct reply){ 0 };
}

static size_t receive(char *data, size_t size, size_t n, void *out)
{
    return buf_append(out, data, size * n) < 0 ? 0 : size * n;
}

static struct curl_slist *make_headers(const struct cli *self, const char *idempotency_key,
                                       bool has_body)
{
    auto_free char *key = NULL, *idempotency = NULL;
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    if (has_body)
        list = curl_slist_append(list, "Content-Type: application/json");
    if (self->key && asprintf(&key, "Authorization: Bearer %s", self->key) > 0)
        list = curl_slist_append(list, key);
    if (idempotency_key && asprintf(&idempotency, "Idempotency-Key: %s", idempotency_key) > 0)
        list = curl_slist_append(list, idempotency);
    return list;
}

/* Where a request goes. */
static int aim(const struct cli *self, CURL *curl, const char *target)
{
    auto_free char *url = NULL;
    if (asprintf(&url, "%s%s", self->url ? self->url : "http://localhost", target) < 0)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, self->socket_path);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, self->socket_path ? "*" : "127.0.0.1,localhost,::1");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "deskfarm/" DESKFARM_VERSION);
    return 0;
}

void *cli_curl_new(const struct cli *self, const char *target)
{
    CURL *curl = curl_easy_init();
    if (curl && aim(self, curl, target) < 0) {
        curl_easy_cleanup(curl);
        curl = NULL;
    }
    return curl;
}

static int prepare(struct cli *self, const char *method, const char *target, struct error *err)
{
    if (!self->curl)
        self->curl = curl_easy_init();
    else
        curl_easy_reset(self->curl);
    if (!self->curl || aim(self, self->curl, target) < 0)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    curl_easy_setopt(self->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(self->curl, CURLOPT_TIMEOUT, self->timeout_s);
    return 0;
}

int cli_fail_unreachable(struct cli *self, int code, const char *detail)
{
    const char *where = self->socket_path ? self->socket_path : self->url;
    const char *what = *detail ? detail : curl_easy_strerror((CURLcode)code);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return cli_fail(self, CLI_UNREACHABLE, "timeout", "%s: %s", where, what);
    return cli_fail(
        self, CLI_UNREACHABLE, "unreachable",
        "%s: %s. Start the daemon with `deskfarmd`, or name another by --url or DESKFARM_URL.",
        where, what);
}

/* OpenSandbox's shape: {"code", "message"}; some gateways put it under "error". */
static int fail_answer(struct cli *self, const struct reply *reply)
{
    const json_t *inner = json_object_get(reply->json, "error");
    const json_t *error = json_is_object(inner) ? inner : reply->json;
    const char *message = json_get_string(error, "message", NULL);
    char status[16];
    snprintf(status, sizeof status, "http_%d", reply->status);
    if (self->is_json && reply->json)
        fwrite(reply->text.data, 1, reply->text.size, stdout), putchar('\n');
    if (message)
        return cli_fail(self, CLI_FAILED, json_get_string(error, "code", status), "%s", message);
    const char *text = reply->text.size ? (const char *)reply->text.data : "no text";
    return cli_fail(self, CLI_FAILED, status, "%.*s", (int)MIN(strcspn(text, "\r\n"), (size_t)300),
                    text);
}

int cli_fail_text(struct cli *self, int status, const char *text, size_t size)
{
    struct reply reply = { .status = status };
    buf_append(&reply.text, text, size);
    buf_str(&reply.text);
    if (json_parse_object(text, size, &reply.json, NULL) < 0)
        reply.json = NULL;
    int r = fail_answer(self, &reply);
    reply_deinit(&reply);
    return r;
}

static int finish(struct cli *self, struct reply *reply)
{
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(self->curl, CURLINFO_CONTENT_TYPE, &type);
    reply->status = (int)status;
    snprintf(reply->content_type, sizeof reply->content_type, "%s", type ? type : "");
    buf_str(&reply->text); /* ends it with a NUL */
    if (strncmp(reply->content_type, "application/json", 16) == 0 &&
        json_parse_object(buf_str(&reply->text), reply->text.size, &reply->json, NULL) < 0)
        reply->json = NULL;
    return status < 400 ? CLI_OK : fail_answer(self, reply);
}

static int exchange(struct cli *self, const struct api_operation *op, const char *target,
                    const json_t *body, const char *idempotency_key, struct reply *ret)
{
    struct error err = { 0 };
    auto_buf struct buf text = BUF_INIT;
    char detail[CURL_ERROR_SIZE] = "";
    /* A request that changes something always says that it is JSON, also without fields. */
    bool has_body = op->body || op->whole || strcmp(op->method, "POST") == 0 || strcmp(op->method, "PUT") == 0;
    *ret = (struct reply){ .text = { .limit = REPLY_MAX } };
    if (prepare(self, op->method, target, &err) < 0)
        return cli_fail_error(self, CLI_FAILED, &err);
    if (has_body && json_write(body, &text) < 0)
        return cli_fail(self, CLI_FAILED, "internal", "out of memory");
    struct curl_slist *headers = make_headers(self, idempotency_key, has_body);
    if (has_body) {
        curl_easy_setopt(self->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text.size);
        curl_easy_setopt(self->curl, CURLOPT_POSTFIELDS, buf_str(&text));
    }
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, &ret->text);
    CURLcode code = curl_easy_perform(self->curl);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, NULL);
    int status = code == CURLE_OK ? finish(self, ret) : cli_fail_unreachable(self, (int)code, detail);
    curl_slist_free_all(headers);
    if (status != CLI_OK)
        reply_deinit(ret);
    return status;
}

/* --- Ids -------------------------------------------------------------------------------------- */

/* Whether text begins an id, or what follows the id's kind. */
static bool is_prefix(const char *text, const char *id)
{
    const char *dash = strchr(id, '-');
    size_t n = strlen(text);
    return strncmp(id, text, n) == 0 || (dash && strncmp(dash + 1, text, n) == 0);
}

/* Looks through one page. found: the id, once it is known. */
static int search_page(struct cli *self, const json_t *items, const char *text, char found[ID_MAX])
{
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        const char *id = json_get_string(item, "id", "");
        bool fits = is_prefix(text, id) || strcmp(json_get_string(item, "name", ""), text) == 0;
        if (!fits || strcmp(found, id) == 0)
            continue;
        if (*found)
            return cli_fail(self, CLI_USAGE, "ambiguous", "\"%s\" may be %s or %s", text, found, id);
        snprintf(found, ID_MAX, "%s", id);
    }
    return CLI_OK;
}

static int find_id(struct cli *self, enum api_id list, const char *text, char found[ID_MAX])
{
    bool has_more = true;
    int status = CLI_OK;
    for (int page = 1; status == CLI_OK && has_more; page++) {
        struct reply reply;
        char target[64];
        snprintf(target, sizeof target, list == API_SANDBOX_LIST || list == API_RECORDING_LIST ? "%s?pageSize=200&page=%d" : "%s",
                 api_table[list].path, page);
        status = exchange(self, &api_table[list], target, NULL, NULL, &reply);
        if (status != CLI_OK)
            return status;
        status = search_page(self, json_object_get(reply.json, "items"), text, found);
        has_more = json_get_bool(json_object_get(reply.json, "pagination"), "hasNextPage", false);
        reply_deinit(&reply);
    }
    return status;
}

static bool is_whole_id(const char *id)
{
    const char *dash = strrchr(id, '-');
    return dash && strlen(dash + 1) >= ID_RANDOM_CHARS;
}

static enum api_id list_of(const struct api_operation *op)
{
    if (strncmp(op->path, "/v1/keys", 8) == 0)
        return API_KEY_LIST;
    if (strncmp(op->path, "/v1/templates", 13) == 0)
        return API_TEMPLATE_LIST;
    if (strncmp(op->path, "/v1/recordings", 14) == 0)
        return API_RECORDING_LIST;
    return strncmp(op->path, "/v1/checkpoints", 15) == 0 ? API_CHECKPOINT_LIST : API_SANDBOX_LIST;
}

int cli_find_id(struct cli *self, enum api_id list, const char *text, char **ret)
{
    char found[ID_MAX] = "";
    int status = is_whole_id(text) ? CLI_OK : find_id(self, list, text, found);
    const char *id = *found ? found : is_whole_id(text) ? text : NULL;
    *ret = status == CLI_OK && id ? strdup(id) : NULL;
    return status;
}

/* An id that nothing begins with stays as it is: the daemon says what is wrong with it. */
int cli_complete_id(struct cli *self, struct request *request)
{
    const char *id = json_get_string(request->path, "id", NULL);
    char found[ID_MAX] = "";
    if (!id || is_whole_id(id))
        return CLI_OK;
    if (!*id)
        return cli_fail(self, CLI_USAGE, "bad_value", "the id is empty");
    enum api_id list = list_of(request->op);
    int status = find_id(self, list, id, found);
    if (status == CLI_OK && !*found && list == API_CHECKPOINT_LIST)
        status = find_id(self, API_TEMPLATE_LIST, id, found);
    if (status == CLI_OK && *found)
        json_object_set_new(request->path, "id", json_string(found));
    return status;
}

/* --- Requests --------------------------------------------------------------------------------- */

int cli_send(struct cli *self, struct request *request, struct reply *ret)
{
    struct error err = { 0 };
    *ret = (struct reply){ 0 };
    if (request_check(request, &err) < 0)
        return cli_fail_error(self, CLI_USAGE, &err);
    int status = cli_complete_id(self, request);
    if (status != CLI_OK)
        return status;
    auto_free char *target = request_target(request);
    return exchange(self, request->op, target, request->body,
                    request_own(request, "idempotency-key"), ret);
}

int cli_call(struct cli *self, enum api_id operation, const char *id, json_t *body,
             struct reply *ret)
{
    auto_json json_t *own = json_object();
    struct request request = {
        .op = &api_table[operation],
        .path = json_object(),
        .query = json_object(),
        .body = body ? json_incref(body) : json_object(),
        .own = json_incref(own),
    };
    if (id)
        json_object_set_new(request.path, "id", json_string(id));
    int status = cli_send(self, &request, ret);
    request_deinit(&request);
    return status;
}
