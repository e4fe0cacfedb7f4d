#include "api/table-dialect.h"

#include <stddef.h>

#define END { .name = NULL }
#define VALUES (const char *const[])

#define TOOL                                                                                       \
    { .name = "tool", .type = API_STRING, .min = 1, .max = 63,                                     \
      .text = "The version that was declared, such as `computer_20250124` or "                     \
              "`computer_use_preview`; default: any action of any version." }
#define SIZE                                                                                       \
    { .name = "width", .type = API_INTEGER, .min = 1, .max = 8192,                                 \
      .text = "With `height`: the size of the pictures that the model is shown, instead of what "  \
              "suits its API." },                                                                  \
    { .name = "height", .type = API_INTEGER, .min = 1, .max = 8192, .text = "See width." }

const struct api_field api_dialect_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the sandbox." },
    { .name = "dialect", .type = API_STRING, .is_required = true,
      .values = VALUES{ "anthropic", "openai", "gemini", "ui_tars", "osworld", NULL },
      .text = "Whose language it is." },
    END,
};

const struct api_field api_dialect_query[] = {
    TOOL,
    SIZE,
    { .name = "space", .type = API_STRING, .values = VALUES{ "image", "norm1000", "norm1", NULL },
      .text = "Of coordinates, instead of the language's own: pixels of the picture, 0–1000, 0–1." },
    { .name = "images", .type = API_STRING, .values = VALUES{ "auto", "call", "last", "asked", NULL },
      .fallback = "\"auto\"",
      .text = "Which calls are answered with the settled screen: those of which the API expects it, every "
              "one, the last, or only those that ask for it." },
    { .name = "format", .type = API_STRING, .values = VALUES{ "png", "jpeg", "webp", NULL },
      .fallback = "\"png\"", .text = "Of pictures." },
    { .name = "quality", .type = API_INTEGER, .min = 1, .max = 100, .fallback = "85",
      .text = "Of JPEG and WebP." },
    { .name = "confirmed", .type = API_BOOLEAN, .fallback = "false",
      .text = "A person has agreed to the safety checks that the model's answer holds; without that they "
              "are `confirmation_required` and nothing is done." },
    { .name = "first_ms", .type = API_INTEGER, .max = 60000, .fallback = "1000",
      .text = "How long to wait for a first change." },
    { .name = "quiet_ms", .type = API_INTEGER, .max = 10000, .fallback = "300",
      .text = "How long nothing may change before the screen is settled." },
    { .name = "max_ms", .type = API_INTEGER, .max = 300000, .fallback = "5000", .text = "When to give up." },
    { .name = "queue_ms", .type = API_INTEGER, .max = 60000, .fallback = "0",
      .text = "How long to wait for another batch to end; after that `busy`." },
    END,
};

const struct api_field api_dialect_tools_query[] = { TOOL, SIZE, END };

const struct api_field api_dialect_tools_result[] = {
    { .name = "tools", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_OBJECT },
      .text = "For the model's `tools`; empty where its actions are in its prompt." },
    { .name = "image", .type = API_OBJECT,
      .fields = (const struct api_field[]){
          { .name = "width", .type = API_INTEGER, .text = "Pixels." },
          { .name = "height", .type = API_INTEGER, .text = "Pixels." },
          END },
      .text = "The size of the pictures that the model is shown." },
    END,
};
