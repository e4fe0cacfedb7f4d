/* uefi: a guest without a kernel. Started by the firmware as a boot loader would be, it paints a known
 * pattern, reports every key and pointer event as its devices sent it, and obeys commands on the serial
 * port (README.md). It never returns to the firmware. */
#include "disk.h"
#include "hid.h"
#include "port.h"
#include "screen.h"
#include "tpm.h"

#include <efilib.h>

enum { TICK_100NS = 100000 };

/* --- Commands: flat objects of numbers and plain texts ------------------------------------------------ */

static BOOLEAN starts(const char *text, const char *with)
{
    for (; *with; text++, with++)
        if (*text != *with)
            return FALSE;
    return TRUE;
}

/* Where the value of a key begins, or NULL. */
static const char *find(const char *line, const char *key)
{
    for (; *line; line++) {
        if (*line != '"' || !starts(line + 1, key))
            continue;
        const char *at = line + 1;
        while (*key && *at == *key)
            at++, key++;
        if (*at != '"')
            return NULL;
        for (at++; *at == ' ' || *at == ':';)
            at++;
        return at;
    }
    return NULL;
}

static INTN number(const char *line, const char *key, INTN fallback)
{
    const char *at = find(line, key);
    INTN value = 0, sign = 1;
    if (!at || !((*at >= '0' && *at <= '9') || *at == '-'))
        return fallback;
    if (*at == '-') {
        sign = -1;
        at++;
    }
    for (; *at >= '0' && *at <= '9' && value < 1000000000; at++)
        value = value * 10 + *at - '0';
    return sign * value;
}

static BOOLEAN is_command(const char *line, const char *name)
{
    const char *at = find(line, "cmd");
    if (!at || *at != '"' || !starts(at + 1, name))
        return FALSE;
    for (at++; *name; name++)
        at++;
    return *at == '"';
}

static UINT32 color(const char *line)
{
    const char *at = find(line, "color");
    UINT32 value = 0;
    for (at = at && starts(at, "\"#") ? at + 2 : ""; *at && *at != '"'; at++)
        value = value << 4 | (UINT32)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
    return value;
}

static BOOLEAN set_mode(const char *line)
{
    return screen_set_mode(number(line, "w", 0), number(line, "h", 0));
}

static BOOLEAN clear(const char *line)
{
    (void)line;
    screen_clear();
    return TRUE;
}

static BOOLEAN fill(const char *line)
{
    screen_fill(number(line, "x", 0), number(line, "y", 0), number(line, "w", 0), number(line, "h", 0), color(line));
    return TRUE;
}

static BOOLEAN follow(const char *line)
{
    const char *on = find(line, "on");
    hid_follow(on && starts(on, "true"));
    return TRUE;
}

static BOOLEAN greet(const char *line)
{
    (void)line;
    return TRUE;
}

static BOOLEAN read_block(const char *line)
{
    return disk_read((UINTN)number(line, "disk", 0), (UINT64)number(line, "block", 0));
}

static BOOLEAN fill_block(const char *line)
{
    return disk_fill((UINTN)number(line, "disk", 0), (UINT64)number(line, "block", 0), (UINT8)number(line, "byte", 0));
}

static BOOLEAN read_pcr(const char *line)
{
    return tpm_read((UINT32)number(line, "pcr", 0));
}

static BOOLEAN read_resets(const char *line)
{
    (void)line;
    return tpm_read_resets();
}

static BOOLEAN extend_pcr(const char *line)
{
    return tpm_extend((UINT32)number(line, "pcr", 0), (UINT8)number(line, "byte", 0));
}

static BOOLEAN reboot(const char *line)
{
    (void)line;
    return !EFI_ERROR(RT->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL));
}

static BOOLEAN power_off(const char *line)
{
    (void)line;
    return !EFI_ERROR(RT->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL));
}

static const struct {
    const char *name;
    BOOLEAN (*run)(const char *line);
    void (*report)(void); /* adds to the answer */
} commands[] = {
    { "hello", greet, NULL },  { "modes", greet, screen_report_modes }, { "mode", set_mode, NULL },
    { "clear", clear, NULL },  { "fill", fill, NULL },                  { "cursor", follow, NULL },
    { "held", greet, hid_report_held },                                 { "disks", greet, disk_report },
    { "read", read_block, disk_report_crc },                            { "write", fill_block, disk_report_crc },
    { "measured", read_pcr, tpm_report_pcr },                           { "extend", extend_pcr, tpm_report_pcr },
    { "resets", read_resets, tpm_report_resets },                       { "reboot", reboot, NULL },
    { "poweroff", power_off, NULL },
};

/* Every line that is an object is answered once. */
static void obey(const char *line)
{
    UINTN i = 0, n = sizeof commands / sizeof *commands;
    if (*line != '{')
        return;
    while (i < n && !is_command(line, commands[i].name))
        i++;
    BOOLEAN is_good = i < n && commands[i].run(line);
    report_begin(is_good ? "ok" : "error");
    report_int("id", number(line, "id", 0));
    report_int("w", screen_width);
    report_int("h", screen_height);
    if (is_good && commands[i].report)
        commands[i].report();
    if (!is_good)
        report_text("message", i < n ? "it cannot be done" : "no such command");
    report_end();
}

/* --- Life ------------------------------------------------------------------------------------------------ */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    EFI_EVENT tick;
    UINTN index, n;
    InitializeLib(image, table);
    BS->SetWatchdogTimer(0, 0, 0, NULL);
    BS->CreateEvent(EVT_TIMER, 0, NULL, NULL, &tick);
    BS->SetTimer(tick, TimerPeriodic, TICK_100NS);
    n = hid_init();
    port_init();
    BOOLEAN has_screen = screen_init();
    report_begin(has_screen && n >= 2 ? "ready" : "fatal");
    report_int("w", screen_width);
    report_int("h", screen_height);
    report_int("devices", (INT64)n);
    if (!has_screen || n < 2)
        report_text("message", has_screen ? "a keyboard or tablet is missing" : "there is no screen");
    report_end();
    for (;;) {
        BS->WaitForEvent(1, &tick, &index);
        hid_report();
        for (const char *line; (line = port_read_line());)
            obey(line);
    }
}
