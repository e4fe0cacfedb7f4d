/* The USB keyboard and tablet, without the firmware's drivers: every report as the device sent it. The
 * firmware's own keyboard input knows no releases and only some keys. */
#pragma once

#include <efi.h>

/* Takes the devices from the firmware's drivers. Returns how many there are. */
UINTN hid_init(void);
/* Reports what came since the last call: "key", "button", "wheel", "motion". */
void hid_report(void);
/* Reports "usages", "buttons", "x", "y": what is held now. */
void hid_report_held(void);
/* A drawn cursor follows the pointer from now on, or does not. */
void hid_follow(BOOLEAN on);
