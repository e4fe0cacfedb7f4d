/* A 16550 by its registers. Sending waits for an empty transmitter; QEMU holds the guest up there when the
 * host does not read. */
#include "port.h"

#include <efilib.h>

enum { BASE = 0x3f8, LINE_BYTES = 512 };
enum { DATA = 0, IRQ_ENABLE = 1, FIFO = 2, LINE = 3, MODEM = 4, STATUS = 5 };
enum { STATUS_HAS_BYTE = 0x01, STATUS_MAY_SEND = 0x20 };

static INT64 count;

static UINT8 in(UINT16 reg)
{
    UINT8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((UINT16)(BASE + reg)));
    return value;
}

static void out(UINT16 reg, UINT8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((UINT16)(BASE + reg)));
}

/* The firmware's terminal would read our commands and write its own words. */
static void take_from_firmware(void)
{
    EFI_GUID guid = SERIAL_IO_PROTOCOL;
    EFI_HANDLE *handles = NULL;
    UINTN n = 0;
    if (!EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles)))
        for (UINTN i = 0; i < n; i++)
            BS->DisconnectController(handles[i], NULL, NULL);
}

void port_init(void)
{
    take_from_firmware();
    out(IRQ_ENABLE, 0);
    out(LINE, 0x80); /* the divisor: 115200 */
    out(DATA, 1);
    out(IRQ_ENABLE, 0);
    out(LINE, 0x03); /* eight bits, no parity */
    out(FIFO, 0x07);
    out(MODEM, 0x03);
}

const char *port_read_line(void)
{
    static char line[LINE_BYTES];
    static UINTN size;
    while (in(STATUS) & STATUS_HAS_BYTE) {
        char c = (char)in(DATA);
        if (c == '\n') {
            BOOLEAN fits = size < LINE_BYTES;
            line[fits ? size : 0] = 0;
            size = 0;
            return line;
        }
        if (size < LINE_BYTES - 1)
            line[size++] = c;
        else
            size = LINE_BYTES;
    }
    return NULL;
}

void port_write(const char *text)
{
    for (; *text; text++) {
        while (!(in(STATUS) & STATUS_MAY_SEND)) {
        }
        out(DATA, (UINT8)*text);
    }
}

void report_raw(const char *key, const char *value)
{
    if (key) {
        port_write(",\"");
        port_write(key);
        port_write("\":");
    }
    port_write(value);
}

void report_int(const char *key, INT64 value)
{
    char text[24], *at = text + sizeof text;
    BOOLEAN is_negative = value < 0;
    *--at = 0;
    do {
        *--at = (char)('0' + (is_negative ? -(value % 10) : value % 10));
        value /= 10;
    } while (value);
    if (is_negative)
        *--at = '-';
    report_raw(key, at);
}

void report_bool(const char *key, BOOLEAN value)
{
    report_raw(key, value ? "true" : "false");
}

void report_text(const char *key, const char *value)
{
    report_raw(key, "\"");
    port_write(value);
    port_write("\"");
}

void report_begin(const char *ev)
{
    port_write("{\"ev\":\"");
    port_write(ev);
    port_write("\"");
}

void report_end(void)
{
    report_int("n", ++count);
    port_write("}\n");
}
