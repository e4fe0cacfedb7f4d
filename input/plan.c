/* Every action is a few presses around a few events. The pauses are what guests need: a press and
 * release 0 ms apart is lost on programs that look at input once per frame, a drag without motion
 * in between is a click, and two clicks must fall into the guest's double-click time (400–500 ms)
 * without looking like one. */
#include "input/plan.h"

#include "input/held.h"
#include "input/text.h"

#include <errno.h>
#include <math.h>
#include <xkbcommon/xkbcommon.h>

enum {
    HOVER_MS = 8,        /* between a move and what is done there */
    KEY_GAP_MS = 12,     /* between chords, and between a held key and what it modifies */
    NOTCH_GAP_MS = 6,    /* between notches of the wheel */
    MOVE_STEP_MS = 10,   /* between the events of a slow move */
    DRAG_STEP_PX = 40,   /* a drag's longest hop */
    DRAG_STEPS_MAX = 32, /* per segment of its path */
    DRAG_STEPS_MIN = 4,  /* per segment, when the path is only two points */
    PIXELS_PER_NOTCH = 120,
};

int plan_add(struct plan *self, struct step step)
{
    if (self->n_steps == self->capacity) {
        size_t capacity = MAX(self->capacity * 2, 32);
        struct step *steps = self->n_steps < PLAN_STEPS_MAX
                                 ? realloc(self->steps, capacity * sizeof *steps)
                                 : NULL;
        if (!steps)
            return -ENOMEM;
        self->steps = steps;
        self->capacity = capacity;
    }
    self->steps[self->n_steps++] = step;
    if (step.kind == STEP_PAUSE)
        self->pause_ms += step.value;
    return 0;
}

void plan_deinit(struct plan *self)
{
    free(self->steps);
    *self = (struct plan){ 0 };
}

/* A plan in the making. The first failure sticks, so that actions below read as a list of steps. */
struct draft {
    struct plan *plan;
    struct plan_context *context;
    struct error *err;
    int r;
};

static void add(struct draft *d, struct step step)
{
    if (d->r < 0)
        return;
    d->r = plan_add(d->plan, step);
    if (d->r < 0)
        error_errno(d->err, -d->r, "planning the action");
}

static void add_pause(struct draft *d, int ms)
{
    add(d, (struct step){ .kind = STEP_PAUSE, .value = ms });
}

static void add_key(struct draft *d, uint16_t code, bool is_down)
{
    add(d, (struct step){ .kind = STEP_KEY, .code = code, .is_down = is_down });
}

static void add_button(struct draft *d, int button, bool is_down)
{
    add(d, (struct step){ .kind = STEP_BUTTON, .code = (uint16_t)button, .is_down = is_down });
}

static void add_move(struct draft *d, int fx, int fy)
{
    add(d, (struct step){ .kind = STEP_MOVE, .fx = (int16_t)fx, .fy = (int16_t)fy });
}

static void map_point(struct draft *d, double x, double y, int *ret_fx, int *ret_fy)
{
    *ret_fx = *ret_fy = 0;
    if (d->r >= 0)
        d->r = space_to_native(d->context->space, x, y, ret_fx, ret_fy, d->err);
}

/* --- Keys ------------------------------------------------------------------------------------- */

/* Keys of a chord in the order of their presses, with the modifiers that their level needs. */
struct press_list {
    uint16_t codes[CHORD_MAX * 3];
    int n_codes;
};

static void set_missing_key(struct draft *d, uint32_t keysym)
{
    char name[64];
    if (xkb_keysym_get_name(keysym, name, sizeof name) < 0)
        name[0] = 0;
    d->r = error_set(d->err, ERROR_UNTYPABLE, "the key %s is not on the guest's keyboard",
                     name);
}

static bool has_key(const struct draft *d, uint16_t code)
{
    return !d->context->has_key || d->context->has_key(code);
}

static void list_presses(struct draft *d, const struct chord *chord, struct press_list *list)
{
    static const uint8_t all[] = { KEYMAP_LEVEL3, KEYMAP_SHIFT };
    const struct keymap *keymap = d->context->keymap;
    list->n_codes = 0;
    for (int i = 0; i < chord->n_keys && d->r >= 0; i++) {
        struct keymap_stroke stroke;
        if (!keymap_find_keysym(keymap, chord->keysyms[i], &stroke) || !has_key(d, stroke.code)) {
            set_missing_key(d, chord->keysyms[i]);
            return;
        }
        for (size_t j = 0; j < ARRAY_LEN(all); j++) {
            if (stroke.modifiers & all[j])
                list->codes[list->n_codes++] = keymap_modifier_code(keymap, all[j]);
        }
        list->codes[list->n_codes++] = stroke.code;
    }
}

static void add_presses(struct draft *d, const struct press_list *list)
{
    for (int i = 0; i < list->n_codes; i++)
        add_key(d, list->codes[i], true);
}

static void add_releases(struct draft *d, const struct press_list *list)
{
    for (int i = list->n_codes; i-- > 0;)
        add_key(d, list->codes[i], false);
}

/* A character behind a dead key is no chord but two strokes. */
static bool add_dead_character(struct draft *d, const struct chord *chord)
{
    struct keymap_stroke stroke;
    char text[8];
    if (d->r < 0 || chord->n_keys != 1 ||
        keymap_find_keysym(d->context->keymap, chord->keysyms[0], &stroke))
        return false;
    int size = xkb_keysym_to_utf8(chord->keysyms[0], text, sizeof text);
    if (size < 2)
        return false;
    return text_plan(d->plan, d->context->keymap, TEXT_KEYS, text, (size_t)size - 1, 0, NULL) >= 0;
}

static void add_chord(struct draft *d, const struct chord *chord, int hold_ms)
{
    struct press_list list;
    if (add_dead_character(d, chord))
        return;
    list_presses(d, chord, &list);
    add_presses(d, &list);
    add_pause(d, hold_ms);
    add_releases(d, &list);
}

static void plan_key(struct draft *d, const struct action *a)
{
    for (int i = 0; i < a->repeat && d->r >= 0; i++) {
        for (size_t j = 0; j < a->keys.n_chords && d->r >= 0; j++) {
            if (i > 0 || j > 0)
                add_pause(d, KEY_GAP_MS);
            add_chord(d, &a->keys.chords[j], a->hold_ms);
        }
    }
}

static void plan_key_down(struct draft *d, const struct action *a)
{
    struct press_list list;
    list_presses(d, &a->keys.chords[0], &list);
    add_presses(d, &list);
    for (int i = 0; i < list.n_codes; i++)
        add(d, (struct step){ .kind = STEP_LATCH, .code = held_key(list.codes[i]) });
}

static void plan_key_up(struct draft *d, const struct action *a)
{
    struct press_list list;
    list_presses(d, &a->keys.chords[0], &list);
    for (int i = list.n_codes; i-- > 0;)
        add(d, (struct step){ .kind = STEP_UNLATCH, .code = held_key(list.codes[i]) });
}

static void plan_type(struct draft *d, const struct action *a)
{
    if (d->r >= 0)
        d->r = text_plan(d->plan, d->context->keymap, (enum text_route)a->route, a->text, a->text_size, a->delay_ms, d->err);
    if (a->press_enter) {
        add_key(d, KEY_ENTER, true);
        add_key(d, KEY_ENTER, false);
    }
}

/* --- Pointer ---------------------------------------------------------------------------------- */

static void add_place(struct draft *d, const struct action *a)
{
    int fx, fy;
    if (!a->has_x)
        return;
    map_point(d, a->x, a->y, &fx, &fy);
    add_move(d, fx, fy);
    add_pause(d, HOVER_MS);
}

/* Motion from one point to another in n equal hops; the first point itself is not sent. */
static void add_hops(struct draft *d, int fx0, int fy0, int fx1, int fy1, int n, int step_ms)
{
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            add_pause(d, step_ms);
        add_move(d, fx0 + (int)lround((double)(fx1 - fx0) * i / n),
                 fy0 + (int)lround((double)(fy1 - fy0) * i / n));
    }
}

static void plan_move(struct draft *d, const struct action *a)
{
    int fx, fy;
    map_point(d, a->x, a->y, &fx, &fy);
    int n = d->context->has_pointer ? MAX(a->duration_ms / MOVE_STEP_MS, 1) : 1;
    add_hops(d, d->context->fx, d->context->fy, fx, fy, n, MOVE_STEP_MS);
}

static void plan_click(struct draft *d, const struct action *a)
{
    add_place(d, a);
    for (int i = 0; i < a->count; i++) {
        if (i > 0)
            add_pause(d, a->interval_ms);
        add_button(d, a->button, true);
        add_pause(d, a->hold_ms);
        add_button(d, a->button, false);
    }
}

static void plan_button_down(struct draft *d, const struct action *a)
{
    add_place(d, a);
    add_button(d, a->button, true);
    add(d, (struct step){ .kind = STEP_LATCH, .code = held_button((enum button)a->button) });
}

static void plan_button_up(struct draft *d, const struct action *a)
{
    add_place(d, a);
    add(d, (struct step){ .kind = STEP_UNLATCH, .code = held_button((enum button)a->button) });
}

static void plan_drag(struct draft *d, const struct action *a)
{
    const struct action_path *path = &a->path;
    int fx0, fy0, fx1, fy1;
    map_point(d, path->points[0].x, path->points[0].y, &fx0, &fy0);
    add_move(d, fx0, fy0);
    add_pause(d, HOVER_MS);
    add_button(d, a->button, true);
    add_pause(d, a->hold_before_ms);
    for (size_t i = 1; i < path->n_points && d->r >= 0; i++) {
        if (i > 1)
            add_pause(d, a->step_ms);
        map_point(d, path->points[i].x, path->points[i].y, &fx1, &fy1);
        int n = (int)ceil(hypot(fx1 - fx0, fy1 - fy0) / DRAG_STEP_PX);
        n = CLAMP(n, path->n_points == 2 ? DRAG_STEPS_MIN : 1, DRAG_STEPS_MAX);
        add_hops(d, fx0, fy0, fx1, fy1, n, a->step_ms);
        fx0 = fx1;
        fy0 = fy1;
    }
    add_pause(d, a->hold_after_ms);
    add_button(d, a->button, false);
}

static void add_notches(struct draft *d, enum wheel_axis axis, int notches, bool *is_first)
{
    for (int i = 0; i < abs(notches); i++) {
        if (!*is_first)
            add_pause(d, NOTCH_GAP_MS);
        *is_first = false;
        add(d, (struct step){
                   .kind = STEP_WHEEL, .code = (uint16_t)axis, .value = notches > 0 ? 1 : -1 });
    }
}

/* Whole notches now, the rest with the next scroll that goes the same way. */
static int take_notches(double *rest, double distance)
{
    if (*rest * distance < 0)
        *rest = 0;
    /* 0.1 ten times is one notch. */
    double total = *rest + distance, whole = trunc(total + copysign(1e-9, total));
    *rest = distance == 0 ? *rest : total - whole;
    return distance == 0 ? 0 : (int)whole;
}

static void plan_scroll(struct draft *d, const struct action *a)
{
    double dx = a->dx, dy = a->dy, per = a->unit == SCROLL_PIXEL ? PIXELS_PER_NOTCH : 1;
    bool is_first = true;
    if (a->has_direction) {
        dx = a->direction == SCROLL_LEFT    ? -a->amount
             : a->direction == SCROLL_RIGHT ? a->amount
                                            : 0;
        dy = a->direction == SCROLL_UP ? -a->amount : a->direction == SCROLL_DOWN ? a->amount : 0;
    }
    add_place(d, a);
    if (d->r < 0)
        return;
    double *rest = d->context->wheel_rest;
    add_notches(d, WHEEL_VERTICAL, take_notches(&rest[WHEEL_VERTICAL], dy / per), &is_first);
    add_notches(d, WHEEL_HORIZONTAL, take_notches(&rest[WHEEL_HORIZONTAL], dx / per), &is_first);
}

/* --- All -------------------------------------------------------------------------------------- */

static void plan_held_key(struct draft *d, const struct action *a)
{
    add_chord(d, &a->keys.chords[0], a->duration_ms);
}

static void plan_wait(struct draft *d, const struct action *a)
{
    add_pause(d, a->duration_ms);
}

static void plan_cursor_position(struct draft *d, const struct action *a maybe_unused)
{
    if (!d->context->has_pointer)
        d->r = error_set(d->err, ERROR_CONFLICT,
                         "nobody knows where the pointer is: move it first");
}

static void plan_release_all(struct draft *d, const struct action *a maybe_unused)
{
    add(d, (struct step){ .kind = STEP_CLEAR });
}

static void (*const planners[ACTION_COUNT])(struct draft *, const struct action *) = {
    [ACTION_MOVE] = plan_move,
    [ACTION_CLICK] = plan_click,
    [ACTION_BUTTON_DOWN] = plan_button_down,
    [ACTION_BUTTON_UP] = plan_button_up,
    [ACTION_DRAG] = plan_drag,
    [ACTION_SCROLL] = plan_scroll,
    [ACTION_KEY] = plan_key,
    [ACTION_KEY_DOWN] = plan_key_down,
    [ACTION_KEY_UP] = plan_key_up,
    [ACTION_HOLD_KEY] = plan_held_key,
    [ACTION_TYPE] = plan_type,
    [ACTION_WAIT] = plan_wait,
    [ACTION_CURSOR_POSITION] = plan_cursor_position,
    [ACTION_RELEASE_ALL] = plan_release_all,
};

int plan_action(struct plan *ret, const struct action *action, struct plan_context *context,
                struct error *err)
{
    *ret = (struct plan){ 0 };
    struct plan plan = { 0 };
    struct plan_context changed = *context;
    struct draft d = { &plan, &changed, err, 0 };
    if (!action_is_played(action))
        return error_set(err, ERROR_INTERNAL, "%s is no input", action_table[action->type].name);
    struct press_list held;
    list_presses(&d, &action->held, &held);
    add_presses(&d, &held);
    if (held.n_codes > 0)
        add_pause(&d, KEY_GAP_MS);
    planners[action->type](&d, action);
    if (held.n_codes > 0)
        add_pause(&d, KEY_GAP_MS);
    add_releases(&d, &held);
    if (d.r >= 0 && plan.pause_ms > ACTION_WAIT_MAX_MS)
        d.r = error_set(err, ERROR_BAD_VALUE, "%s would take %lld s, more than %d",
                        action_table[action->type].name, (long long)plan.pause_ms / 1000,
                        ACTION_WAIT_MAX_MS / 1000);
    if (d.r < 0) {
        plan_deinit(&plan);
        return d.r;
    }
    *context = changed;
    *ret = plan;
    return 0;
}
