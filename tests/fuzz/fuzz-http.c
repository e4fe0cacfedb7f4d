/* Header values that the server reads itself. Lines: Host, Origin, Sec-Fetch-Site, Content-Type,
 * Accept, If-None-Match, Cookie. */
#include "web/guard.h"
#include "web/negotiate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "farm.example", NULL };
    static const struct guard_hosts hosts = { .names = names, .any_address = true };
    auto_free char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    guard_check_head(text, size, NULL);
    guard_request_size(text, size);
    const char *lines[7];
    char *rest = text;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const char *line = rest ? strsep(&rest, "\n") : "";
        lines[i] = line;
    }
    struct guard_facts facts = { .has_body = true,
                                 .host = lines[0],
                                 .origin = lines[1],
                                 .fetch_site = lines[2],
                                 .content_type = lines[3] };
    char value[16];
    guard_check(&hosts, &facts, NULL);
    negotiate(lines[4], "image/png", REPRESENT_JSON);
    negotiate_etag_matches(lines[5], "e7");
    guard_cookie(lines[6], "deskfarm", value, sizeof value);
    return 0;
}
