/* deskfarm-vnc, one after the other: the newest is in use, others end with their viewers. */
#include "farm/vnc-impl.h"

#include <errno.h>

struct vnc_helper *vnc_helper_free(struct vnc_helper *self)
{
    if (!self)
        return NULL;
    list_remove(&self->link);
    fenced_free(self->fenced);
    free(self);
    return NULL;
}

static void handle_exit(void *data)
{
    vnc_helper_free(data);
}

int vnc_helper_start(struct vnc *vnc, int fd, struct error *err)
{
    const struct fenced_spec spec = { .folder = "stream/vnc", .name = "deskfarm-vnc", .what = "VNC helper",
                                      .fd = fd, .as = VNC_HELPER_FD };
    struct vnc_helper *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "starting the VNC helper");
    self->vnc = vnc;
    list_append(&vnc->helpers, &self->link);
    int r = fenced_start(&self->fenced, vnc->sandbox, &spec, handle_exit, self, err);
    if (r < 0)
        vnc_helper_free(self);
    return r;
}
