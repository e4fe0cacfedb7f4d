/* The frame buffer is written directly: what is there is what the display shows, to the pixel. What lies
 * under the cursor is kept, as a system that draws its own cursor does. */
#include "screen.h"

#include "port.h"

#include <efilib.h>

enum { ARM = 7, BOX = 2 * ARM + 1 };

INTN screen_width, screen_height;

static EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
static volatile UINT32 *pixels;
static INTN stride;
static UINT32 under[BOX][BOX];
static INTN cursor_x, cursor_y;
static BOOLEAN has_cursor;

static UINT32 pattern(INTN x, INTN y)
{
    return (UINT32)((x & 255) << 16 | (y & 255) << 8 | (x >> 8 & 15) << 4 | (y >> 8 & 15));
}

static void look(void)
{
    pixels = (volatile UINT32 *)(UINTN)gop->Mode->FrameBufferBase;
    screen_width = gop->Mode->Info->HorizontalResolution;
    screen_height = gop->Mode->Info->VerticalResolution;
    stride = gop->Mode->Info->PixelsPerScanLine;
}

BOOLEAN screen_init(void)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_HANDLE *handles = NULL;
    UINTN n = 0;
    if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles)))
        return FALSE;
    for (UINTN i = 0; i < n; i++) {
        EFI_GRAPHICS_OUTPUT_PROTOCOL *it;
        if (!EFI_ERROR(BS->HandleProtocol(handles[i], &guid, (void **)&it)) && it->Mode->FrameBufferBase &&
            it->Mode->Info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor)
            gop = it;
    }
    if (!gop)
        return FALSE;
    ST->ConOut->EnableCursor(ST->ConOut, FALSE);
    look();
    screen_clear();
    return TRUE;
}

/* The mode's number, or -1. */
static INTN find_mode(INTN width, INTN height)
{
    for (UINT32 i = 0; i < gop->Mode->MaxMode; i++) {
        EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
        UINTN size;
        if (!EFI_ERROR(gop->QueryMode(gop, i, &size, &info)) && info->HorizontalResolution == width &&
            info->VerticalResolution == height)
            return i;
    }
    return -1;
}

BOOLEAN screen_set_mode(INTN width, INTN height)
{
    INTN mode = find_mode(width, height);
    if (mode < 0 || EFI_ERROR(gop->SetMode(gop, (UINT32)mode)))
        return FALSE;
    look();
    screen_clear();
    return TRUE;
}

void screen_report_modes(void)
{
    report_raw("modes", "[");
    for (UINT32 i = 0; i < gop->Mode->MaxMode; i++) {
        EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
        UINTN size;
        if (EFI_ERROR(gop->QueryMode(gop, i, &size, &info)))
            continue;
        report_raw(NULL, i ? ",[" : "[");
        report_int(NULL, info->HorizontalResolution);
        report_raw(NULL, ",");
        report_int(NULL, info->VerticalResolution);
        report_raw(NULL, "]");
    }
    report_raw(NULL, "]");
}

void screen_clear(void)
{
    has_cursor = FALSE;
    for (INTN y = 0; y < screen_height; y++)
        for (INTN x = 0; x < screen_width; x++)
            pixels[y * stride + x] = pattern(x, y);
}

static INTN clip(INTN value, INTN end)
{
    return value < 0 ? 0 : value > end ? end : value;
}

void screen_fill(INTN x, INTN y, INTN w, INTN h, UINT32 color)
{
    INTN x0 = clip(x, screen_width), x1 = clip(x + w, screen_width);
    INTN y0 = clip(y, screen_height), y1 = clip(y + h, screen_height);
    screen_hide_cursor();
    for (y = y0; y < y1; y++)
        for (x = x0; x < x1; x++)
            pixels[y * stride + x] = color;
}

static BOOLEAN is_inside(INTN x, INTN y)
{
    return x >= 0 && y >= 0 && x < screen_width && y < screen_height;
}

void screen_hide_cursor(void)
{
    for (INTN y = 0; has_cursor && y < BOX; y++)
        for (INTN x = 0; x < BOX; x++)
            if (is_inside(cursor_x - ARM + x, cursor_y - ARM + y))
                pixels[(cursor_y - ARM + y) * stride + cursor_x - ARM + x] = under[y][x];
    has_cursor = FALSE;
}

void screen_show_cursor(INTN at_x, INTN at_y)
{
    screen_hide_cursor();
    cursor_x = at_x;
    cursor_y = at_y;
    has_cursor = TRUE;
    for (INTN y = 0; y < BOX; y++)
        for (INTN x = 0; x < BOX; x++) {
            if (!is_inside(at_x - ARM + x, at_y - ARM + y))
                continue;
            volatile UINT32 *pixel = &pixels[(at_y - ARM + y) * stride + at_x - ARM + x];
            under[y][x] = *pixel;
            if (x == ARM || y == ARM)
                *pixel = x == ARM && y == ARM ? 0 : 0xffffff;
        }
}
