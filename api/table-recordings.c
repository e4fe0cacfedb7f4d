#include "api/table-recordings.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }
#define FRAME_MAX 9007199254740991.0 /* 2^53 - 1 */
#define SIZE_MAX_PX 8192

static const char *const states[] = { "recording", "stalled", "ended", NULL };
static const char *const kinds[] = { "action", "event", "mark", NULL };

const struct api_field api_recording_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the recording." },
    END,
};

const struct api_field api_recording_filter[] = {
    { .name = "sandbox", .type = API_STRING, .max = 31, .text = "Of this sandbox." },
    { .name = "image", .type = API_STRING, .max = 63, .text = "Of sandboxes made from this image." },
    { .name = "state", .type = API_STRING, .values = states, .text = "In this state." },
    { .name = "metadata", .type = API_STRING_MAP, .max = 64, .text = "Of sandboxes with these labels." },
    { .name = "since", .type = API_STRING, .max = 40, .text = "RFC 3339: not ended before." },
    { .name = "until", .type = API_STRING, .max = 40, .text = "RFC 3339: begun before." },
    { .name = "page", .type = API_INTEGER, .min = 1, .max = 1000000, .fallback = "1", .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .min = 1, .max = 200, .fallback = "20", .text = "Items of a page." },
    END,
};

const struct api_field api_recording_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Unique everywhere." },
    { .name = "sandbox", .type = API_STRING, .text = "Whose recording it is." },
    { .name = "image", .type = API_STRING, .text = "The image of that sandbox." },
    { .name = "state", .type = API_STRING, .values = states,
      .text = "`stalled`: it cannot be written, and `reason` says why; it goes on by itself." },
    { .name = "reason", .type = API_STRING, .text = "Why it cannot be written; else empty." },
    { .name = "parent", .type = API_STRING, .text = "The sandbox that this one was forked from; or empty." },
    { .name = "parent_recording", .type = API_STRING, .text = "The recording of that sandbox, if there is one." },
    { .name = "checkpoint", .type = API_STRING, .text = "The checkpoint or template that it came from; or empty." },
    { .name = "metadata", .type = API_STRING_MAP, .text = "Labels of the sandbox." },
    { .name = "created_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "ended_at", .type = API_STRING, .text = "RFC 3339; absent while it goes on." },
    { .name = "bytes", .type = API_INTEGER, .text = "On disk, about." },
    END,
};

static const struct api_field recording_element = { .type = API_OBJECT, .fields = api_recording_fields };

static const struct api_field pagination_fields[] = {
    { .name = "page", .type = API_INTEGER, .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .text = "Most items of a page." },
    { .name = "totalItems", .type = API_INTEGER, .text = "Over all pages." },
    { .name = "totalPages", .type = API_INTEGER, .text = "Number of pages." },
    { .name = "hasNextPage", .type = API_BOOLEAN, .text = "Whether a later page has items." },
    END,
};

const struct api_field api_recording_list_result[] = {
    { .name = "items", .type = API_ARRAY, .element = &recording_element, .text = "Newest first." },
    { .name = "pagination", .type = API_OBJECT, .fields = pagination_fields, .text = "Where this page is." },
    END,
};

const struct api_field api_recording_index_query[] = {
    { .name = "segment", .type = API_INTEGER, .max = 1e9, .text = "Only from this segment on." },
    { .name = "offset", .type = API_INTEGER, .max = FRAME_MAX, .text = "Of that segment, only what lies behind." },
    END,
};

static const struct api_field numbers_element = {
    .type = API_ARRAY, .element = &(const struct api_field){ .type = API_INTEGER }
};

static const struct api_field segment_element = { .type = API_OBJECT, .fields = FIELDS{
    { .name = "number", .type = API_INTEGER, .text = "For `recording_stream`; ascending." },
    { .name = "bytes", .type = API_INTEGER, .text = "That are good." },
    { .name = "first_us", .type = API_INTEGER, .text = "Its first record." },
    { .name = "last_us", .type = API_INTEGER, .text = "Its last record." },
    { .name = "begins", .type = API_ARRAY, .element = &numbers_element,
      .text = "Places to begin at: offset, time, width, height." },
    { .name = "frames", .type = API_ARRAY, .element = &numbers_element,
      .text = "Frames: time captured, offset, id, 1 if exact." },
    { .name = "passed", .type = API_ARRAY, .element = &numbers_element,
      .text = "Frames that were shown and are only listed: time captured, id." },
    END } };

const struct api_field api_recording_index_result[] = {
    { .name = "first_us", .type = API_INTEGER, .text = "The first record." },
    { .name = "last_us", .type = API_INTEGER, .text = "The last record." },
    { .name = "wall_us", .type = API_INTEGER, .text = "Microseconds since 1970 at `first_us`." },
    { .name = "segments", .type = API_ARRAY, .element = &segment_element, .text = "In order." },
    { .name = "damage", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_OBJECT },
      .text = "Segments whose end cannot be read: `segment`, `good_bytes`, `bytes`." },
    END,
};

const struct api_field api_recording_stream_query[] = {
    { .name = "segment", .type = API_INTEGER, .min = 1, .max = 1e9, .text = "Its number. Default: all." },
    END,
};

const struct api_field api_recording_frame_query[] = {
    { .name = "frame", .type = API_INTEGER, .max = FRAME_MAX, .text = "Id of the frame." },
    { .name = "time_us", .type = API_INTEGER, .max = FRAME_MAX, .text = "Instead: shown at this time." },
    { .name = "at_ms", .type = API_NUMBER, .max = FRAME_MAX,
      .text = "Instead: shown so long after the recording's beginning." },
    { .name = "format", .type = API_STRING, .values = VALUES{ "png", "jpeg", NULL }, .fallback = "\"png\"",
      .text = "Encoding." },
    { .name = "quality", .type = API_INTEGER, .min = 1, .max = 100, .fallback = "85", .text = "Of jpeg." },
    { .name = "width", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX, .text = "Of the image." },
    { .name = "height", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX, .text = "Of the image." },
    { .name = "cursor", .type = API_BOOLEAN, .fallback = "false", .text = "Whether the pointer is drawn in." },
    END,
};

#define NOTES                                                                                          \
    { .name = "kind", .type = API_STRING, .values = kinds, .text = "Only these." },                    \
    { .name = "limit", .type = API_INTEGER, .min = 1, .max = 10000, .fallback = "10000",               \
      .text = "How many at most." }

const struct api_field api_recording_notes_query[] = {
    { .name = "q", .type = API_STRING, .min = 1, .max = 256,
      .text = "Only those with this text in them, whatever the case." },
    { .name = "from_us", .type = API_INTEGER, .max = FRAME_MAX, .text = "Not before." },
    { .name = "until_us", .type = API_INTEGER, .max = FRAME_MAX, .text = "Not after." },
    NOTES,
    END,
};

const struct api_field api_recording_search_query[] = {
    { .name = "q", .type = API_STRING, .is_required = true, .min = 1, .max = 256,
      .text = "The text, whatever the case." },
    NOTES,
    END,
};

const struct api_field api_recording_note_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Its place." },
    { .name = "kind", .type = API_STRING, .values = kinds, .text = "What it is." },
    { .name = "recording", .type = API_STRING, .text = "Of a search: where it was found." },
    { .name = "at_us", .type = API_INTEGER, .text = "When it happened, on the daemon's clock." },
    { .name = "time_us", .type = API_INTEGER, .text = "Of a mark: when it was made." },
    { .name = "by", .type = API_ANY, .text = "Who did it: the key, and the dialect it spoke." },
    { .name = "batch", .type = API_STRING, .text = "Of an action: the request that it was part of." },
    { .name = "index", .type = API_INTEGER, .text = "Of an action: its number in the batch." },
    { .name = "type", .type = API_STRING, .text = "Of an action: its type." },
    { .name = "action", .type = API_OBJECT, .text = "As it came; without the text when that is secret." },
    { .name = "space", .type = API_STRING, .text = "Of an action: the space of its coordinates." },
    { .name = "image", .type = API_STRING, .text = "Of an action in space `frame`." },
    { .name = "native", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_INTEGER },
      .text = "Of an action: where it was, in native pixels." },
    { .name = "before", .type = API_INTEGER, .text = "Of an action: the frame before it." },
    { .name = "after", .type = API_INTEGER, .text = "Of an action: the frame after it." },
    { .name = "queued_us", .type = API_INTEGER, .text = "Of an action: when it was begun." },
    { .name = "injected_us", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_INTEGER },
      .text = "Of an action: its first and last event." },
    { .name = "first_damage_us", .type = API_INTEGER, .text = "Of an action: the first change after it." },
    { .name = "settled_us", .type = API_INTEGER, .text = "Of an action: when the wait for a quiet screen ended." },
    { .name = "settle", .type = API_OBJECT, .text = "Of an action: how that wait ended." },
    { .name = "outcome", .type = API_STRING, .values = VALUES{ "done", "failed", "cancelled", NULL },
      .text = "Of an action." },
    { .name = "error", .type = API_OBJECT, .text = "Of an action that failed: code, message." },
    { .name = "event", .type = API_STRING, .text = "Of an event: created, exec, forked, control_taken, …" },
    { .name = "label", .type = API_STRING, .text = "Of a mark." },
    { .name = "data", .type = API_ANY, .text = "Of a mark." },
    END,
};

static const struct api_field note_element = { .type = API_OBJECT, .fields = api_recording_note_fields };

const struct api_field api_recording_notes_result[] = {
    { .name = "first_us", .type = API_INTEGER, .text = "The recording's first record." },
    { .name = "items", .type = API_ARRAY, .element = &note_element, .text = "In the order of their records." },
    END,
};

const struct api_field api_recording_mark_body[] = {
    { .name = "label", .type = API_STRING, .is_required = true, .min = 1, .max = 256, .text = "For readers." },
    { .name = "data", .type = API_ANY, .text = "Anything, for programs." },
    END,
};

static const char *const export_formats[] = { "mp4", "vtt", "json", "agentnet", "osworld", "atif", "html", NULL };

const struct api_field api_recording_export_body[] = {
    { .name = "format", .type = API_STRING, .is_required = true, .values = export_formats,
      .text = "`mp4`: a film, H.264, a sample per recorded frame. `vtt`, `json`: its action track. `agentnet`: a tar "
              "of AgentNet's raw recording. `osworld`: a tar with traj.jsonl and a picture per step. `atif`: a tar "
              "with trajectory.json and images. `html`: one page that plays offline." },
    { .name = "overlay", .type = API_BOOLEAN, .fallback = "false",
      .text = "Whether pointer, clicks, keys and typed text are drawn into the film (ASCII; other letters are boxes)." },
    END,
};

const struct api_field api_export_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31, .text = "Id of the export." },
    END,
};

const struct api_field api_export_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Of the export." },
    { .name = "recording", .type = API_STRING, .text = "Of what." },
    { .name = "format", .type = API_STRING, .values = export_formats, .text = "As asked for." },
    { .name = "state", .type = API_STRING, .values = VALUES{ "running", "done", "failed", NULL }, .text = "State." },
    { .name = "progress", .type = API_NUMBER, .text = "0 to 1." },
    { .name = "bytes", .type = API_INTEGER, .text = "Of the file, once it is done." },
    { .name = "error", .type = API_OBJECT, .text = "Of one that failed: code, message." },
    END,
};

static const struct api_field rerun_mask_element = { .type = API_OBJECT, .fields = FIELDS{
    { .name = "x", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX, .text = "Left edge." },
    { .name = "y", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX, .text = "Upper edge." },
    { .name = "width", .type = API_INTEGER, .is_required = true, .min = 1, .max = SIZE_MAX_PX, .text = "Width." },
    { .name = "height", .type = API_INTEGER, .is_required = true, .min = 1, .max = SIZE_MAX_PX, .text = "Height." },
    END } };

const struct api_field api_rerun_body[] = {
    { .name = "pace", .type = API_STRING, .values = VALUES{ "settled", "recorded", NULL }, .fallback = "\"settled\"",
      .text = "`settled`: the next request goes as soon as the screen has settled and been compared. `recorded`: "
              "when it was recorded." },
    { .name = "go_on", .type = API_BOOLEAN, .fallback = "false", .text = "Whether to go on behind a difference." },
    { .name = "keep", .type = API_BOOLEAN, .fallback = "false",
      .text = "Whether the sandbox stays, for an hour; else it is deleted at the end." },
    { .name = "patience_ms", .type = API_INTEGER, .max = 60000, .fallback = "2000",
      .text = "How long a screen that differs may take to become equal." },
    { .name = "max_pixels", .type = API_INTEGER, .max = 1e8, .fallback = "0",
      .text = "So many pixels that differ are no difference." },
    { .name = "mask", .type = API_ARRAY, .max = 64, .element = &rerun_mask_element,
      .text = "Rectangles, in native pixels, that do not count, such as a clock." },
    { .name = "secrets", .type = API_ARRAY, .max = 1000, .element = &(const struct api_field){ .type = API_STRING },
      .text = "Texts of actions that were `secret`, in order: they are not in the recording." },
    END,
};

const struct api_field api_rerun_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31, .text = "Id of the rerun." },
    END,
};

static const struct api_field rerun_step_fields[] = {
    { .name = "step", .type = API_INTEGER, .text = "0: the screen before the first request; n: after request n." },
    { .name = "equal", .type = API_BOOLEAN, .text = "Whether the screens are equal." },
    { .name = "pixels", .type = API_INTEGER, .text = "How many differ." },
    { .name = "frame", .type = API_INTEGER, .text = "The frame of the recording; of several the nearest." },
    { .name = "again_frame", .type = API_INTEGER, .text = "The frame of the rerun's own recording." },
    { .name = "action", .type = API_STRING, .text = "Id of the first action of the request." },
    { .name = "region", .type = API_OBJECT, .text = "Around what differs: x, y, width, height." },
    END,
};

const struct api_field api_rerun_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Of the rerun." },
    { .name = "recording", .type = API_STRING, .text = "Of what." },
    { .name = "state", .type = API_STRING, .values = VALUES{ "starting", "running", "done", "failed", "cancelled", NULL },
      .text = "State." },
    { .name = "sandbox", .type = API_STRING, .text = "That it runs in; empty before." },
    { .name = "again", .type = API_STRING, .text = "The recording of this run; empty before." },
    { .name = "pace", .type = API_STRING, .text = "As asked for." },
    { .name = "progress", .type = API_NUMBER, .text = "0 to 1." },
    { .name = "steps", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_OBJECT, .fields = rerun_step_fields },
      .text = "What was compared so far." },
    { .name = "difference", .type = API_OBJECT, .is_nullable = true, .fields = rerun_step_fields,
      .text = "The first step at which the screens differ; null while there is none." },
    { .name = "error", .type = API_OBJECT, .text = "Of one that failed: code, message." },
    END,
};
