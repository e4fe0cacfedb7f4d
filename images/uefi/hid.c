/* Reports come in a callback of the firmware's timer and are kept in a queue; the main loop takes them out,
 * so that nothing is painted or sent in there. A keyboard report is eight bytes: modifiers, a reserved one,
 * six usages (HID 1.11, appendix B). QEMU's tablet sends buttons, x, y (0 to 32767 each) and the wheel. */
#include "hid.h"

#include "port.h"
#include "screen.h"
#include "usb-io.h"

#include <efilib.h>

enum { QUEUE = 256, REPORT_BYTES = 8, AXIS_END = 32768, POLL_MS = 8 };
enum { CLASS_HID = 3, PROTOCOL_KEYBOARD = 1, ENDPOINT_IN = 0x80, ENDPOINT_INTERRUPT = 3, USAGE_MODIFIERS = 0xe0 };

struct record {
    BOOLEAN is_keyboard;
    UINT8 bytes[REPORT_BYTES];
};

static struct record queue[QUEUE];
static volatile UINTN head, tail; /* grow without end */
static volatile UINTN n_lost;
static UINT8 keys[REPORT_BYTES], buttons;
static INTN axis_x, axis_y;
static BOOLEAN is_followed;

static EFI_STATUS EFIAPI handle_report(void *data, UINTN size, void *context, UINT32 status)
{
    if (status || size < 6)
        return EFI_SUCCESS;
    if (head - tail == QUEUE) {
        n_lost++;
        return EFI_SUCCESS;
    }
    struct record *record = &queue[head % QUEUE];
    record->is_keyboard = context != NULL;
    for (UINTN i = 0; i < REPORT_BYTES; i++)
        record->bytes[i] = i < size ? ((UINT8 *)data)[i] : 0;
    head++;
    return EFI_SUCCESS;
}

static BOOLEAN take_device(EFI_HANDLE handle)
{
    EFI_GUID guid = USB_IO_GUID;
    usb_interface_t interface;
    usb_endpoint_t endpoint;
    usb_io_t *io;
    if (EFI_ERROR(BS->HandleProtocol(handle, &guid, (void **)&io)) || EFI_ERROR(io->get_interface(io, &interface)) ||
        interface.class != CLASS_HID)
        return FALSE;
    BS->DisconnectController(handle, NULL, NULL);
    for (UINT8 i = 0; i < interface.n_endpoints; i++) {
        if (EFI_ERROR(io->get_endpoint(io, i, &endpoint)) || !(endpoint.address & ENDPOINT_IN) ||
            (endpoint.attributes & 3) != ENDPOINT_INTERRUPT)
            continue;
        BOOLEAN is_keyboard = interface.protocol == PROTOCOL_KEYBOARD;
        return !EFI_ERROR(io->async_interrupt_transfer(io, endpoint.address, TRUE, POLL_MS, endpoint.packet_bytes,
                                                       handle_report, is_keyboard ? keys : NULL));
    }
    return FALSE;
}

/* The firmware connects what it boots from, and not always the rest. */
static void connect_all(void)
{
    EFI_HANDLE *handles = NULL;
    UINTN n = 0;
    if (EFI_ERROR(BS->LocateHandleBuffer(AllHandles, NULL, NULL, &n, &handles)))
        return;
    for (UINTN i = 0; i < n; i++)
        BS->ConnectController(handles[i], NULL, NULL, TRUE);
    BS->FreePool(handles);
}

static UINTN take_devices(void)
{
    EFI_GUID guid = USB_IO_GUID;
    EFI_HANDLE *handles = NULL;
    UINTN n = 0, n_taken = 0;
    if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles)))
        return 0;
    for (UINTN i = 0; i < n; i++)
        n_taken += take_device(handles[i]);
    BS->FreePool(handles);
    return n_taken;
}

UINTN hid_init(void)
{
    UINTN n = take_devices();
    if (n < 2) {
        connect_all();
        n += take_devices();
    }
    return n;
}

static void report_key(UINT8 usage, BOOLEAN is_down)
{
    report_begin("key");
    report_bool("down", is_down);
    report_int("usage", usage);
    report_end();
}

static BOOLEAN has_usage(const UINT8 *report, UINT8 usage)
{
    for (UINTN i = 2; i < REPORT_BYTES; i++)
        if (report[i] == usage)
            return TRUE;
    return FALSE;
}

static void handle_keys(const UINT8 *now)
{
    for (UINT8 bit = 0; bit < 8; bit++)
        if ((keys[0] ^ now[0]) >> bit & 1)
            report_key((UINT8)(USAGE_MODIFIERS + bit), now[0] >> bit & 1);
    for (UINTN i = 2; i < REPORT_BYTES; i++)
        if (keys[i] && !has_usage(now, keys[i]))
            report_key(keys[i], FALSE);
    for (UINTN i = 2; i < REPORT_BYTES; i++)
        if (now[i] && !has_usage(keys, now[i]))
            report_key(now[i], TRUE);
    for (UINTN i = 0; i < REPORT_BYTES; i++)
        keys[i] = now[i];
}

/* The pixel that an axis stands for. */
static INTN scale(INTN axis, INTN size)
{
    return axis * size / AXIS_END;
}

static void report_place(const char *ev)
{
    report_begin(ev);
    report_int("x", scale(axis_x, screen_width));
    report_int("y", scale(axis_y, screen_height));
}

static void handle_pointer(const UINT8 *now)
{
    INTN x = now[1] | now[2] << 8, y = now[3] | now[4] << 8, notches = (INT8)now[5];
    BOOLEAN has_moved = x != axis_x || y != axis_y;
    axis_x = x;
    axis_y = y;
    if (has_moved) {
        report_place("motion");
        report_end();
    }
    for (UINT8 bit = 0; bit < 8; bit++) {
        if (!((buttons ^ now[0]) >> bit & 1))
            continue;
        report_place("button");
        report_int("button", bit);
        report_bool("down", now[0] >> bit & 1);
        report_end();
    }
    buttons = now[0];
    if (notches) {
        report_place("wheel");
        report_int("notches", notches);
        report_end();
    }
    if (has_moved && is_followed)
        screen_show_cursor(scale(x, screen_width), scale(y, screen_height));
}

void hid_report(void)
{
    for (; tail != head; tail++) {
        struct record *record = &queue[tail % QUEUE];
        if (record->is_keyboard)
            handle_keys(record->bytes);
        else
            handle_pointer(record->bytes);
    }
    if (n_lost) {
        n_lost = 0;
        report_begin("lost");
        report_end();
    }
}

void hid_report_held(void)
{
    BOOLEAN is_first = TRUE;
    report_raw("usages", "[");
    for (UINT8 i = 0; i < 8 + REPORT_BYTES - 2; i++) {
        BOOLEAN is_held = i < 8 ? keys[0] >> i & 1 : keys[i - 6] != 0;
        if (!is_held)
            continue;
        report_raw(NULL, is_first ? "" : ",");
        report_int(NULL, i < 8 ? USAGE_MODIFIERS + i : keys[i - 6]);
        is_first = FALSE;
    }
    report_raw(NULL, "]");
    report_int("buttons", buttons);
    report_int("x", scale(axis_x, screen_width));
    report_int("y", scale(axis_y, screen_height));
}

void hid_follow(BOOLEAN on)
{
    is_followed = on;
    if (on)
        screen_show_cursor(scale(axis_x, screen_width), scale(axis_y, screen_height));
    else
        screen_hide_cursor();
}
