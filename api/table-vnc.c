/* How VNC viewers get at a desktop: RFB over a WebSocket, or over a port of their own. */
#include "api/table-vnc.h"

#define FIELDS (const struct api_field[])
#define END { .name = NULL }

static const char *const roles[] = { "view", "control", NULL };
static const char *const listens[] = { "tcp", "unix", "websocket", NULL };

#define LISTEN(what) { .name = "listen", .type = API_STRING, .values = listens, .fallback = "\"tcp\"", .text = what }
#define ROLE(what) { .name = "role", .type = API_STRING, .values = roles, .text = what }
#define ADDRESS(what) { .name = "address", .type = API_STRING, .text = what }

const struct api_field api_vnc_query[] = {
    ROLE("`view` watches, `control` acts too. Default: what the key may do."),
    { .name = "ticket", .type = API_STRING, .min = 1, .max = 64,
      .text = "Of `desktop_vnc_open` with `listen` \"websocket\", in place of a key and a role." },
    END,
};

const struct api_field api_vnc_body[] = {
    LISTEN("`tcp`: a port of 127.0.0.1. `unix`: a socket that the daemon's user may open. `websocket`: "
           "a link that works once, soon."),
    { .name = "role", .type = API_STRING, .values = roles, .fallback = "\"control\"",
      .text = "Of its viewers: `view` watches, `control` acts too." },
    { .name = "port", .type = API_INTEGER, .max = 65535, .fallback = "0",
      .text = "Of `tcp`; 0: one that is free." },
    { .name = "password", .type = API_STRING, .min = 1, .max = 8,
      .text = "VNC looks at eight characters. Default: for `tcp` one that is made up, for `unix` none." },
    END,
};

const struct api_field api_vnc_opened[] = {
    LISTEN("As asked for."),
    ADDRESS("Host and port, the path of the socket, or the path and query of the WebSocket."),
    ROLE("Of its viewers."),
    { .name = "password", .type = API_STRING, .is_nullable = true,
      .text = "Shown here alone; null when none is asked for." },
    { .name = "expires_in_s", .type = API_INTEGER, .text = "Of a link: how long it works." },
    END,
};

static const struct api_field viewer = { .type = API_OBJECT, .fields = FIELDS{ ROLE("What it may do."), END } };
static const struct api_field port = { .type = API_OBJECT, .fields = FIELDS{
    LISTEN("What it is."), ADDRESS("Where it is."), ROLE("Of its viewers."), END } };

const struct api_field api_vnc_result[] = {
    { .name = "viewers", .type = API_ARRAY, .element = &viewer, .text = "Connected now." },
    { .name = "ports", .type = API_ARRAY, .element = &port, .text = "Open now." },
    END,
};
