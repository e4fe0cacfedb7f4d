/* What came from what, as a tree:
 *
 *   cp-0  template  probe
 *   ├─ sb-1  Running
 *   │  ├─ cp-1  checkpoint  ready  a checkpoint hangs below the sandbox that it was taken of
 *   │  │  └─ sb-3  Running         what was made of it, below it
 *   │  └─ sb-2  Running            a fork hangs below the sandbox that it was forked from
 *   └─ sb-4  Running
 *
 * An item whose parent is not in the answer, because it is gone or another key's, stands at the left. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64

struct tree {
    const json_t *items;
    size_t n;
    size_t *parents; /* index of the item above; n: none */
    char indent[DEPTH_MAX * 8];
};

static const char *text_of(const struct tree *self, size_t i, const char *name)
{
    return json_get_string(json_array_get(self->items, i), name, "");
}

static size_t find(const struct tree *self, const char *id)
{
    for (size_t i = 0; *id && i < self->n; i++)
        if (strcmp(text_of(self, i, "id"), id) == 0)
            return i;
    return self->n;
}

static void put_text(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 127 ? ' ' : *text);
}

static void put_item(const struct tree *self, size_t i)
{
    const char *kind = text_of(self, i, "kind"), *name = text_of(self, i, "name");
    const char *state = text_of(self, i, "state");
    if (strcmp(kind, "template") == 0)
        name = text_of(self, i, "image");
    printf("%s  %s", text_of(self, i, "id"), *state ? state : kind);
    if (*name) {
        fputs("  ", stdout);
        put_text(name);
    }
    putchar('\n');
}

static void put_below(struct tree *self, size_t parent)
{
    size_t length = strlen(self->indent), last = self->n;
    for (size_t i = 0; i < self->n; i++)
        if (self->parents[i] == parent)
            last = i;
    for (size_t i = 0; i < self->n; i++) {
        if (self->parents[i] != parent)
            continue;
        bool is_root = parent == self->n;
        printf("%s%s", self->indent, is_root ? "" : i == last ? "└─ " : "├─ ");
        put_item(self, i);
        bool has_room = length + 8 < sizeof self->indent;
        strcpy(self->indent + length, is_root || !has_room ? "" : i == last ? "   " : "│  ");
        put_below(self, i);
        self->indent[length] = 0;
    }
}

static int put_tree(struct cli *cli, const json_t *items)
{
    struct tree tree = { .items = items, .n = json_array_size(items) };
    auto_free size_t *parents = calloc(tree.n + 1, sizeof *parents);
    if (!parents)
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    tree.parents = parents;
    for (size_t i = 0; i < tree.n; i++)
        parents[i] = find(&tree, text_of(&tree, i, "parent"));
    put_below(&tree, tree.n);
    return CLI_OK;
}

static int run(struct cli *cli, struct request *request)
{
    struct reply reply;
    int status = cli_send(cli, request, &reply);
    if (status != CLI_OK)
        return status;
    if (cli->is_json)
        output_reply(&reply);
    else
        status = put_tree(cli, json_object_get(reply.json, "items"));
    reply_deinit(&reply);
    return status;
}

const struct verb verb_tree = {
    .name = "tree",
    .usage = "",
    .operation = "tree",
    .run = run,
    .text = "A checkpoint hangs below the sandbox that it was taken of, a fork below the sandbox that it\n"
            "was forked from, and what a checkpoint or a template was made into below that.\n",
};
