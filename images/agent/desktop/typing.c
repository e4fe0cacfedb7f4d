/* Text into the focused window, any character of Unicode, exactly.
 *
 *   type {"delay_us"}, input: UTF-8 → {"characters", "whole", "rounds", "keys", "confirmed"}
 *
 * A character that the layout has on the first two levels is typed by its key. For the others, keys
 * that the keymap leaves unused get the characters as their symbols, for a while, two each: without
 * and with shift. They are pressed through XTEST, whose keys reach programs like those of any
 * keyboard. All keys of a round change in one request (XkbSetMap over the range that holds them):
 * each change makes every program read the keymap again, and a window manager grab its keys again.
 *
 * What makes it exact. A program looks at the keymap when it handles the key, not when the key
 * was pressed. So a key may get another symbol only when the focused program has handled all that
 * was typed before. It is asked: a ping (_NET_WM_PING) is sent behind the keys on its own
 * connection, and its answer says that it has read them. Text goes in rounds: as many characters
 * as the unused keys allow, at most ROUND_MAX, then a ping. A window that does not answer within
 * PING_US ends the text ("whole" is false, and the characters are those of the rounds that it has
 * read): what it has not read must not change its meaning. One that
 * knows no pings gets QUIET_US instead, and the text counts as not confirmed.
 *
 * A text that the host gives up ends at once, and the host hears of it when the X server has all keys
 * that were pressed: what it does next comes behind them. The window may read them later, so the next
 * text waits for its pong, for DRAIN_US at most.
 *
 * It begins when no key is down any more (what the host pressed before may still be on its way),
 * and locks and other groups of the keyboard are off meanwhile. The unused keys keep their
 * symbols for KEEP_US, for the next text, and are emptied then. A helper that was killed finds
 * them by a property of the root window.
 *
 * One text at a time; others wait. A layout has about 22 unused keys, so 44 characters a round. */
#include "images/agent/desktop/keyboard.h"
#include "images/agent/desktop/x11.h"

#include <X11/XKBlib.h>
#include <X11/Xatom.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>
#include <string.h>

#define SPARE_MAX 64
#define SLOTS_MAX (2 * SPARE_MAX)
#define ROUND_MAX 48 /* a slow program reads 20 keys a second */
#define SETTLE_US 25000   /* from what the host injected to the X server */
#define KEYS_UP_US 1000000
#define PING_US 30000000
#define DRAIN_US 5000000
#define QUIET_US 400000 /* and for each key */
#define QUIET_KEY_US 50000
#define KEEP_US 3000000
#define WAITING_MAX 16

struct stroke {
    KeyCode code;
    bool is_shifted;
};

static struct {
    struct task *task; /* NULL: idle */
    struct task *waiting[WAITING_MAX];
    int n_waiting;
    size_t at, n_characters, n_read, n_rounds;
    int64_t waited_us, delay_us;
    struct stroke strokes[ROUND_MAX];
    int n_strokes, next_stroke;
    Window pinged;
    Time ping;
    XkbStateRec state;
    bool is_state_changed;
    bool is_unsure; /* a round was not confirmed by a pong */
    bool is_draining; /* idle, but for keys that the window has not read */
} typing;

/* Keys without a meaning of their own. A slot is a key's level: 2 i is key i, 2 i + 1 shifted. */
static struct {
    KeyCode codes[SPARE_MAX];
    KeySym symbols[SLOTS_MAX]; /* what they mean now; NoSymbol: nothing */
    bool is_used[SLOTS_MAX];   /* in this round */
    int n, n_slots, next;      /* next: where to look for the next victim */
} spare;

/* The core keymap: of each key the symbols without and with shift. */
static KeySym symbols_of[256][2];
static KeyCode shift_code, return_code, tab_code;

static struct alarm keep, drain;

static void begin_next(void);
static void next_round(void);

/* --- Keymap ----------------------------------------------------------------------------------- */

static void read_keymap(void)
{
    int first, last, width;
    XDisplayKeycodes(x11_display(), &first, &last);
    KeySym *all = XGetKeyboardMapping(x11_display(), (KeyCode)first, last - first + 1, &width);
    memset(symbols_of, 0, sizeof symbols_of);
    for (int code = first; all && code <= last && code < 256; code++)
        for (int i = 0; i < 2 && i < width; i++)
            symbols_of[code][i] = all[(code - first) * width + i];
    if (all)
        XFree(all);
    shift_code = XKeysymToKeycode(x11_display(), XK_Shift_L);
    return_code = XKeysymToKeycode(x11_display(), XK_Return);
    tab_code = XKeysymToKeycode(x11_display(), XK_Tab);
}

/* So that keys of a helper that was killed are known as unused. */
static void write_property(void)
{
    long codes[SPARE_MAX];
    int n = 0;
    for (int i = 0; i < spare.n; i++)
        if (spare.symbols[2 * i] != NoSymbol || spare.symbols[2 * i + 1] != NoSymbol)
            codes[n++] = spare.codes[i];
    XChangeProperty(x11_display(), x11_root(), x11_atom(X11_DESKFARM_SPARE), XA_CARDINAL, 32,
                    PropModeReplace, (uint8_t *)codes, n);
}

static bool is_left_over(KeyCode code, const long *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* Keys with no symbol at all, from the top: the lower ones are more likely to be on a keyboard. */
static void find_spare(void)
{
    size_t n_left;
    long *left = x11_property(x11_root(), x11_atom(X11_DESKFARM_SPARE), XA_CARDINAL, 32, &n_left);
    spare.n = spare.next = 0;
    for (int code = 255; code >= 9 && spare.n < SPARE_MAX; code--) {
        bool is_ours = is_left_over((KeyCode)code, left, n_left);
        if (symbols_of[code][0] != NoSymbol && !is_ours)
            continue;
        for (int level = 0; level < 2; level++)
            spare.symbols[2 * spare.n + level] = is_ours ? symbols_of[code][level] : NoSymbol;
        spare.codes[spare.n++] = (KeyCode)code;
    }
    spare.n_slots = shift_code ? 2 * spare.n : spare.n;
    if (left)
        XFree(left);
}

/* Gives a key its two symbols in our copy of the keymap. */
static bool set_key(XkbDescPtr xkb, XkbMapChangesPtr changes, int i)
{
    int types[XkbNumKbdGroups] = { XkbTwoLevelIndex };
    KeyCode code = spare.codes[i];
    if (XkbChangeTypesOfKey(xkb, code, 1, XkbGroup1Mask, types, changes) != Success)
        return false;
    KeySym *symbols = XkbKeySymsPtr(xkb, code);
    for (int level = 0; level < 2; level++)
        symbols_of[code][level] = symbols[level] = spare.symbols[2 * i + level];
    return true;
}

/* Makes the keyboard's keymap what spare says. */
static void write_keymap(void)
{
    XkbMapChangesRec changes = { 0 };
    int low = 255, high = 0;
    XkbDescPtr xkb = XkbGetMap(x11_display(), XkbAllClientInfoMask, XkbUseCoreKbd);
    for (int i = 0; xkb && i < spare.n; i++)
        if (spare.codes[i] >= xkb->min_key_code && spare.codes[i] <= xkb->max_key_code &&
            set_key(xkb, &changes, i)) {
            low = MIN(low, spare.codes[i]);
            high = MAX(high, spare.codes[i]);
        }
    changes.changed = XkbKeySymsMask;
    changes.first_key_sym = (KeyCode)low;
    changes.num_key_syms = (unsigned char)(high - low + 1);
    if (high >= low)
        XkbChangeMap(x11_display(), xkb, &changes);
    if (xkb)
        XkbFreeKeyboard(xkb, 0, True);
    write_property();
    XSync(x11_display(), False);
}

static void handle_keep_end(void *data maybe_unused)
{
    typing_restore();
}

void typing_restore(void)
{
    bool is_changed = false;
    alarm_stop(&keep);
    for (int i = 0; i < 2 * spare.n; i++) {
        is_changed |= spare.symbols[i] != NoSymbol;
        spare.symbols[i] = NoSymbol;
    }
    if (is_changed)
        write_keymap();
}

/* --- Characters ------------------------------------------------------------------------------- */

/* One character; its length, or 0 when it is no UTF-8 or none that a key could make. */
static int next_character(const uint8_t *text, size_t size, uint32_t *ret)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    int n = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (n == 0 || text[0] > 0xf4 || (size_t)n > size)
        return 0;
    uint32_t c = n == 1 ? text[0] : text[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    bool is_control = (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || (c >= 0x7f && c < 0xa0);
    bool is_none = (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || is_control || is_none)
        return 0;
    *ret = c;
    return n;
}

/* Latin-1 has its own numbers, the rest of Unicode is at an offset (X11 protocol, appendix A). */
static KeySym symbol_of(uint32_t c)
{
    return c < 0x100 ? c : c | 0x1000000;
}

static bool find_key(KeySym symbol, struct stroke *ret)
{
    for (int level = 0; level < 2; level++)
        for (int code = 8; code < 256; code++)
            if (symbols_of[code][level] == symbol && (level == 0 || shift_code)) {
                *ret = (struct stroke){ (KeyCode)code, level == 1 };
                return true;
            }
    return false;
}

/* First the keys without shift, then with: a short text needs no shift. */
static int slot_at(int i)
{
    return i < spare.n ? 2 * i : 2 * (i - spare.n) + 1;
}

/* The unused key that means this, as its meaning or as its new one. False: none is free. */
static bool find_or_make_spare(KeySym symbol, struct stroke *ret, bool *is_changed)
{
    int found = -1;
    for (int i = 0; i < spare.n_slots && found < 0; i++)
        if (spare.symbols[slot_at(i)] == symbol)
            found = slot_at(i);
    for (int i = 0; i < spare.n_slots && found < 0; i++) {
        int at = slot_at((spare.next + i) % spare.n_slots);
        if (spare.is_used[at])
            continue;
        found = at;
        spare.next = (spare.next + i + 1) % spare.n_slots;
        spare.symbols[at] = symbol;
        *is_changed = true;
    }
    if (found < 0)
        return false;
    spare.is_used[found] = true;
    *ret = (struct stroke){ spare.codes[found / 2], found % 2 == 1 };
    return true;
}

static bool is_spare(KeyCode code)
{
    for (int i = 0; i < spare.n; i++)
        if (spare.codes[i] == code)
            return true;
    return false;
}

/* --- A round ---------------------------------------------------------------------------------- */

/* The window above the focus that answers pings, or None. */
static Window find_pingable(void)
{
    Window focus = None, root, parent, *children;
    int revert;
    unsigned n;
    XGetInputFocus(x11_display(), &focus, &revert);
    for (int depth = 0; depth < 16 && focus != None && focus != PointerRoot && focus != x11_root();
         depth++) {
        Atom *protocols = NULL;
        int n_protocols = 0;
        bool has_ping = false;
        if (XGetWMProtocols(x11_display(), focus, &protocols, &n_protocols))
            for (int i = 0; i < n_protocols; i++)
                has_ping |= protocols[i] == x11_atom(X11_PING);
        if (protocols)
            XFree(protocols);
        if (has_ping)
            return focus;
        children = NULL;
        if (!XQueryTree(x11_display(), focus, &root, &parent, &children, &n))
            return None;
        if (children)
            XFree(children);
        focus = parent;
    }
    return None;
}

/* The window knows no pings: it is hoped that it has read them by now. */
static void handle_quiet_end(void *data maybe_unused)
{
    typing.is_unsure = true;
    typing.n_read = typing.n_characters;
    next_round();
}

static void finish(bool is_whole)
{
    size_t n = is_whole ? typing.n_characters : typing.n_read;
    task_finish(typing.task, json_pack("{s:b, s:b, s:I, s:I, s:i}", "confirmed", !typing.is_unsure,
                                       "whole", is_whole, "characters", (json_int_t)n, "rounds",
                                       (json_int_t)typing.n_rounds, "keys", spare.n));
}

/* Keys that it has not read could come to mean something else. */
static void handle_no_pong(void *data maybe_unused)
{
    finish(false);
}

static void handle_round_end(void *data maybe_unused)
{
    typing.pinged = None;
    typing.n_read = typing.n_characters;
    next_round();
}

/* Has the window read its keys? A pong says so; one that knows pings and is silent, or knows none, runs
 * one of these. */
static void ask_window(struct alarm *alarm, int64_t limit_us, void (*on_silence)(void *data),
                       void (*on_quiet)(void *data))
{
    typing.pinged = find_pingable();
    if (typing.pinged == None) {
        alarm_set(alarm, QUIET_US + typing.n_strokes * QUIET_KEY_US, on_quiet, NULL);
        return;
    }
    typing.ping = x11_time();
    XEvent event = { .xclient = { .type = ClientMessage, .window = typing.pinged,
                                  .message_type = x11_atom(X11_WM_PROTOCOLS), .format = 32 } };
    event.xclient.data.l[0] = (long)x11_atom(X11_PING);
    event.xclient.data.l[1] = (long)typing.ping;
    event.xclient.data.l[2] = (long)typing.pinged;
    XSendEvent(x11_display(), typing.pinged, False, NoEventMask, &event);
    XFlush(x11_display());
    alarm_set(alarm, limit_us, on_silence, NULL);
}

static void end_round(void)
{
    ask_window(&typing.task->alarm, PING_US, handle_no_pong, handle_quiet_end);
}

static void handle_drained(void *data maybe_unused)
{
    alarm_stop(&drain);
    typing.pinged = None;
    typing.is_draining = false;
    alarm_set(&keep, KEEP_US, handle_keep_end, NULL);
    begin_next();
}

/* The keys keep their symbols until the window has read what was pressed. */
static void begin_drain(void)
{
    typing.is_draining = true;
    if (typing.n_read == typing.n_characters)
        handle_drained(NULL);
    else if (typing.pinged != None)
        alarm_set(&drain, DRAIN_US, handle_drained, NULL);
    else
        ask_window(&drain, DRAIN_US, handle_drained, handle_drained);
}

void typing_event(const XEvent *event)
{
    const XClientMessageEvent *message = &event->xclient;
    if (typing.pinged == None || event->type != ClientMessage || message->window != x11_root() ||
        message->message_type != x11_atom(X11_WM_PROTOCOLS) ||
        (Atom)message->data.l[0] != x11_atom(X11_PING) ||
        (Time)(message->data.l[1] & 0xffffffff) != typing.ping ||
        (Window)(message->data.l[2] & 0xffffffff) != typing.pinged)
        return;
    if (typing.is_draining) {
        handle_drained(NULL);
        return;
    }
    alarm_stop(&typing.task->alarm);
    handle_round_end(NULL);
}

/* While other programs read a new keymap, the server may take longer from the press to the release than a
 * key takes to repeat. With the server grabbed nothing comes between; a helper that dies lets go of it. */
static void press(const struct stroke *stroke)
{
    XGrabServer(x11_display());
    if (stroke->is_shifted)
        XTestFakeKeyEvent(x11_display(), shift_code, True, CurrentTime);
    XTestFakeKeyEvent(x11_display(), stroke->code, True, CurrentTime);
    XTestFakeKeyEvent(x11_display(), stroke->code, False, CurrentTime);
    if (stroke->is_shifted)
        XTestFakeKeyEvent(x11_display(), shift_code, False, CurrentTime);
    XUngrabServer(x11_display());
}

static void press_next(void *data maybe_unused)
{
    do
        press(&typing.strokes[typing.next_stroke++]);
    while (typing.next_stroke < typing.n_strokes && typing.delay_us == 0);
    XFlush(x11_display());
    typing.n_characters += typing.delay_us ? 1 : (size_t)typing.n_strokes;
    if (typing.next_stroke < typing.n_strokes)
        alarm_set(&typing.task->alarm, typing.delay_us, press_next, NULL);
    else
        end_round();
}

/* Adds the next character to the round; false when the round is full. */
static bool add_character(bool *is_changed)
{
    const struct task *task = typing.task;
    const uint8_t *text = task->in.data + typing.at;
    uint32_t c = 0;
    struct stroke stroke = { return_code, false };
    size_t size = task->in.size - typing.at;
    size_t n = (size_t)next_character(text, size, &c);
    if (c == '\r') {
        n += size > 1 && text[1] == '\n';
        c = '\n';
    }
    if (c == '\t')
        stroke.code = tab_code;
    else if (c != '\n' && (!find_key(symbol_of(c), &stroke) || is_spare(stroke.code)) &&
             !find_or_make_spare(symbol_of(c), &stroke, is_changed))
        return false;
    typing.strokes[typing.n_strokes++] = stroke;
    typing.at += n;
    return true;
}

static void next_round(void)
{
    bool is_changed = false;
    if (typing.at == typing.task->in.size) {
        finish(true);
        return;
    }
    memset(spare.is_used, 0, sizeof spare.is_used);
    typing.n_strokes = typing.next_stroke = 0;
    typing.n_rounds++;
    while (typing.n_strokes < ROUND_MAX && typing.at < typing.task->in.size &&
           add_character(&is_changed))
        ;
    if (is_changed)
        write_keymap();
    if (typing.n_strokes == 0) {
        task_fail(typing.task, "untypable", "the keyboard has no unused key to type with");
        return;
    }
    press_next(NULL);
}

/* --- A text ----------------------------------------------------------------------------------- */

static void change_state(void)
{
    XkbGetState(x11_display(), XkbUseCoreKbd, &typing.state);
    typing.is_state_changed = typing.state.locked_mods & LockMask || typing.state.locked_group;
    if (typing.is_state_changed) {
        XkbLockModifiers(x11_display(), XkbUseCoreKbd, LockMask, 0);
        XkbLockGroup(x11_display(), XkbUseCoreKbd, 0);
    }
}

static void restore_state(void)
{
    if (!typing.is_state_changed)
        return;
    typing.is_state_changed = false;
    XkbLockModifiers(x11_display(), XkbUseCoreKbd, LockMask, typing.state.locked_mods & LockMask);
    XkbLockGroup(x11_display(), XkbUseCoreKbd, typing.state.locked_group);
    XFlush(x11_display());
}

static void start(void)
{
    read_keymap();
    /* Another layout may have come since. */
    bool is_same = spare.n > 0;
    for (int i = 0; i < 2 * spare.n; i++)
        is_same &= symbols_of[spare.codes[i / 2]][i % 2] == spare.symbols[i];
    if (!is_same)
        find_spare();
    change_state();
    next_round();
}

static bool is_any_key_down(void)
{
    char keys[32];
    XQueryKeymap(x11_display(), keys);
    for (size_t i = 0; i < sizeof keys; i++)
        if (keys[i])
            return true;
    return false;
}

static void wait_for_keys(void *data maybe_unused)
{
    if (!is_any_key_down() || typing.waited_us > KEYS_UP_US) {
        start();
        return;
    }
    typing.waited_us += SETTLE_US;
    alarm_set(&typing.task->alarm, SETTLE_US, wait_for_keys, NULL);
}

static void stop(struct task *task)
{
    for (int i = 0; i < typing.n_waiting; i++)
        if (typing.waiting[i] == task) {
            memmove(&typing.waiting[i], &typing.waiting[i + 1],
                    (size_t)(--typing.n_waiting - i) * sizeof *typing.waiting);
            return;
        }
    typing.task = NULL;
    restore_state();
    XSync(x11_display(), False);
    begin_drain();
}

static void begin_next(void)
{
    if (typing.task || typing.is_draining || typing.n_waiting == 0)
        return;
    struct task *task = typing.waiting[0];
    memmove(&typing.waiting[0], &typing.waiting[1],
            (size_t)--typing.n_waiting * sizeof *typing.waiting);
    typing.task = task;
    typing.at = typing.n_characters = typing.n_read = typing.n_rounds = 0;
    typing.waited_us = 0;
    typing.is_unsure = false;
    typing.delay_us = CLAMP(json_get_int(task->request, "delay_us", 0), 0, 10000000);
    alarm_stop(&keep);
    alarm_set(&task->alarm, SETTLE_US, wait_for_keys, NULL);
}

static bool is_typable(struct task *task)
{
    uint32_t c;
    size_t index = 0;
    for (size_t at = 0; at < task->in.size; index++) {
        int n = next_character(task->in.data + at, task->in.size - at, &c);
        if (n == 0) {
            task_fail(task, "untypable", "character %zu of the text is none that a key can make",
                      index);
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

void typing_begin(struct task *task)
{
    if (!is_typable(task))
        return;
    if (typing.n_waiting == WAITING_MAX) {
        task_fail(task, "busy", "too many texts are being typed");
        return;
    }
    task->stop = stop;
    typing.waiting[typing.n_waiting++] = task;
    begin_next();
}
