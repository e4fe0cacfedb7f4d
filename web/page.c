#include "web/page.h"

#include "base/fs.h"
#include "base/id.h"
#include "web/negotiate.h"
#include "web/server.h"

#include <string.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)

static const struct page_file *find_file(const char *name)
{
    for (size_t i = 0; i < page_n_files; i++) {
        if (strcmp(page_files[i].name, name) == 0)
            return &page_files[i];
    }
    return NULL;
}

/* Behind /desktops/: ID or ID/terminal. */
static const struct page_file *find_desktop_page(const char *rest)
{
    char id[ID_MAX] = "";
    size_t n = strcspn(rest, "/");
    if (n < sizeof id)
        memcpy(id, rest, n);
    if (!id_is_valid(id))
        return NULL;
    return !rest[n]                            ? find_file("desktop.html")
           : strcmp(rest + n, "/terminal") == 0 ? find_file("terminal.html")
                                                : NULL;
}

/* Behind /recordings/: ID. */
static const struct page_file *find_recording_page(const char *rest)
{
    return id_is_valid(rest) ? find_file("replay.html") : NULL;
}

/* Names are looked up in the table and never joined to a path as they come. */
static const struct page_file *find_page(const char *path)
{
    static const char desktops[] = "/desktops/", parts[] = "/ui/", recordings[] = "/recordings/";
    if (strcmp(path, "/") == 0)
        return find_file("index.html");
    if (strcmp(path, "/recordings") == 0)
        return find_file("recordings.html");
    if (strncmp(path, recordings, sizeof recordings - 1) == 0)
        return find_recording_page(path + sizeof recordings - 1);
    if (strcmp(path, "/tree") == 0)
        return find_file("tree.html");
    if (strncmp(path, desktops, sizeof desktops - 1) == 0)
        return find_desktop_page(path + sizeof desktops - 1);
    return strncmp(path, parts, sizeof parts - 1) == 0 ? find_file(path + sizeof parts - 1) : NULL;
}

bool page_exists(const struct web *web maybe_unused, const char *path)
{
    return find_page(path) != NULL;
}

static struct bytes *load(const struct web *web, const struct page_file *file)
{
    auto_buf struct buf out = BUF_INIT;
    auto_free char *path = web->ui_dir ? fs_join(web->ui_dir, file->name) : NULL;
    if (path && fs_read(path, FILE_BYTES_MAX, &out, NULL) == 0)
        return bytes_copy(out.data, out.size);
    return bytes_copy(file->data, file->size);
}

void page_answer(struct request *self)
{
    const struct page_file *file = find_page(self->path);
    buf_puts(&self->headers, guard_page_headers);
    request_add_header(self, "Cache-Control", "no-cache");
    if (!self->web->ui_dir)
        request_add_header(self, "ETag", "\"%s\"", file->etag);
    if (!self->web->ui_dir && negotiate_etag_matches(self->if_none_match, file->etag))
        request_answer_empty(self, 304);
    else
        request_answer_bytes(self, 200, file->content_type, load(self->web, file));
}
