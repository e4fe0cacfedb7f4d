/* The helper is an ordinary program of the desktop's user and is believed nothing: an answer is
 * JSON of bounded size and depth without duplicate keys, and an error in it is two strings. */
#include "images/agent/answer.h"

static json_t *make_error(const char *code, const char *message)
{
    return json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", message);
}

/* Only these two, so that nothing else travels as an error. */
static json_t *read_error(const json_t *error)
{
    const char *code = json_get_string(error, "code", NULL);
    const char *message = json_get_string(error, "message", NULL);
    json_t *ret = code && message ? make_error(code, message) : NULL;
    return ret ? ret : make_error("failed", "the desktop's helper gave an error that is none");
}

json_t *answer_read(const void *text, size_t size)
{
    json_t *answer = NULL;
    if (size == 0)
        return make_error("not_ready", "the desktop's helper ended before it answered");
    if (size > ANSWER_MAX || json_parse_object(text, size, &answer, NULL) < 0)
        return make_error("failed", "the desktop's helper gave an answer that is no JSON");
    json_t *error = json_object_get(answer, "error");
    if (!error)
        return answer;
    json_t *ret = read_error(error);
    json_decref(answer);
    return ret;
}
