#include "web/session.h"

#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct session {
    char id[SESSION_ID_CHARS + 1]; /* "" for a free place */
    char secret[SESSION_SECRET_MAX];
    int64_t ends_us;
};

struct sessions {
    struct session all[SESSIONS_MAX];
};

struct sessions *sessions_new(void)
{
    return calloc(1, sizeof(struct sessions));
}

struct sessions *sessions_free(struct sessions *self)
{
    if (self)
        explicit_bzero(self, sizeof *self);
    free(self);
    return NULL;
}

int sessions_add(struct sessions *self, const char *secret, int64_t now_us,
                 char ret_id[SESSION_ID_CHARS + 1])
{
    if (strlen(secret) >= SESSION_SECRET_MAX)
        return -EINVAL;
    struct session *place = &self->all[0];
    for (struct session *s = self->all; s < self->all + SESSIONS_MAX; s++) {
        if (!s->id[0] || s->ends_us < place->ends_us)
            place = s;
        if (!place->id[0])
            break;
    }
    uint8_t random[SESSION_ID_CHARS / 2];
    id_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(place->id + 2 * i, 3, "%02x", random[i]);
    snprintf(place->secret, sizeof place->secret, "%s", secret);
    place->ends_us = now_us + (int64_t)SESSION_HOURS * 3600 * 1000000;
    memcpy(ret_id, place->id, sizeof place->id);
    return 0;
}

/* Ids are compared in constant time: a prefix that is right must not show in how long a miss takes.
 */
static bool is_same(const char *a, const char *b)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < SESSION_ID_CHARS; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

static struct session *find(struct sessions *self, const char *id)
{
    if (strlen(id) != SESSION_ID_CHARS)
        return NULL;
    for (struct session *s = self->all; s < self->all + SESSIONS_MAX; s++) {
        if (s->id[0] && is_same(s->id, id))
            return s;
    }
    return NULL;
}

const char *sessions_find(struct sessions *self, const char *id, int64_t now_us)
{
    struct session *s = find(self, id);
    if (s && s->ends_us <= now_us) {
        explicit_bzero(s, sizeof *s);
        s = NULL;
    }
    return s ? s->secret : NULL;
}

void sessions_remove(struct sessions *self, const char *id)
{
    struct session *s = find(self, id);
    if (s)
        explicit_bzero(s, sizeof *s);
}
