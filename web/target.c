#include "web/target.h"

#include "base/id.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

int target_decode(struct span text, bool is_query, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        int c = (unsigned char)text.at[i];
        if (c == '%' && i + 2 < text.size && hex_digit(text.at[i + 1]) >= 0 &&
            hex_digit(text.at[i + 2]) >= 0) {
            c = hex_digit(text.at[i + 1]) << 4 | hex_digit(text.at[i + 2]);
            i += 2;
        } else if (c == '%') {
            return -1;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (c == 0 || n + 1 >= size)
            return -1;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return (int)n;
}

struct span target_before(struct span text, char c)
{
    const char *at = text.size ? memchr(text.at, c, text.size) : NULL;
    return (struct span){ text.at, at ? (size_t)(at - text.at) : text.size };
}

int target_pairs(const char *query, char *text, size_t size, struct api_pair *pairs, int max)
{
    struct span rest = { query, strlen(query) };
    int n = 0;
    while (rest.size > 0) {
        struct span part = target_before(rest, '&'), name = target_before(part, '=');
        struct span value = { name.at + name.size, part.size - name.size };
        rest.at += part.size, rest.size -= part.size;
        if (rest.size > 0)
            rest.at++, rest.size--;
        if (part.size == 0)
            continue;
        if (value.size > 0)
            value.at++, value.size--;
        int used = n < max ? target_decode(name, true, text, size) : -1;
        if (used < 0)
            return -1;
        pairs[n].name = text;
        text += used + 1, size -= (size_t)used + 1;
        used = target_decode(value, true, text, size);
        if (used < 0)
            return -1;
        pairs[n++].value = text;
        text += used + 1, size -= (size_t)used + 1;
    }
    return n;
}

/* --- Ports of guests -------------------------------------------------------------------------- */

static bool take(struct span *rest, const char *text)
{
    size_t n = strlen(text);
    if (!span_starts(*rest, text))
        return false;
    rest->at += n, rest->size -= n;
    return true;
}

static bool parse_port(struct span text, int *ret)
{
    *ret = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || i == 5)
            return false;
        *ret = *ret * 10 + (text.at[i] - '0');
    }
    return *ret >= 1 && *ret <= 65535 && text.at[0] != '0';
}

static bool parse_id(struct span text, char out[32])
{
    return span_copy(text, out, 32) && id_is_valid(out);
}

/* /v1/sandboxes/ID/WHAT/PORT and then the end, '/' or '?'. 1 when it begins like that. */
static int parse_path(struct span target, const char *what, struct port_address *ret)
{
    struct span rest = target;
    if (!take(&rest, "/v1/sandboxes/"))
        return 0;
    struct span id = target_before(rest, '/');
    rest.at += id.size, rest.size -= id.size;
    if (!take(&rest, what))
        return 0;
    struct span port = target_before(target_before(rest, '?'), '/');
    ret->prefix = (size_t)(port.at + port.size - target.at);
    return parse_id(id, ret->id) && parse_port(port, &ret->port) ? 1 : -EINVAL;
}

/* PORT-ID.DOMAIN, with or without a port of ours behind. Other names are no host of ours at all. */
static bool parse_host(struct span host, const char *domain, struct port_address *ret)
{
    struct span name = target_before(host, ':'), label = target_before(name, '.');
    size_t n = strlen(domain);
    if (label.size == name.size || name.size - label.size - 1 != n ||
        strncasecmp(label.at + label.size + 1, domain, n) != 0)
        return false;
    struct span port = target_before(label, '-');
    struct span id = { port.at + port.size + 1, label.size - MIN(port.size + 1, label.size) };
    return parse_port(port, &ret->port) && parse_id(id, ret->id);
}

static int parse_header(struct span value, struct port_address *ret)
{
    const char *dash = value.size ? memrchr(value.at, '-', value.size) : NULL;
    size_t n = dash ? (size_t)(dash - value.at) : 0;
    struct span id = { value.at, n };
    struct span port = { value.at + n + 1, value.size - MIN(n + 1, value.size) };
    return dash && parse_id(id, ret->id) && parse_port(port, &ret->port) ? 1 : -EINVAL;
}

static bool is_ours(int port)
{
    return port == PORT_EXECD || port == PORT_EGRESS;
}

int target_port(const struct head *head, const char *domain, struct port_address *ret)
{
    struct span host = head_find(head, "host"), to = head_find(head, "opensandbox-ingress-to");
    *ret = (struct port_address){ 0 };
    int r = parse_host(host, "localhost", ret) || (domain && parse_host(host, domain, ret));
    enum port_mode mode = PORT_HOST;
    if (r == 0 && !to.size)
        to = head_find(head, "open-sandbox-ingress");
    if (r == 0 && to.size) {
        mode = PORT_HEADER;
        r = parse_header(to, ret);
    }
    if (r == 0) {
        mode = PORT_TUNNEL;
        r = parse_path(head->target, "/tcp/", ret);
    }
    if (r == 0) {
        mode = PORT_PATH;
        r = parse_path(head->target, "/proxy/", ret);
        r = r == 1 && is_ours(ret->port) ? 0 : r;
    }
    ret->mode = r == 1 ? mode : PORT_NONE;
    return MIN(r, 0);
}
