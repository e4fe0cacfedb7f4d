/* Bodies of requests: parsed, and written again when they are JSON. Numbers are written with 15 digits, so
 * what is stable is the text: written, read and written again it is the same. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = { 0 };
    auto_json json_t *value = NULL;
    if (json_parse_object((const char *)data, size, &value, &err) < 0)
        return err.is_set ? 0 : (abort(), 0);
    auto_json json_t *again = NULL;
    auto_buf struct buf text = BUF_INIT, repeated = BUF_INIT;
    if (json_write(value, &text) < 0 || json_parse_object((const char *)text.data, text.size, &again, NULL) < 0 ||
        json_write(again, &repeated) < 0 || strcmp(buf_str(&text), buf_str(&repeated)) != 0)
        abort();
    return 0;
}
