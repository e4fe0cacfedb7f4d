#include "tests/bench/vnc.h"

#include <rfb/rfbclient.h>
#include <string.h>

#define WAIT_US 10000000

struct vnc {
    rfbClient *client;
    GotBitmapProc copy; /* libvncclient's own, into its framebuffer */
    int64_t missing;    /* pixels that have not come since they were asked for */
};

static char tag; /* its address is our key among the client's data */

static void drop_log(const char *format maybe_unused, ...) {}

/* The only callback that stands for pixels: GotFrameBufferUpdate also runs for a rectangle that tells
 * the size of the desktop. */
static void handle_pixels(rfbClient *client, const uint8_t *pixels, int x, int y, int w, int h)
{
    struct vnc *self = rfbClientGetClientData(client, &tag);
    self->missing -= (int64_t)w * h;
    self->copy(client, pixels, x, y, w, h);
}

static void setup(struct vnc *self, rfbClient *client, const char *path)
{
    rfbClientSetClientData(client, &tag, self);
    client->serverHost = strdup(path);
    client->appData.encodingsString = "raw";
    client->appData.useRemoteCursor = FALSE;
    client->format.redShift = 16;
    client->format.greenShift = 8;
    client->format.blueShift = 0;
    self->copy = client->GotBitmap;
    client->GotBitmap = handle_pixels;
}

struct vnc *vnc_connect(const char *path)
{
    rfbClientLog = drop_log;
    rfbClientErr = drop_log;
    struct vnc *self = calloc(1, sizeof *self);
    rfbClient *client = self ? rfbGetClient(8, 3, 4) : NULL;
    if (!client) {
        free(self);
        return NULL;
    }
    self->client = client;
    setup(self, client, path);
    /* Asks for a whole screen; it frees the client when it fails. */
    if (!rfbInitClient(client, NULL, NULL)) {
        free(self);
        return NULL;
    }
    self->missing = (int64_t)client->width * client->height;
    return self;
}

struct vnc *vnc_close(struct vnc *self)
{
    if (self) {
        free(self->client->frameBuffer);
        self->client->frameBuffer = NULL;
        rfbClientCleanup(self->client);
        free(self);
    }
    return NULL;
}

bool vnc_ask(struct vnc *self)
{
    rfbClient *client = self->client;
    /* What an answer to an earlier request brings in between does not count. */
    while (WaitForMessage(client, 0) > 0)
        if (!HandleRFBServerMessage(client))
            return false;
    self->missing = (int64_t)client->width * client->height;
    return SendFramebufferUpdateRequest(client, 0, 0, client->width, client->height, FALSE);
}

bool vnc_wait(struct vnc *self)
{
    while (self->missing > 0)
        if (WaitForMessage(self->client, WAIT_US) <= 0 || !HandleRFBServerMessage(self->client))
            return false;
    return true;
}

const uint32_t *vnc_pixels(const struct vnc *self, int *ret_width, int *ret_height)
{
    *ret_width = self->client->width;
    *ret_height = self->client->height;
    return (const uint32_t *)(const void *)self->client->frameBuffer;
}
