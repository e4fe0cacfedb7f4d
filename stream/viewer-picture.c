/* A viewer of pictures gets the whole screen, made smaller, as JPEG: a wall of a hundred desktops
 * costs a hundred small pictures a second at most, and nothing where nothing happens. They come
 * from the display's stills, whose cache serves every wall of the same size. */
#include "stream/hub-impl.h"

#include "base/clock.h"
#include "display/still.h"

#include <string.h>

#define PICTURE_QUALITY 70
#define PICTURE_HEAD 24

static void handle_still(void *data, const struct still *still,
                         const struct error *err maybe_unused)
{
    struct viewer *self = data;
    self->asked = NULL;
    if (!still)
        return;
    auto_buf struct buf out = BUF_INIT;
    uint8_t *at = record_begin(&out, RECORD_PICTURE, 0, 0, PICTURE_HEAD + still->bytes->size);
    if (!at)
        return;
    at =
        record_put_u64(record_put_u64(at, (uint64_t)still->frame_id), (uint64_t)still->captured_us);
    at = record_put_u16(record_put_u16(at, (unsigned)still->params.width),
                        (unsigned)still->params.height);
    at = record_put_u32(at, 0);
    memcpy(at, still->bytes->data, still->bytes->size);
    bytes_unref(self->picture);
    self->picture = bytes_copy(out.data, out.size);
    self->picture_id = still->frame_id;
    self->ops->wake(self->data);
}

static void ask(struct viewer *self, struct frame *frame)
{
    struct still_params params = { .format = STILL_JPEG, .quality = PICTURE_QUALITY };
    struct rect all = { 0, 0, frame->width, frame->height };
    still_fit(all, self->picture_width, self->picture_height, &params.width, &params.height);
    stills_request(display_stills(self->hub->display), frame, NULL, &params, handle_still, self,
                   &self->asked, NULL);
}

void viewer_update_picture(struct viewer *self, int64_t now_us, int64_t *due_us)
{
    struct frame *frame = display_frame(self->hub->display);
    if (!frame || !self->is_greeted || !self->is_shown || self->asked || self->picture ||
        self->n_unacked > 0 || frame->id == self->picture_id)
        return;
    int64_t due = self->pictured_us + VIEWER_PICTURE_US;
    if (self->pictured_us && now_us < due) {
        *due_us = MIN(*due_us, due);
        return;
    }
    self->pictured_us = now_us;
    ask(self, frame);
}
