/* libvncserver writes to its viewer until all is written. That is fine here: nobody else waits for
 * this process. What the daemon tells meanwhile it merges at its end, and a viewer that takes nothing
 * for WRITE_WAIT_MS is dropped, by us or by the daemon.
 *
 *   handshake  version, security, password. No picture yet: HELLO asks for it
 *   waiting    nothing is read from the viewer until SCREEN has come
 *   serving    messages both ways, updates as the viewer asks for them
 *
 * A viewer that asks for JPEG (noVNC does) gets it while the screen moves; what went out that way is sent
 * again exactly once nothing has changed for REPAIR_MS.
 *
 * The picture is mapped read-only, so nothing may be drawn into it: a viewer that cannot show a cursor
 * itself gets none. Each viewer has a screen object of its own, and libvncserver's listening sockets,
 * HTTP server and file transfer stay off. Keys come as QEMU's extended key events where the viewer
 * knows them (RFB pseudo-encoding -258), else as keysyms. */
#include "stream/vnc/serve.h"

#include "stream/vnc/shape.h"

#include <errno.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WRITE_WAIT_MS 10000
#define HANDSHAKE_MS 30000
#define SCREEN_WAIT_MS 15000
#define PLACEHOLDER_SIDE 16
#define REPAIR_MS 200
#define QEMU_KEY_BYTES 11 /* of the message, behind its type (rfbproto: QEMU Extended Key Event) */

struct serve {
    const struct serve_config *config;
    rfbScreenInfoPtr screen;
    rfbClientPtr client; /* NULL: gone */
    bool is_greeted, has_screen, has_password_right, is_over;
    int64_t due_ms; /* of the handshake, then of the first SCREEN */
    void *pixels;
    size_t n_pixels; /* bytes */
    sraRegionPtr lossy; /* what may have gone out as JPEG, or will */
    int64_t damage_ms;  /* when the screen changed last */
    uint8_t *text;   /* a clipboard that is coming */
    size_t n_text;
};

/* libvncserver's hooks get a client, and protocol extensions nothing at first: one viewer, one
 * process, one of these. */
static struct serve serve;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Blocks while the daemon is behind: the viewer then waits too. */
static void tell(const struct vnc_message *message)
{
    if (vnc_wire_send(serve.config->channel_fd, message, NULL, 0) < 0)
        serve.is_over = true;
}

static void tell_text(const char *text, size_t size)
{
    size = MIN(size, VNC_TEXT_MAX);
    do {
        size_t n = MIN(size, VNC_PAYLOAD_MAX);
        tell(&(struct vnc_message){ .type = VNC_CUT, .is_on = n == size, .payload = (const uint8_t *)text, .size = n });
        text += n;
        size -= n;
    } while (size > 0 && !serve.is_over);
}

/* --- From the viewer -------------------------------------------------------------------------- */

static rfbBool check_password(rfbClientPtr client, const char *response, int size)
{
    uint8_t expected[CHALLENGESIZE], differs = 0;
    char password[VNC_PASSWORD_MAX + 1];
    memcpy(expected, client->authChallenge, sizeof expected);
    memcpy(password, serve.config->password, sizeof password);
    rfbEncryptBytes(expected, password);
    for (int i = 0; i < size && i < CHALLENGESIZE; i++)
        differs |= (uint8_t)(expected[i] ^ (uint8_t)response[i]);
    serve.has_password_right = size == CHALLENGESIZE && differs == 0;
    if (!serve.has_password_right)
        tell(&(struct vnc_message){ .type = VNC_DENIED });
    return serve.has_password_right;
}

static void handle_key(rfbBool is_down, rfbKeySym keysym, rfbClientPtr client maybe_unused)
{
    tell(&(struct vnc_message){ .type = VNC_KEY, .value = (uint32_t)keysym, .is_on = is_down != 0 });
}

static void handle_pointer(int mask, int x, int y, rfbClientPtr client maybe_unused)
{
    tell(&(struct vnc_message){ .type = VNC_POINTER, .number = (uint16_t)mask, .x = x, .y = y });
}

/* RFB's plain cut text is Latin-1. */
static void handle_latin_text(char *text, int size, rfbClientPtr client maybe_unused)
{
    size_t n = 0, count = (size_t)MAX(size, 0);
    auto_free char *utf8 = malloc(2 * count + 1);
    for (size_t i = 0; utf8 && i < count; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c >= 0x80)
            utf8[n++] = (char)(0xc0 | c >> 6);
        utf8[n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    if (utf8)
        tell_text(utf8, n);
}

static void handle_text(char *text, int size, rfbClientPtr client maybe_unused)
{
    tell_text(text, (size_t)MAX(size, 0));
}

/* Success is told to the viewer by the new screen. */
static int handle_size(int width, int height, int n_screens maybe_unused,
                       struct rfbExtDesktopScreen *screens maybe_unused, rfbClientPtr client)
{
    if (client->viewOnly)
        return rfbExtDesktopSize_ResizeProhibited;
    if (width < 1 || height < 1 || width > VNC_SIDE_MAX || height > VNC_SIDE_MAX)
        return rfbExtDesktopSize_InvalidScreenLayout;
    tell(&(struct vnc_message){ .type = VNC_SIZE, .width = (uint16_t)width, .height = (uint16_t)height });
    return rfbExtDesktopSize_Success;
}

static void handle_gone(rfbClientPtr client maybe_unused)
{
    serve.client = NULL;
}

/* --- QEMU's extended key events ---------------------------------------------------------------- */

static rfbBool begin_extension(rfbClientPtr client maybe_unused, void **data)
{
    *data = NULL;
    return TRUE;
}

/* The viewer offers them; an update with one empty rectangle of that encoding accepts. */
static rfbBool accept_qemu_keys(rfbClientPtr client, void **data maybe_unused, int encoding)
{
    static const uint8_t answer[] = {
        rfbFramebufferUpdate, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe,
    };
    if (encoding != (int)rfbEncodingQemuExtendedKeyEvent)
        return FALSE;
    return rfbWriteExact(client, (const char *)answer, sizeof answer) > 0;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static rfbBool handle_extended(rfbClientPtr client, void *data maybe_unused,
                               const rfbClientToServerMsg *message)
{
    uint8_t rest[QEMU_KEY_BYTES];
    if (message->type != rfbQemuEvent)
        return FALSE;
    if (rfbReadExact(client, (char *)rest, sizeof rest) <= 0 || rest[0] != 0) {
        rfbCloseClient(client);
        return TRUE;
    }
    uint32_t qnum = get_u32(rest + 7);
    if (!client->viewOnly)
        tell(&(struct vnc_message){ .type = VNC_KEY, .is_on = rest[1] || rest[2], .value = get_u32(rest + 3),
                                    .number = qnum <= UINT8_MAX ? (uint16_t)qnum : 0 });
    return TRUE;
}

static void add_extension(void)
{
    static int encodings[] = { (int)rfbEncodingQemuExtendedKeyEvent, 0 };
    static rfbProtocolExtension extension = {
        .newClient = begin_extension, .pseudoEncodings = encodings,
        .enablePseudoEncoding = accept_qemu_keys, .handleMessage = handle_extended,
    };
    rfbRegisterProtocolExtension(&extension);
}

/* --- From the daemon -------------------------------------------------------------------------- */

/* libvncserver takes red for the lowest byte unless told. */
static void set_format(void)
{
    serve.screen->serverFormat.redShift = 16;
    serve.screen->serverFormat.greenShift = 8;
    serve.screen->serverFormat.blueShift = 0;
    if (serve.client)
        rfbSetTranslateFunction(serve.client);
}

static void note_change(int left, int top, int right, int bottom)
{
    serve.damage_ms = now_ms();
    sraRegionPtr rect = sraRgnCreateRect(left, top, right, bottom);
    sraRgnOr(serve.lossy, rect);
    sraRgnDestroy(rect);
}

static void take_screen(const struct vnc_message *m, int fd)
{
    size_t size = (size_t)m->width * m->height * 4;
    void *pixels = fd >= 0 ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (pixels == MAP_FAILED) {
        serve.is_over = true;
        return;
    }
    rfbNewFramebuffer(serve.screen, pixels, m->width, m->height, 8, 3, 4);
    set_format();
    if (serve.n_pixels)
        munmap(serve.pixels, serve.n_pixels);
    serve.pixels = pixels;
    serve.n_pixels = size;
    serve.has_screen = true;
    sraRgnMakeEmpty(serve.lossy);
    note_change(0, 0, m->width, m->height);
}

static void take_damage(const struct vnc_message *m)
{
    for (size_t i = 0; i < m->size / sizeof(struct vnc_rect) && serve.has_screen; i++) {
        struct vnc_rect r = vnc_wire_rect(m, i);
        int right = MIN(r.x + r.width, serve.screen->width);
        int bottom = MIN(r.y + r.height, serve.screen->height);
        if (r.x >= right || r.y >= bottom)
            continue;
        rfbMarkRectAsModified(serve.screen, r.x, r.y, right, bottom);
        note_change(r.x, r.y, right, bottom);
    }
}

/* In control the viewer has the pointer itself, and would have it torn back to where it was. */
static void take_cursor(const struct vnc_message *m)
{
    serve.screen->cursorX = CLAMP(m->x, 0, serve.screen->width - 1);
    serve.screen->cursorY = CLAMP(m->y, 0, serve.screen->height - 1);
    if (serve.client && serve.client->viewOnly && m->is_on)
        serve.client->cursorWasMoved = TRUE;
}

static void take_clipboard(const struct vnc_message *m)
{
    uint8_t *text = m->size + serve.n_text <= VNC_TEXT_MAX ? realloc(serve.text, serve.n_text + m->size + 1) : NULL;
    if (!text)
        return;
    serve.text = text;
    memcpy(text + serve.n_text, m->payload, m->size);
    serve.n_text += m->size;
    text[serve.n_text] = 0;
    if (!m->is_on)
        return;
    /* What Latin-1 lacks is a question mark to viewers that know no other. */
    auto_free char *latin = malloc(serve.n_text + 1);
    size_t n = 0;
    for (size_t i = 0; latin && i < serve.n_text; i++) {
        if (text[i] < 0x80)
            latin[n++] = (char)text[i];
        else if ((text[i] & 0xfc) == 0xc0 && i + 1 < serve.n_text)
            latin[n++] = (char)((text[i] & 3) << 6 | (text[i + 1] & 0x3f));
        else if (text[i] >= 0xc0)
            latin[n++] = '?';
    }
    if (latin)
        rfbSendServerCutTextUTF8(serve.screen, (char *)text, (int)serve.n_text, latin, (int)n);
    serve.n_text = 0;
}

static void take_refusal(void)
{
    if (!serve.client || !serve.client->useExtDesktopSize)
        return;
    serve.client->requestedDesktopSizeChange = rfbExtDesktopSize_ClientRequestedChange;
    serve.client->lastDesktopSizeChangeError = rfbExtDesktopSize_ResizeProhibited;
    serve.client->newFBSizePending = TRUE;
}

static void take(const struct vnc_message *m, int fd)
{
    switch (m->type) {
    case VNC_SCREEN: take_screen(m, fd); break;
    case VNC_DAMAGE: take_damage(m); break;
    case VNC_SHAPE: shape_set(serve.screen, m); break;
    case VNC_CURSOR: take_cursor(m); break;
    case VNC_CLIPBOARD: take_clipboard(m); break;
    case VNC_REFUSED: take_refusal(); break;
    case VNC_ROLE:
        if (serve.client)
            serve.client->viewOnly = !m->is_on;
        break;
    default: break;
    }
}

static void read_channel(void)
{
    static uint8_t packet[VNC_MESSAGE_MAX];
    auto_fd int fd = -1;
    struct vnc_message message;
    ptrdiff_t n = vnc_wire_receive(serve.config->channel_fd, packet, &fd, 1);
    if (n <= 0 || vnc_wire_read(packet, (size_t)n, VNC_OF_DAEMON_TO_VIEWER, &message) < 0)
        serve.is_over = true;
    else
        take(&message, fd);
}

/* --- The loop --------------------------------------------------------------------------------- */

/* After the password, or at once without one. */
static void ask_for_screen(void)
{
    serve.is_greeted = true;
    serve.due_ms = now_ms() + SCREEN_WAIT_MS;
    tell(&(struct vnc_message){ .type = VNC_HELLO });
}

static rfbScreenInfoPtr make_screen(void)
{
    static uint32_t placeholder[PLACEHOLDER_SIDE * PLACEHOLDER_SIDE];
    static char *passwords[] = { "", NULL }; /* checked by check_password; says that there is one */
    int argc = 0;
    rfbScreenInfoPtr screen = rfbGetScreen(&argc, NULL, PLACEHOLDER_SIDE, PLACEHOLDER_SIDE, 8, 3, 4);
    if (!screen)
        return NULL;
    screen->frameBuffer = (char *)placeholder;
    screen->desktopName = serve.config->name;
    screen->cursor = NULL;
    screen->port = screen->ipv6port = 0;
    screen->autoPort = FALSE;
    screen->alwaysShared = TRUE;
    screen->deferUpdateTime = 0;
    screen->deferPtrUpdateTime = 0;
    screen->maxClientWait = WRITE_WAIT_MS;
    screen->permitFileTransfer = FALSE;
    screen->fdQuota = 1.0f;
    screen->kbdAddEvent = handle_key;
    screen->ptrAddEvent = handle_pointer;
    screen->setXCutText = handle_latin_text;
    screen->setXCutTextUTF8 = handle_text;
    screen->setDesktopSizeHook = handle_size;
    screen->passwordCheck = check_password;
    if (*serve.config->password)
        screen->authPasswdData = passwords;
    return screen;
}

static bool begin(void)
{
    serve.screen = make_screen();
    if (!serve.screen)
        return false;
    rfbInitServer(serve.screen);
    rfbMaxClientWait = WRITE_WAIT_MS;
    add_extension();
    serve.due_ms = now_ms() + HANDSHAKE_MS;
    serve.client = rfbNewClient(serve.screen, serve.config->viewer_fd);
    if (!serve.client)
        return false;
    serve.client->clientGoneHook = handle_gone;
    serve.client->viewOnly = !serve.config->can_control;
    set_format();
    if (!*serve.config->password)
        ask_for_screen();
    return true;
}

/* Whether what the viewer sends may be read: ClientInit is answered with the size of the screen. */
static bool may_read(void)
{
    return serve.has_screen || !serve.is_greeted;
}

/* Until a repair may be sent; -1: nothing needs one, or the viewer has not asked for more. */
static int64_t repair_wait_ms(void)
{
    rfbClientPtr client = serve.client;
    if (client->turboQualityLevel == -1 || sraRgnEmpty(serve.lossy) || sraRgnEmpty(client->requestedRegion))
        return -1;
    return MAX(serve.damage_ms + REPAIR_MS - now_ms(), 0);
}

/* An update without JPEG of all that had it. */
static void repair(void)
{
    rfbClientPtr client = serve.client;
    int quality = client->turboQualityLevel, tight = client->tightQualityLevel;
    client->turboQualityLevel = client->tightQualityLevel = -1;
    rfbMarkRegionAsModified(serve.screen, serve.lossy);
    sraRgnMakeEmpty(serve.lossy);
    rfbUpdateClient(client);
    sraRgnOr(serve.lossy, client->modifiedRegion); /* what the viewer did not ask for */
    client->turboQualityLevel = quality;
    client->tightQualityLevel = tight;
}

static void serve_viewer(bool is_readable)
{
    if (is_readable)
        rfbProcessClientMessage(serve.client);
    if (serve.client->sock == RFB_INVALID_SOCKET) {
        rfbClientConnectionGone(serve.client);
        return;
    }
    if (!serve.is_greeted && serve.has_password_right)
        ask_for_screen();
    /* libvncserver's list of messages leaves our extension out, and libvncclient believes it. */
    serve.client->enableSupportedMessages = FALSE;
    bool may_update = serve.has_screen && serve.client->state == RFB_NORMAL;
    if (may_update)
        rfbUpdateClient(serve.client);
    if (may_update && serve.client->sock != RFB_INVALID_SOCKET && repair_wait_ms() == 0)
        repair();
    if (serve.client->sock == RFB_INVALID_SOCKET)
        rfbClientConnectionGone(serve.client);
}

static bool turn(void)
{
    struct pollfd fds[] = {
        { .fd = serve.config->channel_fd, .events = POLLIN },
        { .fd = serve.client->sock, .events = may_read() ? POLLIN : 0 },
    };
    bool is_started = serve.client->state == RFB_NORMAL;
    int64_t wait_ms = is_started ? repair_wait_ms() : serve.due_ms - now_ms();
    if (!is_started && wait_ms <= 0)
        return false;
    if (poll(fds, ARRAY_LEN(fds), (int)wait_ms) < 0)
        return errno == EINTR;
    if (fds[0].revents)
        read_channel();
    if (!serve.is_over)
        serve_viewer(fds[1].revents != 0);
    return serve.client && !serve.is_over;
}

void serve_warm_up(void)
{
    uint8_t bytes[CHALLENGESIZE];
    char password[] = "password";
    rfbLogEnable(FALSE);
    rfbRandomBytes(bytes);
    rfbEncryptBytes(bytes, password);
}

void serve_run(const struct serve_config *config)
{
    serve = (struct serve){ .config = config, .lossy = sraRgnCreate() };
    if (begin())
        while (turn())
            ;
    if (serve.client)
        rfbCloseClient(serve.client);
}
