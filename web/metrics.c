#include "web/metrics.h"

/* Upper ends in milliseconds: from an unchanged screenshot to a long-poll. */
static const int bucket_ms[METRICS_BUCKETS] = {
    1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000, 30000, 60000,
};

void metrics_count(struct metrics *self, unsigned route, int status, int64_t duration_us)
{
    int index = CLAMP(status, METRICS_STATUS_MIN, METRICS_STATUS_MIN + METRICS_STATUS_COUNT - 1) -
                METRICS_STATUS_MIN;
    self->requests[route < ROUTE_COUNT ? route : ROUTE_UNKNOWN][index]++;
    size_t bucket = 0;
    while (bucket < METRICS_BUCKETS && duration_us > (int64_t)bucket_ms[bucket] * 1000)
        bucket++;
    self->buckets[bucket]++;
    self->duration_us += (uint64_t)MAX(duration_us, 0);
}

static const char *route_name(unsigned route)
{
    return route < API_COUNT ? api_table[route].name : route == ROUTE_PAGE ? "page" : "unknown";
}

static void write_requests(const struct metrics *self, struct buf *out)
{
    buf_puts(out, "# HELP deskfarm_http_requests_total Requests answered.\n"
                  "# TYPE deskfarm_http_requests_total counter\n");
    for (unsigned route = 0; route < ROUTE_COUNT; route++) {
        for (int i = 0; i < METRICS_STATUS_COUNT; i++) {
            if (self->requests[route][i])
                buf_printf(out, "deskfarm_http_requests_total{route=\"%s\",status=\"%d\"} %u\n",
                           route_name(route), i + METRICS_STATUS_MIN, self->requests[route][i]);
        }
    }
}

static void write_histogram(const struct metrics *self, struct buf *out)
{
    uint64_t sum = 0;
    buf_puts(
        out,
        "# HELP deskfarm_http_request_duration_seconds From a request's headers to the end of its answer.\n"
        "# TYPE deskfarm_http_request_duration_seconds histogram\n");
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        sum += self->buckets[i];
        buf_printf(out, "deskfarm_http_request_duration_seconds_bucket{le=\"%g\"} %llu\n",
                   bucket_ms[i] / 1000.0, (unsigned long long)sum);
    }
    sum += self->buckets[METRICS_BUCKETS];
    buf_printf(out,
               "deskfarm_http_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n"
               "deskfarm_http_request_duration_seconds_sum %.6f\n"
               "deskfarm_http_request_duration_seconds_count %llu\n",
               (unsigned long long)sum, (double)self->duration_us / 1e6, (unsigned long long)sum);
}

static void write_one(struct buf *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    buf_printf(out,
               "# HELP deskfarm_http_%s %s\n# TYPE deskfarm_http_%s %s\ndeskfarm_http_%s %llu\n",
               name, help, name, type, name, (unsigned long long)value);
}

void metrics_write(const struct metrics *self, int connections, int requests, struct buf *out)
{
    write_requests(self, out);
    write_histogram(self, out);
    write_one(out, "connections", "gauge", "Open connections.", (uint64_t)connections);
    write_one(out, "requests_in_progress", "gauge", "Requests being answered.", (uint64_t)requests);
    write_one(out, "port_connections", "gauge", "Open connections to ports of guests.",
              (uint64_t)self->port_connections);
    write_one(out, "port_connections_total", "counter", "Connections to ports of guests.",
              self->port_connections_total);
    write_one(out, "websockets", "gauge", "Open WebSockets of the API.",
              (uint64_t)self->websockets);
    write_one(out, "received_bytes_total", "counter", "Bytes of request bodies.",
              self->received_bytes);
    write_one(out, "sent_bytes_total", "counter", "Bytes of answers.", self->sent_bytes);
    write_one(out, "gone_total", "counter", "Callers that left before their answer.", self->gone);
    write_one(out, "ignored_fields_total", "counter",
              "Unknown fields that OpenSandbox routes ignored.", self->ignored_fields);
    write_one(out, "refused_connections_total", "counter", "Connections over a limit.",
              self->refused_connections);
}
