/* The clipboard, both ways, by the rules for selections (ICCCM section 2).
 *
 *   clipboard.set {"selection", "type"}, input: the bytes → {"size"}
 *   clipboard.get {"selection", "type", "max"} → output: the bytes; {"type", "size", "targets"}
 *   clipboard.watch {"seen"} → {"changes"}, once that is another number than seen
 *   clipboard.reads {"seen"} → {"reads", "others"}, once reads is another number than seen, or after READS_US
 *
 * Setting makes our window the selection's owner: the contents stay here and are served to whoever
 * asks, until another program copies or this one ends. Getting asks the owner, the targets in the
 * order of preference; nobody owns it or none of its targets fits: "type" is null. What is larger
 * than CHUNK goes in pieces (INCR), in both directions. Changes of CLIPBOARD's owner are counted
 * (XFixes), but for our own: who set it knows. Programs that took the text of ours are counted too: reads by the
 * program that has the focus, which tells that a paste has arrived, and others, such as a clipboard's manager.
 *
 * Limits: GETS_MAX readers, SENDS_MAX transfers in pieces, WATCHES_MAX who wait, TRANSFER_US for a
 * program to go on. */
#include "images/agent/desktop/clipboard.h"

#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/x11.h"

#include <X11/Xatom.h>
#include <X11/extensions/Xfixes.h>
#include <stdio.h>
#include <string.h>

#define CHUNK (128 * 1024)
#define GETS_MAX 8
#define SENDS_MAX 16
#define WATCHES_MAX 8
#define TRANSFER_US 5000000
#define READS_US 3000000
#define CLIENT_BITS 21 /* of a window's number that its program chooses, where the server has at most 256 */
#define TARGETS_LISTED 64

/* --- What we own ------------------------------------------------------------------------------ */

static struct owned {
    struct bytes *bytes; /* NULL: not ours */
    bool is_image;
    Time since;
} owned[2]; /* CLIPBOARD, PRIMARY */

static Atom selection_atom(int i)
{
    return i == 0 ? x11_atom(X11_CLIPBOARD) : XA_PRIMARY;
}

static int selection_of(const struct task *task)
{
    return strcmp(json_get_string(task->request, "selection", "clipboard"), "primary") == 0;
}

static const enum x11_atom text_targets[] = {
    X11_UTF8_STRING, X11_TEXT_PLAIN_UTF8, X11_TEXT, X11_TEXT_PLAIN,
};

static bool has_target(const struct owned *self, Atom target)
{
    for (size_t i = 0; i < ARRAY_LEN(text_targets) && !self->is_image; i++)
        if (target == x11_atom(text_targets[i]))
            return true;
    return self->is_image ? target == x11_atom(X11_IMAGE_PNG) : target == XA_STRING;
}

static void put_targets(const struct owned *self, Window to, Atom property)
{
    Atom list[ARRAY_LEN(text_targets) + 3];
    int n = 0;
    list[n++] = x11_atom(X11_TARGETS);
    list[n++] = x11_atom(X11_TIMESTAMP);
    if (self->is_image)
        list[n++] = x11_atom(X11_IMAGE_PNG);
    for (size_t i = 0; i < ARRAY_LEN(text_targets) && !self->is_image; i++)
        list[n++] = x11_atom(text_targets[i]);
    if (!self->is_image)
        list[n++] = XA_STRING;
    XChangeProperty(x11_display(), to, property, XA_ATOM, 32, PropModeReplace, (uint8_t *)list, n);
}

/* Contents on their way in pieces: the next is put when the reader has deleted the last. */
static struct send {
    struct bytes *bytes; /* NULL: free */
    size_t at;
    bool is_last; /* the empty piece, which ends it, is there */
    Window to;
    Atom property, target;
    struct alarm alarm;
} sends[SENDS_MAX];

static void end_send(void *data)
{
    struct send *self = data;
    alarm_stop(&self->alarm);
    XSelectInput(x11_display(), self->to, NoEventMask);
    self->bytes = bytes_unref(self->bytes);
}

static bool begin_send(struct bytes *bytes, Window to, Atom property, Atom target)
{
    struct send *self = NULL;
    for (size_t i = 0; i < SENDS_MAX && !self; i++)
        self = sends[i].bytes ? NULL : &sends[i];
    if (!self)
        return false;
    long size = (long)bytes->size;
    *self = (struct send){
        .bytes = bytes_ref(bytes), .to = to, .property = property, .target = target
    };
    XSelectInput(x11_display(), to, PropertyChangeMask | StructureNotifyMask);
    XChangeProperty(x11_display(), to, property, x11_atom(X11_INCR), 32, PropModeReplace,
                    (uint8_t *)&size, 1);
    alarm_set(&self->alarm, TRANSFER_US, end_send, self);
    return true;
}

static void continue_send(struct send *self)
{
    size_t n = MIN(self->bytes->size - self->at, CHUNK);
    if (self->is_last) {
        end_send(self);
        return;
    }
    XChangeProperty(x11_display(), self->to, self->property, self->target, 8, PropModeReplace,
                    self->bytes->data + self->at, (int)n);
    self->at += n;
    self->is_last = n == 0;
    alarm_set(&self->alarm, TRANSFER_US, end_send, self);
}

/* Puts what was asked for; false when that cannot be had. */
static bool serve(const struct owned *self, Window to, Atom target, Atom property)
{
    Display *display = x11_display();
    if (!self->bytes)
        return false;
    if (target == x11_atom(X11_TARGETS)) {
        put_targets(self, to, property);
        return true;
    }
    if (target == x11_atom(X11_TIMESTAMP)) {
        long since = (long)self->since;
        XChangeProperty(display, to, property, XA_INTEGER, 32, PropModeReplace, (uint8_t *)&since,
                        1);
        return true;
    }
    if (!has_target(self, target))
        return false;
    Atom type = target == x11_atom(X11_TEXT) ? x11_atom(X11_UTF8_STRING) : target;
    if (self->bytes->size > CHUNK)
        return begin_send(self->bytes, to, property, type);
    XChangeProperty(display, to, property, type, 8, PropModeReplace, self->bytes->data,
                    (int)self->bytes->size);
    return true;
}

/* --- Who took it ------------------------------------------------------------------------------ */

static int64_t n_reads, n_others;
static struct task *readings[WATCHES_MAX];

static void tell_reads(void *data)
{
    struct task *task = data;
    task_finish(task, json_pack("{s:I, s:I}", "reads", (json_int_t)n_reads, "others", (json_int_t)n_others));
}

static void stop_reading(struct task *task)
{
    struct task **place = task->state;
    *place = NULL;
}

static void count_read(Window by)
{
    Window focus = None;
    int revert;
    XGetInputFocus(x11_display(), &focus, &revert);
    if (focus >> CLIENT_BITS != by >> CLIENT_BITS) {
        n_others++;
        return;
    }
    n_reads++;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (readings[i])
            tell_reads(readings[i]);
}

void clipboard_reads(struct task *task)
{
    struct task **place = NULL;
    for (size_t i = 0; i < WATCHES_MAX && !place; i++)
        place = readings[i] ? NULL : &readings[i];
    if (json_get_int(task->request, "seen", -1) != n_reads) {
        tell_reads(task);
    } else if (!place) {
        task_fail(task, "busy", "the clipboard is being watched too often at once");
    } else {
        *place = task;
        task->state = place;
        task->stop = stop_reading;
        alarm_set(&task->alarm, READS_US, tell_reads, task);
    }
}

static void handle_request(const XSelectionRequestEvent *request)
{
    Atom property = request->property ? request->property : request->target; /* old clients */
    int i = request->selection == XA_PRIMARY;
    bool is_good = request->selection == selection_atom(i) &&
                   serve(&owned[i], request->requestor, request->target, property);
    XEvent answer = { .xselection = { .type = SelectionNotify, .requestor = request->requestor,
                                      .selection = request->selection, .target = request->target,
                                      .property = is_good ? property : None,
                                      .time = request->time } };
    XSendEvent(x11_display(), request->requestor, False, NoEventMask, &answer);
    if (is_good && i == 0 && has_target(&owned[i], request->target))
        count_read(request->requestor);
}

static void forget(int i)
{
    owned[i].bytes = bytes_unref(owned[i].bytes);
}

void clipboard_set(struct task *task)
{
    int i = selection_of(task);
    bool is_image = strcmp(json_get_string(task->request, "type", "text"), "image") == 0;
    if (is_image && !clipboard_is_png(task->in.data, task->in.size)) {
        task_fail(task, "bad_value", "the image is no PNG");
        return;
    }
    struct bytes *bytes =
        bytes_copy(task->in.data ? task->in.data : (const void *)"", task->in.size);
    if (!bytes) {
        task_fail(task, "no_memory", "no memory for the clipboard");
        return;
    }
    forget(i);
    owned[i] = (struct owned){ .bytes = bytes, .is_image = is_image, .since = x11_time() };
    XSetSelectionOwner(x11_display(), selection_atom(i), x11_window(), owned[i].since);
    if (XGetSelectionOwner(x11_display(), selection_atom(i)) != x11_window()) {
        forget(i);
        task_fail(task, "failed", "another program holds the clipboard");
        return;
    }
    task_finish(task, json_pack("{s:I}", "size", (json_int_t)bytes->size));
}

/* --- What others own -------------------------------------------------------------------------- */

static struct get {
    struct task *task; /* NULL: free */
    Atom property, target;
    int n_tried;
    bool in_pieces;
    size_t max;
    json_t *targets;
} gets[GETS_MAX];

static void stop_get(struct task *task)
{
    struct get *self = task->state;
    XDeleteProperty(x11_display(), x11_window(), self->property);
    json_decref(self->targets);
    self->targets = NULL;
    self->task = NULL;
}

static void finish_get(struct task *task, const char *type, json_t *targets)
{
    json_t *result = json_pack("{s:s?, s:I}", "type", type, "size", (json_int_t)task->out.size);
    if (targets)
        json_object_set(result, "targets", targets);
    task_finish(task, result);
}

static void handle_late(void *data)
{
    task_fail(data, "timeout", "the program that owns the clipboard does not answer");
}

static void ask(struct get *self, Atom target)
{
    self->target = target;
    self->in_pieces = false;
    alarm_set(&self->task->alarm, TRANSFER_US, handle_late, self->task);
    XConvertSelection(x11_display(), selection_atom(selection_of(self->task)), target,
                      self->property, x11_window(), CurrentTime);
}

static bool wants_image(const struct get *self)
{
    return strcmp(json_get_string(self->task->request, "type", "text"), "image") == 0;
}

/* The next target, after the owner had not the last one. */
static void ask_next(struct get *self)
{
    static const enum x11_atom texts[] = { X11_UTF8_STRING, X11_TEXT_PLAIN_UTF8 };
    int n = self->n_tried++;
    if (wants_image(self) && n == 0)
        ask(self, x11_atom(X11_IMAGE_PNG));
    else if (!wants_image(self) && n < (int)ARRAY_LEN(texts))
        ask(self, x11_atom(texts[n]));
    else if (!wants_image(self) && n == (int)ARRAY_LEN(texts))
        ask(self, XA_STRING);
    else
        finish_get(self->task, NULL, self->targets);
}

/* STRING is Latin-1. */
static int append_latin1(struct buf *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t two[2] = { (uint8_t)(0xc0 | bytes[i] >> 6), (uint8_t)(0x80 | (bytes[i] & 0x3f)) };
        int r = bytes[i] < 0x80 ? buf_append(out, &bytes[i], 1) : buf_append(out, two, 2);
        if (r < 0)
            return r;
    }
    return 0;
}

static void end_get(struct get *self)
{
    struct buf *out = &self->task->out;
    bool is_image = wants_image(self);
    /* There are programs that give their text whatever they are asked for. */
    if (is_image && !clipboard_is_png(out->data, out->size))
        out->size = 0;
    finish_get(self->task, !is_image ? "text" : out->size ? "image" : NULL, self->targets);
}

static void fail_too_large(struct get *self)
{
    task_fail(self->task, "too_large", "the clipboard holds more than %zu bytes", self->max);
}

/* Takes a property's bytes. 1: good; 0: too large, the task is gone. */
static int take(struct get *self, const uint8_t *bytes, size_t size)
{
    struct buf *out = &self->task->out;
    int r = out->size + size > self->max       ? -1
            : self->target == XA_STRING ? append_latin1(out, bytes, size)
                                        : buf_append(out, bytes, size);
    if (r < 0)
        fail_too_large(self);
    return r >= 0;
}

/* Reads and deletes the property; a reader's deletion is what asks for the next piece. */
static void read_property(struct get *self)
{
    Atom type = None;
    int format;
    unsigned long n = 0, rest = 0;
    unsigned char *data = NULL;
    XGetWindowProperty(x11_display(), x11_window(), self->property, 0, TASK_OUTPUT_MAX / 4, True,
                       AnyPropertyType, &type, &format, &n, &rest, &data);
    bool is_incr = type == x11_atom(X11_INCR) && !self->in_pieces;
    bool is_end = !is_incr && (!self->in_pieces || n == 0);
    if (is_incr) {
        self->in_pieces = true;
        alarm_set(&self->task->alarm, TRANSFER_US, handle_late, self->task);
    } else if (rest > 0) {
        fail_too_large(self);
    } else if (format == 8 && n > 0 && !take(self, data, n)) {
        is_end = false;
    } else if (is_end) {
        end_get(self);
    } else {
        alarm_set(&self->task->alarm, TRANSFER_US, handle_late, self->task);
    }
    if (data)
        XFree(data);
}

static void read_targets(struct get *self)
{
    size_t n;
    Atom *atoms = x11_property(x11_window(), self->property, XA_ATOM, 32, &n);
    char *names[TARGETS_LISTED] = { NULL };
    n = MIN(n, TARGETS_LISTED);
    if (atoms && XGetAtomNames(x11_display(), atoms, (int)n, names))
        for (size_t i = 0; i < n; i++)
            json_array_append_new(self->targets, json_string(names[i]));
    for (size_t i = 0; i < n; i++)
        if (names[i])
            XFree(names[i]);
    if (atoms)
        XFree(atoms);
    XDeleteProperty(x11_display(), x11_window(), self->property);
}

static void handle_notify(const XSelectionEvent *event)
{
    for (size_t i = 0; i < GETS_MAX; i++) {
        struct get *self = &gets[i];
        if (!self->task || event->target != self->target ||
            (event->property != None && event->property != self->property) ||
            event->selection != selection_atom(selection_of(self->task)))
            continue;
        if (self->target == x11_atom(X11_TARGETS)) {
            if (event->property != None)
                read_targets(self);
            ask_next(self);
        } else if (event->property == None) {
            ask_next(self);
        } else {
            read_property(self);
        }
        return;
    }
}

static void finish_own(struct task *task, const struct owned *own)
{
    bool wants = strcmp(json_get_string(task->request, "type", "text"), "image") == 0;
    if (own->is_image == wants)
        buf_append(&task->out, own->bytes->data, own->bytes->size);
    const char *type = own->is_image != wants ? NULL : wants ? "image" : "text";
    auto_json json_t *targets = json_pack("[s]", own->is_image ? "image/png" : "UTF8_STRING");
    finish_get(task, type, targets);
}

void clipboard_get(struct task *task)
{
    int i = selection_of(task);
    Window owner = XGetSelectionOwner(x11_display(), selection_atom(i));
    struct get *self = NULL;
    for (size_t j = 0; j < GETS_MAX && !self; j++)
        self = gets[j].task ? NULL : &gets[j];
    if (owner == None) {
        finish_get(task, NULL, NULL);
    } else if (owner == x11_window() && owned[i].bytes) {
        finish_own(task, &owned[i]);
    } else if (!self) {
        task_fail(task, "busy", "the clipboard is being read too often at once");
    } else {
        char name[32];
        snprintf(name, sizeof name, "_DESKFARM_GET_%d", (int)(self - gets));
        *self = (struct get){ .task = task, .targets = json_array() };
        self->property = XInternAtom(x11_display(), name, False);
        self->max =
            (size_t)CLAMP(json_get_int(task->request, "max", TASK_INPUT_MAX), 0, TASK_OUTPUT_MAX);
        task->state = self;
        task->stop = stop_get;
        ask(self, x11_atom(X11_TARGETS));
    }
}

/* --- Watching --------------------------------------------------------------------------------- */

static struct task *watches[WATCHES_MAX];
static int64_t n_changes;
static int fixes_event; /* XFixes' first event; 0: not asked, -1: there is no XFixes */

static bool begin_counting(void)
{
    int error;
    if (fixes_event)
        return fixes_event > 0;
    if (!XFixesQueryExtension(x11_display(), &fixes_event, &error)) {
        fixes_event = -1;
        return false;
    }
    XFixesSelectSelectionInput(x11_display(), x11_window(), x11_atom(X11_CLIPBOARD),
                               XFixesSetSelectionOwnerNotifyMask);
    return true;
}

static void tell_changes(struct task *task)
{
    task_finish(task, json_pack("{s:I}", "changes", (json_int_t)n_changes));
}

static void handle_owner(const XFixesSelectionNotifyEvent *event)
{
    if (event->owner == x11_window() || event->owner == None)
        return;
    n_changes++;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (watches[i])
            tell_changes(watches[i]);
}

static void stop_watch(struct task *task)
{
    struct task **place = task->state;
    *place = NULL;
}

void clipboard_watch(struct task *task)
{
    struct task **place = NULL;
    for (size_t i = 0; i < WATCHES_MAX && !place; i++)
        place = watches[i] ? NULL : &watches[i];
    if (!begin_counting()) {
        task_fail(task, "unsupported", "the X server has no XFixes");
    } else if (json_get_int(task->request, "seen", -1) != n_changes) {
        tell_changes(task);
    } else if (!place) {
        task_fail(task, "busy", "the clipboard is being watched too often at once");
    } else {
        *place = task;
        task->state = place;
        task->stop = stop_watch;
    }
}

/* --- Events ----------------------------------------------------------------------------------- */

static void handle_property(const XPropertyEvent *event)
{
    for (size_t i = 0; i < SENDS_MAX && event->state == PropertyDelete; i++)
        if (sends[i].bytes && sends[i].to == event->window && sends[i].property == event->atom) {
            continue_send(&sends[i]);
            return;
        }
    for (size_t i = 0; i < GETS_MAX && event->state == PropertyNewValue; i++)
        if (gets[i].task && gets[i].in_pieces && event->window == x11_window() &&
            gets[i].property == event->atom) {
            read_property(&gets[i]);
            return;
        }
}

void clipboard_event(const XEvent *event)
{
    if (fixes_event > 0 && event->type == fixes_event + XFixesSelectionNotify)
        handle_owner((const XFixesSelectionNotifyEvent *)event);
    else if (event->type == SelectionRequest)
        handle_request(&event->xselectionrequest);
    else if (event->type == SelectionClear)
        forget(event->xselectionclear.selection == XA_PRIMARY);
    else if (event->type == SelectionNotify)
        handle_notify(&event->xselection);
    else if (event->type == PropertyNotify)
        handle_property(&event->xproperty);
    else if (event->type == DestroyNotify)
        for (size_t i = 0; i < SENDS_MAX; i++)
            if (sends[i].bytes && sends[i].to == event->xdestroywindow.window)
                end_send(&sends[i]);
}
