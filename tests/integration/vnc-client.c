/* A VNC viewer for tests, on libvncclient: says what it sees as lines of JSON, does what lines on
 * standard input tell it.
 *
 *   vnc-client ADDRESS [PASSWORD [ENCODINGS]]     ADDRESS: host:port or the path of a unix socket
 *
 * Commands: key DOWN KEYSYM [QNUM] | pointer MASK X Y | cut TEXT | size WIDTH HEIGHT | shot FILE (PPM) |
 * stall (reads no more) | quit. Events: connected, size, cursor, pointer, cut, shot, updated, ended. */
#include <poll.h>
#include <rfb/rfbclient.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *password = "";
static bool is_stalled;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static char *give_password(rfbClient *client)
{
    (void)client;
    return strdup(password);
}

static rfbBool make_framebuffer(rfbClient *client)
{
    free(client->frameBuffer);
    client->frameBuffer = calloc((size_t)client->width * (size_t)client->height, 4);
    say("{\"ev\":\"size\",\"w\":%d,\"h\":%d}", client->width, client->height);
    return client->frameBuffer != NULL;
}

static void handle_cursor(rfbClient *client, int hot_x, int hot_y, int width, int height, int bytes)
{
    int n = 0;
    (void)bytes;
    for (int i = 0; i < width * height; i++)
        n += client->rcMask[i] != 0;
    say("{\"ev\":\"cursor\",\"w\":%d,\"h\":%d,\"x\":%d,\"y\":%d,\"opaque\":%d}", width, height, hot_x, hot_y, n);
}

static rfbBool handle_pointer(rfbClient *client, int x, int y)
{
    (void)client;
    say("{\"ev\":\"pointer\",\"x\":%d,\"y\":%d}", x, y);
    return TRUE;
}

static void handle_text(rfbClient *client, const char *text, int size)
{
    (void)client;
    printf("{\"ev\":\"cut\",\"hex\":\"");
    for (int i = 0; i < size; i++)
        printf("%02x", (unsigned char)text[i]);
    say("\"}");
}

static void handle_updated(rfbClient *client)
{
    (void)client;
    say("{\"ev\":\"updated\"}");
}

static void drop_log(const char *format, ...)
{
    (void)format;
}

static void write_shot(rfbClient *client, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    fprintf(file, "P6\n%d %d\n255\n", client->width, client->height);
    for (int i = 0; i < client->width * client->height; i++) {
        const unsigned char *pixel = client->frameBuffer + 4 * i;
        fputc(pixel[2], file), fputc(pixel[1], file), fputc(pixel[0], file);
    }
    fclose(file);
    say("{\"ev\":\"shot\"}");
}

/* Asks for more than the kernel keeps, and reads none of it. */
static void stall(rfbClient *client)
{
    is_stalled = true;
    setsockopt(client->sock, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int));
    for (int i = 0; i < 8; i++)
        SendFramebufferUpdateRequest(client, 0, 0, client->width, client->height, FALSE);
}

/* False: enough. */
static bool obey(rfbClient *client, char *line)
{
    unsigned a = 0, b = 0, c = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "key %u %x %x", &a, &b, &c) == 3)
        SendExtendedKeyEvent(client, b, c, a != 0);
    else if (sscanf(line, "key %u %x", &a, &b) == 2)
        SendKeyEvent(client, b, a != 0);
    else if (sscanf(line, "pointer %u %u %u", &a, &b, &c) == 3)
        SendPointerEvent(client, (int)b, (int)c, (int)a);
    else if (sscanf(line, "size %u %u", &a, &b) == 2)
        SendExtDesktopSize(client, (uint16_t)a, (uint16_t)b);
    else if (strncmp(line, "cut ", 4) == 0)
        SendClientCutText(client, line + 4, (int)strlen(line + 4));
    else if (strncmp(line, "shot ", 5) == 0)
        write_shot(client, line + 5);
    else if (strcmp(line, "stall") == 0)
        stall(client);
    else
        return false;
    return true;
}

/* libvncclient keeps bytes of its own, which poll does not see. */
static bool read_messages(rfbClient *client)
{
    do {
        if (!HandleRFBServerMessage(client))
            return false;
    } while (client->buffered > 0);
    return true;
}

static void run(rfbClient *client)
{
    char line[4096];
    for (;;) {
        struct pollfd fds[] = { { .fd = 0, .events = POLLIN },
                                { .fd = is_stalled ? -1 : client->sock, .events = POLLIN } };
        if (client->buffered == 0)
            poll(fds, 2, -1);
        if (fds[0].revents && (!fgets(line, sizeof line, stdin) || !obey(client, line)))
            return;
        if (!is_stalled && (fds[1].revents || client->buffered > 0) && !read_messages(client))
            return;
    }
}

static void connect_to(rfbClient *client, const char *address)
{
    const char *colon = strrchr(address, ':');
    free(client->serverHost); /* its constructor's empty string */
    if (*address == '/' || !colon) {
        client->serverHost = strdup(address);
    } else {
        client->serverHost = strndup(address, (size_t)(colon - address));
        client->serverPort = atoi(colon + 1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    if (argc > 2)
        password = argv[2];
    setvbuf(stdin, NULL, _IONBF, 0);
    rfbClientLog = rfbClientErr = drop_log;
    rfbClient *client = rfbGetClient(8, 3, 4);
    client->format.redShift = 16;
    client->format.greenShift = 8;
    client->format.blueShift = 0;
    client->canHandleNewFBSize = TRUE;
    client->appData.useRemoteCursor = TRUE;
    client->appData.encodingsString = argc > 3 ? argv[3] : "zrle raw";
    client->MallocFrameBuffer = make_framebuffer;
    client->GetPassword = give_password;
    client->GotCursorShape = handle_cursor;
    client->HandleCursorPos = handle_pointer;
    client->GotXCutText = handle_text;
    client->FinishedFrameBufferUpdate = handle_updated;
    connect_to(client, argv[1]);
    if (!rfbInitClient(client, NULL, NULL)) { /* frees it */
        say("{\"ev\":\"refused\"}");
        return 1;
    }
    say("{\"ev\":\"connected\",\"w\":%d,\"h\":%d,\"name\":\"%s\"}", client->width, client->height,
        client->desktopName);
    run(client);
    say("{\"ev\":\"ended\"}");
    /* What its cleaning up leaves. */
    free(client->frameBuffer);
    free(client->rcSource);
    free(client->rcMask);
    client->rcSource = client->rcMask = NULL;
    rfbClientCleanup(client);
    return 0;
}
