/* Heads of requests and answers with all that is done to them on the way to a guest and back: the
 * first byte picks the mode, then comes a request; its end begins an answer. */
#include "web/proxy-head.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What we write is a head again, and says the same about the body. */
static void check_answer(const char *text, size_t size, const struct proxy_way *way)
{
    static struct head head, again;
    enum head_body body, body_again;
    uint64_t length, length_again;
    auto_buf struct buf out = BUF_INIT;
    if (head_parse_answer(&head, text, size) != 0)
        return;
    proxy_write_answer(&head, way, false, &out);
    if (head.n_fields > HEAD_FIELDS_MAX - 8)
        return;
    int r = head_parse_answer(&again, (const char *)out.data, out.size);
    assert(r == 0 && again.size == out.size && again.status == head.status);
    if (head_body(&head, true, false, &body, &length) == 0) {
        r = head_body(&again, true, false, &body_again, &length_again);
        assert(r == 0 && body == body_again && length == length_again);
    }
    assert(way->to.mode == PORT_HOST || head_count(&again, "set-cookie") == 0);
}

static void check_request(const struct head *head, const struct proxy_way *way)
{
    static struct head again;
    enum head_body body, body_again;
    uint64_t length, length_again;
    auto_buf struct buf out = BUF_INIT;
    proxy_write_request(head, way, &out);
    if (head->n_fields > HEAD_FIELDS_MAX - 8)
        return;
    int r = head_parse_request(&again, (const char *)out.data, out.size);
    assert(r == 0 && again.size == out.size);
    assert(head_count(&again, "host") == 1 && head_count(&again, "open-sandbox-api-key") == 0);
    assert(head_body(head, false, false, &body, &length) != 0 ||
           (head_body(&again, false, false, &body_again, &length_again) == 0 &&
            body == body_again && length == length_again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head head;
    struct api_pair pairs[8];
    char path[256], text[256];
    if (size < 1)
        return 0;
    const char *at = (const char *)data + 1;
    struct proxy_way way = { .peer = "192.0.2.1", .host = "h", .is_upgrade = data[0] & 64 };
    if (head_parse_request(&head, at, size - 1) != 0) {
        check_answer(at, size - 1, &way);
        return 0;
    }
    int r = target_port(&head, data[0] & 128 ? "ports.example" : NULL, &way.to);
    target_decode(target_before(head.target, '?'), false, path, sizeof path);
    if (span_copy(head.target, path, sizeof path))
        target_pairs(path, text, sizeof text, pairs, 8);
    if (r == 0 && way.to.mode != PORT_NONE && way.to.mode != PORT_TUNNEL)
        check_request(&head, &way);
    check_answer(at + head.size, size - 1 - head.size, &way);
    return 0;
}
