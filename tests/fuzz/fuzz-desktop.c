/* What deskfarm-desktop and the agent read of programs that neither of them trusts: byte 0 chooses
 * an answer of the helper, a desktop entry with its command line, or the id of a node. */
#include "images/agent/answer.h"
#include "images/agent/desktop/a11y-tree.h"
#include "images/agent/desktop/entry.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void try_answer(const uint8_t *data, size_t size)
{
    auto_json json_t *answer = answer_read(data, size);
    const json_t *error = json_object_get(answer, "error");
    require(json_is_object(answer));
    require(!error ||
            (json_get_string(error, "code", NULL) && json_get_string(error, "message", NULL)));
}

static void try_entry(const uint8_t *data, size_t size)
{
    static char room[2 * ENTRY_TEXT_MAX];
    const char *urls[] = { "file:///a b", "http://x/?y" }, *argv[ENTRY_ARGS_MAX + 1];
    struct entry entry;
    if (!entry_parse((const char *)data, size, &entry))
        return;
    for (int n_urls = 0; n_urls <= 2; n_urls++) {
        int n = entry_command(&entry, urls, n_urls, room, argv);
        require(n >= 0 && n <= ENTRY_ARGS_MAX);
        for (int i = 0; i < n; i++)
            require(strlen(argv[i]) < sizeof room);
        require(n == 0 || (!argv[n] && argv[0][0]));
    }
}

static void try_id(const uint8_t *data, size_t size)
{
    char id[512], again[A11Y_ID_MAX], bus[32], path[256], same_bus[32], same_path[256];
    snprintf(id, sizeof id, "%.*s", (int)MIN(size, sizeof id - 1), (const char *)data);
    if (a11y_id_read(id, 0x1234, bus, path) < 0)
        return;
    struct a11y_ref ref = { .path = path };
    snprintf(ref.bus, sizeof ref.bus, "%s", bus);
    require(path[0] == '/' && strncmp(bus, ":1.", 3) == 0);
    if (a11y_id_write(&ref, 0x1234, again)) {
        require(a11y_id_read(again, 0x1234, same_bus, same_path) == 0);
        require(strcmp(path, same_path) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const uint8_t *, size_t) = { try_answer, try_entry, try_id };
    if (size > 0)
        tries[data[0] % ARRAY_LEN(tries)](data + 1, size - 1);
    return 0;
}
