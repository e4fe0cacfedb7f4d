/* Counters of the HTTP side, as Prometheus text. */
#pragma once

#include "api/table.h"
#include "base/buf.h"

/* Routes that are no row of the API table. */
enum { ROUTE_PAGE = API_COUNT, ROUTE_UNKNOWN, ROUTE_COUNT };

#define METRICS_STATUS_MIN 100
#define METRICS_STATUS_COUNT 500
#define METRICS_BUCKETS 13

/* About 55 KiB; a request costs two increments. */
struct metrics {
    uint32_t requests[ROUTE_COUNT][METRICS_STATUS_COUNT];
    uint64_t buckets[METRICS_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    uint64_t duration_us;
    uint64_t received_bytes, sent_bytes;
    uint64_t gone; /* callers that left before their answer was complete */
    uint64_t ignored_fields;
    uint64_t refused_connections;
    int port_connections, websockets; /* open now */
    uint64_t port_connections_total;
};

void metrics_count(struct metrics *self, unsigned route, int status, int64_t duration_us);
/* Appends all counters; connections and requests are the gauges of now. */
void metrics_write(const struct metrics *self, int connections, int requests, struct buf *out);
