/* The parts of deskfarm-desktop that need no desktop: desktop entries, ids of nodes, lists of
 * objects. */
#include "images/agent/answer.h"
#include "images/agent/desktop/a11y-tree.h"
#include "images/agent/desktop/entry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

/* --- Desktop entries -------------------------------------------------------------------------- */

/* The arguments of an Exec line, joined by "|". */
static const char *command(const char *exec, const char *url1, const char *url2)
{
    static char joined[ENTRY_TEXT_MAX], room[2 * ENTRY_TEXT_MAX], text[ENTRY_TEXT_MAX];
    const char *urls[] = { url1, url2 }, *argv[ENTRY_ARGS_MAX + 1];
    struct entry entry;
    snprintf(text, sizeof text, "[Desktop Entry]\nName=Ed\nName[de]=Editor\nExec=%s\n", exec);
    if (!entry_parse(text, strlen(text), &entry))
        return "(none)";
    int n = entry_command(&entry, urls, url2 ? 2 : url1 ? 1 : 0, room, argv);
    joined[0] = '\0';
    for (int i = 0; i < n; i++)
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i ? "|" : "",
                 argv[i]);
    return joined;
}

Test(entry, command_lines)
{
    static const struct {
        const char *exec, *url1, *url2, *expected;
    } rows[] = {
        { "mousepad", NULL, NULL, "mousepad" },
        { "mousepad %U", NULL, NULL, "mousepad" },
        { "mousepad %U", "a", "b", "mousepad|a|b" },
        { "mousepad %u", "a", "b", "mousepad|a" },
        { "mousepad %f --x", "file:///tmp/a", NULL, "mousepad|/tmp/a|--x" },
        { "app --url=%u", "http://x/", NULL, "app|--url=http://x/" },
        { "app %i %c %k", NULL, NULL, "app|Ed" },
        { "app --title %c", NULL, NULL, "app|--title|Ed" },
        { "app 100%%", NULL, NULL, "app|100%" },
        { "\"/opt/a b/app\" \"x\\\\\"y\"", NULL, NULL, "/opt/a b/app|x\"y" },
        { "app \\\\sx", NULL, NULL, "app|\\sx" },
        { "app\\sx", NULL, NULL, "app|x" },
        { "  app   x  ", NULL, NULL, "app|x" },
        { "app \"unclosed", NULL, NULL, "" },
        { "app ; rm -rf $HOME `x`", NULL, NULL, "app|;|rm|-rf|$HOME|`x`" },
        { "%u", "http://x/", NULL, "http://x/" },
        { "\"\"", NULL, NULL, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(str, (char *)(uintptr_t)command(rows[i].exec, rows[i].url1, rows[i].url2),
                     (char *)(uintptr_t)rows[i].expected), "%s", rows[i].exec);
}

Test(entry, only_its_own_group_counts)
{
    static const char text[] =
        "# comment\r\n[Other]\r\nExec=bad\r\n[Desktop Entry]\r\nType=Application\r\n"
        "Exec = good %F\r\nStartupWMClass=Good\r\nPath=/opt\r\nTerminal=true\r\n"
        "[Desktop Action New]\r\nExec=bad2\r\nName=bad";
    struct entry entry;
    cr_assert(entry_parse(text, sizeof text - 1, &entry));
    cr_assert(eq(str, entry.exec, "good %F"));
    cr_assert(eq(str, entry.class, "Good"));
    cr_assert(eq(str, entry.path, "/opt"));
    cr_assert(eq(str, entry.name, ""));
    cr_assert(entry.is_terminal);
}

Test(entry, without_a_command_or_hidden_it_starts_nothing)
{
    static const char hidden[] = "[Desktop Entry]\nExec=x\nHidden=true\n",
                      none[] = "[Desktop Entry]\nName=x\n";
    struct entry entry;
    cr_assert(not(entry_parse(hidden, sizeof hidden - 1, &entry)));
    cr_assert(not(entry_parse(none, sizeof none - 1, &entry)));
    cr_assert(not(entry_parse("", 0, &entry)));
}

/* --- Ids -------------------------------------------------------------------------------------- */

Test(a11y, ids_come_back)
{
    static const struct {
        const char *bus, *path;
    } rows[] = {
        { ":1.5", "/org/a11y/atspi/accessible/27" },
        { ":1.123", "/org/a11y/atspi/accessible/root" },
        { ":1.7", "/some/other/place" },
        { ":1.7", "/org/a11y/atspi/accessible/a/b_c" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct a11y_ref ref = { .path = (char *)(uintptr_t)rows[i].path };
        char id[A11Y_ID_MAX], bus[32], path[256];
        snprintf(ref.bus, sizeof ref.bus, "%s", rows[i].bus);
        cr_assert(a11y_id_write(&ref, 0x9c1e, id));
        int r = a11y_id_read(id, 0x9c1e, bus, path);
        cr_assert(eq(int, r, 0), "%s", id);
        cr_assert(eq(str, bus, (char *)(uintptr_t)rows[i].bus));
        cr_assert(eq(str, path, (char *)(uintptr_t)rows[i].path));
        r = a11y_id_read(id, 0x9c1f, bus, path);
        cr_assert(eq(int, r, 1), "of another session");
    }
}

Test(a11y, what_is_no_id)
{
    static const char *const rows[] = {
        "",
        "9c1e",
        "9c1e.5",
        "9c1e.5-",
        "9c1e.-27",
        "xyz.5-27",
        "9c1e.5-27/28",
        "9c1e.5-../x",
        "9c1e.5-27.",
        "9c1e.5-a b",
        "9c1e.5-27\n",
        "-9c1e.5-1",
        "9c1e.5555555555555555555-1",
    };
    char bus[32], path[256];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int r = a11y_id_read(rows[i], 0x9c1e, bus, path);
        cr_assert(lt(int, r, 0), "%s", rows[i]);
    }
}

/* --- Trees ------------------------------------------------------------------------------------ */

static void add(struct a11y_tree *tree, const char *path, const char *parent, int index)
{
    struct a11y_item *item = a11y_tree_add_item(tree, ":1.1", path, ":1.1", parent);
    cr_assert_not_null(item);
    item->index = index;
}

Test(a11y, children_are_those_of_the_list_when_it_is_whole)
{
    static struct a11y_tree tree;
    const struct a11y_item *items[3];
    struct a11y_ref root = { ":1.1", (char *)(uintptr_t)"/root" };
    add(&tree, "/b", "/root", 1);
    add(&tree, "/c", "/b", 0);
    add(&tree, "/a", "/root", 0);
    cr_assert(a11y_tree_children(&tree, &root, 2, items));
    cr_assert(eq(str, items[0]->ref.path, (char *)(uintptr_t)"/a"));
    cr_assert(eq(str, items[1]->ref.path, (char *)(uintptr_t)"/b"));
    cr_assert(not(a11y_tree_children(&tree, &root, 3, items)), "one is missing");
    cr_assert(not(a11y_tree_children(&tree, &root, 1, items)), "one is too many");
    add(&tree, "/d", "/root", 1);
    cr_assert(not(a11y_tree_children(&tree, &root, 3, items)), "two at one place");
    a11y_tree_deinit(&tree);
}

Test(a11y, texts_are_cut_between_characters)
{
    bool is_cut;
    auto_free char *text = a11y_copy("aé世", 4, &is_cut);
    cr_assert(eq(str, text, "aé"));
    cr_assert(is_cut);
    auto_free char *whole = a11y_copy("aé", 4, &is_cut);
    cr_assert(eq(str, whole, "aé"));
    cr_assert(not(is_cut));
    cr_assert_null(a11y_copy("", 4, NULL));
    cr_assert_null(a11y_copy("世", 2, NULL));
}

/* --- Answers ---------------------------------------------------------------------------------- */

Test(answer, is_an_object_or_an_error)
{
    static const struct {
        const char *text, *code;
    } rows[] = {
        { "{}", NULL },
        { "{\"a\":[1]}", NULL },
        { "", "not_ready" },
        { "1", "failed" },
        { "{", "failed" },
        { "{\"error\":null}", "failed" },
        { "{\"error\":{\"code\":\"busy\",\"message\":\"m\"}}", "busy" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_json json_t *answer = answer_read(rows[i].text, strlen(rows[i].text));
        const char *code = json_get_string(json_object_get(answer, "error"), "code", NULL);
        cr_assert(eq(int, !code, !rows[i].code), "%s", rows[i].text);
        if (code)
            cr_assert(eq(str, (char *)(uintptr_t)code, (char *)(uintptr_t)rows[i].code));
    }
}
