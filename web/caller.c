#include "web/caller.h"

#include "base/clock.h"
#include "web/server.h"

#include <string.h>

const char *caller_secret(const struct request *self)
{
    if (*self->secret)
        return self->secret;
    return *self->session ? sessions_find(self->web->sessions, self->session, clock_now_us())
                          : NULL;
}

void caller_identify(struct request *self)
{
    struct keys *keys = farm_keys(self->web->farm);
    self->who = (struct principal){ .role = ROLE_NONE };
    if (!keys_exist(keys)) {
        if (self->conn->is_local)
            self->who.role = ROLE_ADMIN;
        return;
    }
    const char *secret = caller_secret(self);
    /* The socket is open to its owner alone, who can read the journal: losing the last admin key must
     * not lock them out. */
    if (!secret && self->conn->is_unix)
        self->who.role = ROLE_ADMIN;
    if (secret && keys_authenticate(keys, secret, &self->who) != 0)
        self->who = (struct principal){ .role = ROLE_NONE };
}

int caller_refuse(const struct request *self, struct error *err)
{
    if (!keys_exist(farm_keys(self->web->farm)))
        return error_set(
            err, ERROR_UNAUTHORIZED,
            "this daemon has no API keys and serves callers on its own host only; make one there with "
            "`deskfarm keys add`");
    return error_set(err, ERROR_UNAUTHORIZED, "send an API key as \"Authorization: Bearer KEY\"%s",
                     *self->secret ? "; the one that was sent is not known" : "");
}
