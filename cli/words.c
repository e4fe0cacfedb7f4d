/* An action is a word, its operands, and any further fields as NAME=VALUE:
 *
 *     scroll down 3 640,400 keys=ctrl
 *
 * A lone "," separates actions. That is unambiguous because the operands of type and of the key
 * words are taken as they are, whatever they look like: `type ,` types a comma, `key -` presses
 * minus. All other operands have a shape of their own (a point is "X,Y"), so optional ones need
 * no mark.
 *
 * Only the order of operands is known here; names, types and limits of the fields are the
 * daemon's. */
#include "cli/words.h"

#include "cli/request.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Operands, one letter each, in order:
 *   p  point            P  point, may be absent       d  path, two points or more
 *   s  direction        n  number of notches, may be absent
 *   k  chords, one or more        K  one chord        t  text
 *   m  milliseconds     f  what to wait for           r  region   R  region, may be absent */
static const struct word {
    const char *word, *type, *operands, *preset, *usage, *text;
} words[] = {
    { "move", "move", "p", NULL, "move X,Y", "Move the pointer." },
    { "click", "click", "P", NULL, "click [X,Y]",
      "Click the left button; button=, count=, keys= (held) change it." },
    { "double-click", "click", "P", "{\"count\":2}", "double-click [X,Y]", "Click twice." },
    { "triple-click", "click", "P", "{\"count\":3}", "triple-click [X,Y]", "Click three times." },
    { "right-click", "click", "P", "{\"button\":\"right\"}", "right-click [X,Y]",
      "Click the right button." },
    { "middle-click", "click", "P", "{\"button\":\"middle\"}", "middle-click [X,Y]",
      "Click the middle button." },
    { "button-down", "button_down", "P", NULL, "button-down [X,Y]",
      "Press the left button (button=) and keep it." },
    { "button-up", "button_up", "P", NULL, "button-up [X,Y]", "Release it." },
    { "drag", "drag", "d", NULL, "drag X,Y X,Y…",
      "Press at the first point, move over the others, release." },
    { "scroll", "scroll", "snP", NULL, "scroll up|down|left|right [NOTCHES] [X,Y]",
      "Turn the wheel (3 notches)." },
    { "key", "key", "k", NULL, "key CHORD…",
      "Press chords one after the other: ctrl+l, Return; repeat=, hold=." },
    { "key-down", "key_down", "K", NULL, "key-down CHORD", "Press keys and keep them." },
    { "key-up", "key_up", "K", NULL, "key-up CHORD", "Release them." },
    { "hold-key", "hold_key", "Km", NULL, "hold-key CHORD MS", "Hold keys for a time." },
    { "type", "type", "t", NULL, "type TEXT", "Type text, taken as it is; press_enter=true." },
    { "wait", "wait", "m", NULL, "wait MS", "Wait a fixed time." },
    { "wait-for", "wait_for", "f", NULL, "wait-for settled|change",
      "Wait until the screen does that; max_ms=." },
    { "screenshot", "screenshot", "", NULL, "screenshot",
      "Take a screenshot in between (see it with --json)." },
    { "zoom", "zoom", "r", NULL, "zoom X,Y,WIDTH,HEIGHT",
      "Take a screenshot of a part; width=, height= scale it." },
    { "cursor-position", "cursor_position", "", NULL, "cursor-position",
      "Tell where the pointer is." },
    { "release-all", "release_all", "", NULL, "release-all", "Release every key and button." },
};

/* The arguments that are left. */
struct rest {
    int argc;
    char *const *argv;
};

static const char *peek(const struct rest *rest)
{
    return rest->argc > 0 ? rest->argv[0] : NULL;
}

static const char *take(struct rest *rest)
{
    rest->argc--;
    return *rest->argv++;
}

static bool is_separator(const char *text)
{
    return strcmp(text, ",") == 0;
}

/* NAME=VALUE with a plain name; a chord such as "ctrl+=" is none. */
static bool is_assignment(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    return n > 0 && text[n] == '=';
}

/* Reads exactly n numbers split by ','; at most 4. out is only written when the text is as it
 * should. */
static bool parse_numbers(const char *text, double *out, int n)
{
    double v[4];
    for (int i = 0; text && i < n; i++) {
        char *end;
        v[i] = strtod(text, &end);
        if (end == text || !isfinite(v[i]) || *end != (i + 1 < n ? ',' : 0))
            return false;
        text = end + 1;
    }
    if (text)
        memcpy(out, v, (size_t)n * sizeof v[0]);
    return text;
}

/* Whole numbers stay integers. */
static json_t *number(double value)
{
    bool is_whole = value == floor(value) && fabs(value) < 1e15;
    return is_whole ? json_integer((json_int_t)value) : json_real(value);
}

static bool take_numbers(struct rest *rest, double *out, int n)
{
    if (!parse_numbers(peek(rest), out, n))
        return false;
    take(rest);
    return true;
}

static bool take_point(struct rest *rest, json_t *action)
{
    double v[2];
    if (!take_numbers(rest, v, 2))
        return false;
    json_object_set_new(action, "x", number(v[0]));
    json_object_set_new(action, "y", number(v[1]));
    return true;
}

static bool take_path(struct rest *rest, json_t *action)
{
    json_t *path = json_array();
    json_object_set_new(action, "path", path);
    for (double v[2]; take_numbers(rest, v, 2);)
        json_array_append_new(path, json_pack("[o,o]", number(v[0]), number(v[1])));
    return json_array_size(path) >= 2;
}

static bool take_region(struct rest *rest, json_t *action)
{
    double v[4];
    if (!take_numbers(rest, v, 4))
        return false;
    json_object_set_new(action, "region",
                        json_pack("{s:o,s:o,s:o,s:o}", "x", number(v[0]), "y", number(v[1]),
                                  "width", number(v[2]), "height", number(v[3])));
    return true;
}

static bool take_notches(struct rest *rest, json_t *action)
{
    double v = 3;
    take_numbers(rest, &v, 1);
    return json_object_set_new(action, "amount", number(v)) == 0;
}

static bool take_ms(struct rest *rest, json_t *action)
{
    double v;
    return take_numbers(rest, &v, 1) && json_object_set_new(action, "duration_ms", number(v)) == 0;
}

/* The next argument as it is. */
static bool take_text(struct rest *rest, json_t *action, const char *field)
{
    return peek(rest) && json_object_set_new(action, field, json_string(take(rest))) == 0;
}

static bool take_one_of(struct rest *rest, json_t *action, const char *field,
                        const char *const *values)
{
    for (; peek(rest) && *values; values++)
        if (strcmp(peek(rest), *values) == 0)
            return take_text(rest, action, field);
    return false;
}

/* The first chord as it is, more of them up to what is no chord. */
static bool take_chords(struct rest *rest, json_t *action)
{
    if (!take_text(rest, action, "keys"))
        return false;
    json_t *chords = NULL;
    while (peek(rest) && !is_separator(peek(rest)) && !is_assignment(peek(rest)) &&
           !request_is_option(peek(rest))) {
        if (!chords) {
            chords = json_pack("[O]", json_object_get(action, "keys"));
            json_object_set_new(action, "keys", chords);
        }
        if (json_array_append_new(chords, json_string(take(rest))) < 0)
            return false;
    }
    return true;
}

static bool take_operand(char kind, struct rest *rest, json_t *action)
{
    static const char *const directions[] = { "up", "down", "left", "right", NULL };
    static const char *const waits[] = { "settled", "change", NULL };
    switch (kind) {
    case 'p': return take_point(rest, action);
    case 'P': take_point(rest, action); return true;
    case 'd': return take_path(rest, action);
    case 's': return take_one_of(rest, action, "direction", directions);
    case 'n': return take_notches(rest, action);
    case 'k': return take_chords(rest, action);
    case 'K': return take_text(rest, action, "keys");
    case 't': return take_text(rest, action, "text");
    case 'm': return take_ms(rest, action);
    case 'f': return take_one_of(rest, action, "kind", waits);
    case 'r': return take_region(rest, action);
    default: return false;
    }
}

/* A value is JSON when it reads as such, else a string: count=2, keys=ctrl, region='{"x":…}'. */
static bool take_assignment(struct rest *rest, json_t *action)
{
    const char *text = take(rest), *value = strchr(text, '=') + 1;
    auto_free char *name = strndup(text, (size_t)(value - 1 - text));
    json_t *parsed = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return name && json_object_set_new(action, name, parsed ? parsed : json_string(value)) == 0;
}

static const struct word *find(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *a = words[i].word, *b = text;
        while (*a && (*a == *b || (*a == '-' && *b == '_')))
            a++, b++;
        if (!*a && !*b)
            return &words[i];
    }
    return NULL;
}

static int parse_one(json_t *actions, struct rest *rest, struct error *err)
{
    const char *name = peek(rest);
    const struct word *word = name ? find(name) : NULL;
    if (!name)
        return error_set(err, ERROR_MISSING_FIELD, "an action is missing after \",\"");
    if (!word)
        return error_set(err, ERROR_BAD_VALUE, "\"%.40s\" is no action; see `deskfarm help act`",
                         name);
    take(rest);
    json_t *action = json_pack("{s:s}", "type", word->type);
    json_array_append_new(actions, action);
    if (word->preset) {
        auto_json json_t *preset = json_loads(word->preset, 0, NULL);
        json_object_update(action, preset);
    }
    for (const char *kind = word->operands; *kind; kind++)
        if (!take_operand(*kind, rest, action))
            return error_set(err, ERROR_MISSING_FIELD, "expected `%s`", word->usage);
    while (peek(rest) && is_assignment(peek(rest)))
        if (!take_assignment(rest, action))
            return error_set(err, ERROR_BAD_VALUE, "a value of %s is not UTF-8", name);
    if (peek(rest) && !is_separator(peek(rest)) && !request_is_option(peek(rest)))
        return error_set(err, ERROR_BAD_VALUE,
                         "unexpected \"%.40s\" after %s; actions are separated by a lone \",\"",
                         peek(rest), name);
    return 0;
}

int words_parse(json_t *actions, int argc, char *const *argv, struct error *err)
{
    struct rest rest = { argc, argv };
    for (;;) {
        int r = parse_one(actions, &rest, err);
        if (r < 0)
            return r;
        if (!peek(&rest) || !is_separator(peek(&rest)))
            return argc - rest.argc;
        take(&rest);
    }
}

void words_print(void (*print)(const char *term, const char *text))
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        print(words[i].usage, words[i].text);
}
