/* A sink over QEMU's D-Bus display (org.qemu.Display1.Keyboard and .Mouse, ui/dbus-display1.xml).
 *
 * Not the default, because QEMU 7.2 scales SetAbsPosition by floor(x * 0x7fff / width): a guest
 * that rounds down lands one pixel low. This sink asks for the next pixel, which is exact
 * everywhere but on the last column and row, where QEMU refuses it: those land one pixel low. QEMU
 * also refuses positions when the tablet is bound to a display and an unbound relative mouse exists.
 * Moves ask for no reply; flush waits for the reply of a property read behind them. */
#pragma once

#include "base/qdbus.h"
#include "input/sink.h"

/* bus stays its owner's and must outlive the sink. NULL when memory is short. */
struct sink *sink_dbus_new(struct loop *loop, struct qdbus *bus);
