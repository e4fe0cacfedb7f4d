/* Keys are kept in memory, at most KEYS_MAX, and written through to the journal. A secret is
 * "df_" and 32 characters of base32 (160 random bits); only its SHA-256 is stored. */
#include "farm/keys.h"

#include "base/clock.h"
#include "base/list.h"
#include "farm/journal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX 4096
#define SECRET_CHARS 32
#define KIND "key"

struct key {
    struct list link;
    struct principal principal;
    char name[65];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int64_t created_us;
};

struct keys {
    struct journal *journal;
    struct list all;
    int count;
};

static const char *const role_names[] = {
    [ROLE_NONE] = "none", [ROLE_VIEWER] = "viewer", [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
    return role_names[role];
}

int role_parse(const char *name, enum role *ret)
{
    for (size_t i = ROLE_VIEWER; i < ARRAY_LEN(role_names); i++) {
        if (strcmp(name, role_names[i]) == 0) {
            *ret = (enum role)i;
            return 0;
        }
    }
    return -EINVAL;
}

void keys_limits(const struct keys *self, const char *id, struct key_limits *ret)
{
    struct key *key;
    *ret = (struct key_limits){ 0 };
    list_for_each(key, &self->all, link)
        if (strcmp(key->principal.key_id, id) == 0)
            *ret = key->principal.limits;
}

static void to_hex(const unsigned char *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", in[i]);
}

static int from_hex(const char *in, unsigned char *out, size_t n)
{
    if (strlen(in) != 2 * n)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (sscanf(in + 2 * i, "%2hhx", &out[i]) != 1)
            return -EINVAL;
    return 0;
}

static json_t *limits_json(const struct key_limits *limits)
{
    return json_pack("{sI sI sI sI}", "sandboxes", (json_int_t)limits->sandboxes, "cpus",
                     (json_int_t)limits->cpus, "memory_mib", (json_int_t)limits->memory_mib,
                     "disk_mib", (json_int_t)limits->disk_mib);
}

static json_t *key_json(const struct key *key)
{
    char created[CLOCK_RFC3339_MAX];
    clock_format(key->created_us, created);
    return json_pack("{ss ss ss so ss}", "id", key->principal.key_id, "name", key->name, "role",
                     role_name(key->principal.role), "limits", limits_json(&key->principal.limits),
                     "created_at", created);
}

static int store(struct keys *self, const struct key *key, struct error *err)
{
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    to_hex(key->hash, sizeof key->hash, hex);
    auto_json json_t *doc = key_json(key);
    if (!doc || json_object_set_new(doc, "sha256", json_string(hex)))
        return error_errno(err, ENOMEM, "storing the key");
    return journal_put(self->journal, KIND, key->principal.key_id, doc, err);
}

static void load_one(void *data, const char *id, const json_t *doc)
{
    struct keys *self = data;
    struct key *key = calloc(1, sizeof *key);
    if (!key)
        return;
    const json_t *limits = json_object_get(doc, "limits");
    snprintf(key->principal.key_id, sizeof key->principal.key_id, "%s", id);
    snprintf(key->name, sizeof key->name, "%s", json_get_string(doc, "name", ""));
    key->principal.limits = (struct key_limits){
        .sandboxes = json_get_int(limits, "sandboxes", 0),
        .cpus = json_get_int(limits, "cpus", 0),
        .memory_mib = json_get_int(limits, "memory_mib", 0),
        .disk_mib = json_get_int(limits, "disk_mib", 0),
    };
    clock_parse(json_get_string(doc, "created_at", ""), &key->created_us);
    if (role_parse(json_get_string(doc, "role", ""), &key->principal.role) < 0 ||
        from_hex(json_get_string(doc, "sha256", ""), key->hash, sizeof key->hash) < 0) {
        free(key);
        return;
    }
    list_append(&self->all, &key->link);
    self->count++;
}

int keys_new(struct keys **ret, struct journal *journal, struct error *err)
{
    struct keys *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "loading keys");
    self->journal = journal;
    list_init(&self->all);
    int r = journal_each(journal, KIND, load_one, self, err);
    if (r < 0) {
        error_wrap(err, "loading keys");
        keys_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

struct keys *keys_free(struct keys *self)
{
    if (self) {
        struct key *key, *tmp;
        list_for_each_safe(key, tmp, &self->all, link)
            free(key);
        free(self);
    }
    return NULL;
}

bool keys_exist(const struct keys *self)
{
    return self->count > 0;
}

int keys_authenticate(struct keys *self, const char *secret, struct principal *ret)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)secret, strnlen(secret, 256), hash);
    struct key *key, *found = NULL;
    list_for_each(key, &self->all, link)
        if (CRYPTO_memcmp(hash, key->hash, sizeof hash) == 0)
            found = key;
    if (!found)
        return 1;
    *ret = found->principal;
    return 0;
}

static void make_secret(char out[3 + SECRET_CHARS + 1])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[SECRET_CHARS];
    id_random(random, sizeof random);
    memcpy(out, "df_", 3);
    for (size_t i = 0; i < SECRET_CHARS; i++)
        out[3 + i] = digits[random[i] & 31];
    out[3 + SECRET_CHARS] = 0;
}

int keys_add(struct keys *self, const char *name, enum role role, const struct key_limits *limits,
             json_t **ret, struct error *err)
{
    if (self->count >= KEYS_MAX)
        return error_set(err, ERROR_QUOTA, "adding a key: there are %d already", KEYS_MAX);
    struct key *key = calloc(1, sizeof *key);
    if (!key)
        return error_errno(err, ENOMEM, "adding a key");
    char secret[3 + SECRET_CHARS + 1];
    make_secret(secret);
    id_new("key-", key->principal.key_id);
    key->principal.role = role;
    key->principal.limits = *limits;
    snprintf(key->name, sizeof key->name, "%s", name);
    key->created_us = clock_wall_us();
    SHA256((unsigned char *)secret, strlen(secret), key->hash);

    int r = store(self, key, err);
    if (r < 0) {
        free(key);
        error_wrap(err, "adding a key");
        return r;
    }
    list_append(&self->all, &key->link);
    self->count++;
    *ret = key_json(key);
    json_object_set_new(*ret, "key", json_string(secret));
    return 0;
}

int keys_remove(struct keys *self, const char *id, struct error *err)
{
    struct key *key;
    list_for_each(key, &self->all, link) {
        if (strcmp(key->principal.key_id, id) != 0)
            continue;
        int r = journal_remove(self->journal, KIND, id, err);
        if (r < 0)
            return r;
        list_remove(&key->link);
        free(key);
        self->count--;
        return 0;
    }
    return error_set(err, ERROR_NOT_FOUND, "no key %.40s", id);
}

json_t *keys_list(struct keys *self)
{
    json_t *items = json_array();
    struct key *key;
    list_for_each(key, &self->all, link)
        json_array_append_new(items, key_json(key));
    return json_pack("{so}", "items", items);
}
