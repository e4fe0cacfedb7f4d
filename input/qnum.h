/* QEMU's key numbers. */
#pragma once

#include "base/util.h"

/* The qnum of an evdev code: PC/AT set 1 scancodes (Linux' xtkbd order), where the 0xe0 prefix
 * becomes bit 7 (qapi/ui.json KeyValue "number", org.qemu.Display1.Keyboard). 0 when QEMU 7.2 has
 * none that leads back to the same evdev code. */
uint16_t qnum_from_evdev(uint16_t code);
/* Whether QEMU's USB keyboard says it to the guest: of the others some vanish, and some become another key. */
bool qnum_usb_has(uint16_t code);
/* Whether the others do: it has a qnum. */
bool qnum_has(uint16_t code);
/* How many scancodes QEMU's USB keyboard makes of a press or a release of it: entries in its queue. */
int qnum_scancodes(uint16_t code);
/* The evdev code that has this qnum; 0 when none has. */
uint16_t qnum_to_evdev(uint32_t qnum);
