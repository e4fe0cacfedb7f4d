/* farm/: amounts, images, the journal and keys. Sandboxes are tested on real guests (tests/integration). */
#include "base/fs.h"
#include "farm/effect.h"
#include "farm/layout.h"
#include "farm/image.h"
#include "farm/journal.h"
#include "farm/keys.h"
#include "farm/quantity.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/deskfarm-farm-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
    fs_remove_tree(dir, NULL);
}

Test(quantity, reads_what_kubernetes_writes)
{
    static const struct { const char *text; double amount; } rows[] = {
        { "2", 2 }, { "500m", 0.5 }, { "1.5", 1.5 }, { "2Gi", 2147483648.0 }, { "512M", 512e6 }, { "1k", 1000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double amount;
        cr_assert(eq(int, quantity_parse(rows[i].text, &amount), 0), "%s", rows[i].text);
        cr_assert(epsilon_eq(dbl, amount, rows[i].amount, 1e-9), "%s", rows[i].text);
    }
}

Test(quantity, refuses_everything_else)
{
    static const char *const bad[] = { "", "-1", " 2", "2 ", "inf", "nan", "0x10", "1e9", ".5", "1..5", "2Pi", "Gi",
                                       "99999999999999999999999", "2GiB" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        double amount;
        cr_assert(lt(int, quantity_parse(bad[i], &amount), 0), "\"%s\"", bad[i]);
    }
}

Test(quantity, rounds_up_to_sizes_that_templates_have)
{
    cr_assert(eq(i64, quantity_round_up(0.5, 1), 1));
    cr_assert(eq(i64, quantity_round_up(3, 1), 4));
    cr_assert(eq(i64, quantity_round_up(2048, 256), 2048));
    cr_assert(eq(i64, quantity_round_up(2049, 256), 4096));
}

static void count_doc(void *data, const char *id maybe_unused, const json_t *doc)
{
    int *sum = data;
    *sum = *sum * 10 + (int)json_get_int(doc, "n", 0);
}

Test(journal, survives_a_reopening_in_order, .init = make_dir, .fini = remove_dir)
{
    struct journal *journal = NULL;
    struct error err = { 0 };
    int sum = 0;
    cr_assert(eq(int, journal_new(&journal, dir, NULL, &err), 0), "%s", err.message);
    for (int n = 1; n <= 4; n++) {
        char id[8];
        snprintf(id, sizeof id, "id%d", n);
        auto_json json_t *doc = json_pack("{si}", "n", n);
        cr_assert(eq(int, journal_put(journal, "sandbox", id, doc, &err), 0));
    }
    auto_json json_t *changed = json_pack("{si}", "n", 7);
    cr_assert(eq(int, journal_put(journal, "sandbox", "id2", changed, &err), 0));
    cr_assert(eq(int, journal_remove(journal, "sandbox", "id3", &err), 0));
    cr_assert(eq(int, journal_remove(journal, "sandbox", "never was", &err), 0));
    journal_free(journal);
    cr_assert(eq(int, journal_new(&journal, dir, NULL, &err), 0));
    cr_assert(eq(int, journal_each(journal, "sandbox", count_doc, &sum, &err), 0));
    cr_assert(eq(int, sum, 174));
    journal_free(journal);
}

Test(journal, refuses_a_file_that_is_no_database, .init = make_dir, .fini = remove_dir)
{
    struct journal *journal = NULL;
    struct error err = { 0 };
    auto_free char *path = fs_join(dir, "journal.db");
    cr_assert(eq(int, fs_write_atomic(path, "This is not a database, and it is long enough.", 46, 0600, &err), 0));
    cr_assert(lt(int, journal_new(&journal, dir, NULL, &err), 0));
    cr_assert(ne(str, err.message, ""));
}

Test(keys, are_known_by_their_secret_only, .init = make_dir, .fini = remove_dir)
{
    struct journal *journal = NULL;
    struct keys *keys = NULL;
    struct error err = { 0 };
    struct principal who;
    struct key_limits limits = { .sandboxes = 3 };
    auto_json json_t *made = NULL;
    cr_assert(eq(int, journal_new(&journal, dir, NULL, &err), 0));
    cr_assert(eq(int, keys_new(&keys, journal, &err), 0));
    cr_assert(not(keys_exist(keys)));
    cr_assert(eq(int, keys_add(keys, "agent", ROLE_OPERATOR, &limits, &made, &err), 0));
    char secret[64];
    snprintf(secret, sizeof secret, "%s", json_get_string(made, "key", ""));
    cr_assert(eq(sz, strlen(secret), 35));

    /* From here on as a restarted daemon sees it. */
    keys_free(keys);
    cr_assert(eq(int, keys_new(&keys, journal, &err), 0));
    cr_assert(keys_exist(keys));
    cr_assert(eq(int, keys_authenticate(keys, secret, &who), 0));
    cr_assert(eq(int, who.role, ROLE_OPERATOR));
    cr_assert(eq(i64, who.limits.sandboxes, 3));
    secret[34] ^= 1;
    cr_assert(gt(int, keys_authenticate(keys, secret, &who), 0));
    cr_assert(gt(int, keys_authenticate(keys, "", &who), 0));
    auto_json json_t *list = keys_list(keys);
    const json_t *first = json_array_get(json_object_get(list, "items"), 0);
    cr_assert_null(json_object_get(first, "key"));
    cr_assert(eq(int, keys_remove(keys, json_get_string(first, "id", ""), &err), 0));
    cr_assert(lt(int, keys_remove(keys, "key-none", &err), 0));
    cr_assert(eq(int, err.code, ERROR_NOT_FOUND));
    keys_free(keys);
    journal_free(journal);
}

static void write_image(const char *json)
{
    char path[256];
    snprintf(path, sizeof path, "%s/images/real-1", dir);
    fs_mkdirs(path, 0755, NULL);
    snprintf(path, sizeof path, "%s/images/real", dir);
    cr_assert(eq(int, symlink("real-1", path), 0));
    snprintf(path, sizeof path, "%s/images/real-1/image.json", dir);
    cr_assert(eq(int, fs_write_atomic(path, json, strlen(json), 0444, NULL), 0));
    snprintf(path, sizeof path, "%s/images/real-1/vmlinuz", dir);
    cr_assert(eq(int, fs_write_atomic(path, "k", 1, 0444, NULL), 0));
}

Test(image, is_found_by_name_and_pinned_to_its_build, .init = make_dir, .fini = remove_dir)
{
    struct image image;
    struct error err = { 0 };
    write_image("{\"hash\":\"1\",\"kernel\":\"vmlinuz\",\"cpus\":2,\"memory_mib\":512}");
    cr_assert(eq(int, image_load(&image, dir, "real", &err), 0), "%s", err.message);
    cr_assert_not_null(strstr(image.kernel, "/images/real-1/vmlinuz"));
    cr_assert_null(image.disk);
    cr_assert_null(image.media[0]);
    cr_assert(eq(int, image.memory_mib, 512));
    image_deinit(&image);
}

Test(image, names_from_requests_cannot_leave_the_cache, .init = make_dir, .fini = remove_dir)
{
    static const char *const bad[] = { "", ".", "..", "../real", "real/../real", "/etc", "REAL", "real\n", "none" };
    struct image image;
    write_image("{\"hash\":\"1\",\"kernel\":\"vmlinuz\"}");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        cr_assert(lt(int, image_load(&image, dir, bad[i], &err), 0), "\"%s\"", bad[i]);
        cr_assert(eq(int, err.code, ERROR_UNKNOWN_IMAGE));
    }
}

Test(image, files_outside_its_directory_are_refused, .init = make_dir, .fini = remove_dir)
{
    struct image image;
    struct error err = { 0 };
    write_image("{\"hash\":\"1\",\"kernel\":\"../../../etc/passwd\"}");
    cr_assert(lt(int, image_load(&image, dir, "real", &err), 0));
}

Test(image, an_empty_disk_and_media_are_read, .init = make_dir, .fini = remove_dir)
{
    struct image image;
    struct machine_spec spec = { 0 };
    struct error err = { 0 };
    write_image("{\"hash\":\"1\",\"profile\":\"generic\",\"disk\":null,\"disk_bytes\":1048576,"
                "\"media\":[\"vmlinuz\",\"image.json\"]}");
    cr_assert(eq(int, image_load(&image, dir, "real", &err), 0), "%s", err.message);
    image_fill_machine(&image, 3, &spec);
    cr_assert(spec.shape.profile == MACHINE_GENERIC && !spec.base_disk && !spec.kernel);
    cr_assert(eq(i64, spec.disk_bytes, 3 << 20));
    cr_assert_not_null(strstr(spec.media[0], "/images/real-1/vmlinuz"));
    cr_assert_not_null(strstr(spec.media[1], "/images/real-1/image.json"));
    cr_assert_null(spec.media[2]);
    image_deinit(&image);
}

Test(image, media_that_are_none_are_refused, .init = make_dir, .fini = remove_dir)
{
    static const char *const bad[] = { "\"vmlinuz\"", "[\"\"]", "[1]", "[\"../vmlinuz\"]", "[\".\"]", "[\"none.iso\"]",
                                       "[\"vmlinuz\",\"vmlinuz\",\"vmlinuz\",\"vmlinuz\",\"vmlinuz\"]" };
    char path[256];
    write_image("{\"hash\":\"1\"}");
    snprintf(path, sizeof path, "%s/images/real-1/image.json", dir);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct image image;
        struct error err = { 0 };
        auto_buf struct buf json = BUF_INIT;
        buf_printf(&json, "{\"hash\":\"1\",\"media\":%s}", bad[i]);
        cr_assert(eq(int, fs_write_atomic(path, json.data, json.size, 0444, NULL), 0));
        cr_assert(lt(int, image_load(&image, dir, "real", &err), 0), "%s", bad[i]);
    }
}

/* --- What an action came to ---------------------------------------------------------------------- */

static void check_effect(const struct effect *effect, const char *result, bool is_failed, const char *expected)
{
    auto_json json_t *value = json_loads(result, 0, NULL);
    effect_put(effect, value, 9000, is_failed);
    cr_expect(eq(str, (char *)(uintptr_t)json_get_string(value, "effect", ""), (char *)(uintptr_t)expected), "%s", result);
}

Test(effect, says_what_was_seen)
{
    struct effect none = { 0 }, sent = { 0 }, seen = { 0 };
    effect_begin(&sent, 1000);
    effect_begin(&seen, 1000);
    effect_begin(&seen, 2000); /* the first event counts */
    effect_damage(&none, 1500, 3);
    effect_damage(&sent, 900, 3); /* captured before */
    effect_damage(&sent, 1500, 0); /* only blinkers */
    effect_damage(&seen, 1500, 3);
    effect_damage(&seen, 1700, 1);
    check_effect(&none, "{}", false, "confirmed");
    check_effect(&none, "{\"result\":\"timed_out\"}", false, "no_visible_effect");
    check_effect(&none, "{}", true, "refused");
    check_effect(&sent, "{}", false, "no_visible_effect");
    check_effect(&sent, "{\"confirmed\":true}", false, "confirmed");
    check_effect(&sent, "{}", true, "partial");
    check_effect(&seen, "{}", false, "confirmed");
    check_effect(&seen, "{}", true, "partial");
    auto_json json_t *result = json_object();
    effect_put(&seen, result, 9000, false);
    cr_assert(eq(i64, json_get_int(result, "watched_us", 0), 8000));
    cr_assert(eq(i64, json_get_int(result, "first_damage_us", 0), 1500));
    cr_assert(eq(i64, json_get_int(result, "last_damage_us", 0), 1700));
    cr_assert(eq(i64, json_get_int(result, "damaged_tiles", 0), 4));
}

Test(layout, has_a_name_and_perhaps_a_variant)
{
    static const struct {
        const char *layout, *name, *variant;
    } rows[] = {
        { "de", "de", "" }, { "de(nodeadkeys)", "de", "nodeadkeys" }, { "", "", "" }, { "(", "(", "" },
        { "de(x", "de(x", "" }, { "()", "", "" }, { "a23456789012345678901234567(abc)", "a23456789012345678901234567(abc", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[32];
        const char *variant = layout_split(rows[i].layout, name);
        cr_expect(eq(str, name, (char *)(uintptr_t)rows[i].name), "%s", rows[i].layout);
        cr_expect(eq(str, (char *)(uintptr_t)variant, (char *)(uintptr_t)rows[i].variant), "%s", rows[i].layout);
    }
}
