#include "web/ticket.h"

#include <stdio.h>
#include <string.h>

struct ticket {
    enum ticket_kind kind;
    char id[TICKET_CHARS + 1]; /* "" for a free place */
    struct ticket_scope scope;
    int64_t ends_us;
};

struct tickets {
    struct ticket all[TICKETS_MAX];
    struct ticket_scope used;
};

struct tickets *tickets_new(void)
{
    return calloc(1, sizeof(struct tickets));
}

struct tickets *tickets_free(struct tickets *self)
{
    if (self)
        explicit_bzero(self, sizeof *self);
    free(self);
    return NULL;
}

/* A free place, or the one that ends first. */
static struct ticket *find_place(struct tickets *self, int64_t now_us)
{
    struct ticket *place = &self->all[0];
    for (struct ticket *t = self->all; t < self->all + TICKETS_MAX; t++) {
        if (!t->id[0] || t->ends_us <= now_us)
            return t;
        if (t->ends_us < place->ends_us)
            place = t;
    }
    return place;
}

void tickets_add(struct tickets *self, enum ticket_kind kind, const struct ticket_scope *scope,
                 int64_t now_us, char ret_id[TICKET_CHARS + 1])
{
    struct ticket *t = find_place(self, now_us);
    uint8_t random[TICKET_CHARS / 2];
    id_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(t->id + 2 * i, 3, "%02x", random[i]);
    t->kind = kind;
    t->scope = *scope;
    t->ends_us =
        now_us + (int64_t)(kind == TICKET_COOKIE ? TICKET_COOKIE_S : TICKET_LINK_S) * 1000000;
    memcpy(ret_id, t->id, sizeof t->id);
}

/* In constant time: a prefix that is right must not show in how long a miss takes. */
static bool is_same(const char *a, const char *b)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < TICKET_CHARS; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

const struct ticket_scope *tickets_use(struct tickets *self, enum ticket_kind kind, const char *id,
                                       const char *sandbox, int port, int64_t now_us)
{
    if (strlen(id) != TICKET_CHARS)
        return NULL;
    for (struct ticket *t = self->all; t < self->all + TICKETS_MAX; t++) {
        if (!t->id[0] || t->kind != kind || !is_same(t->id, id))
            continue;
        bool is_good = t->ends_us > now_us && t->scope.port == port &&
                       strcmp(t->scope.sandbox, sandbox) == 0;
        self->used = t->scope;
        if (kind != TICKET_COOKIE || t->ends_us <= now_us)
            explicit_bzero(t, sizeof *t);
        return is_good ? &self->used : NULL;
    }
    return NULL;
}
