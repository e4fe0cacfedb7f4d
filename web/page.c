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

/* Names are looked up in the table and never joined to a path as they come. */
static const struct page_file *find_page(const char *path)
{
    static const char desktops[] = "/desktops/", parts[] = "/ui/";
    if (strcmp(path, "/") == 0)
        return find_file("index.html");
    if (strncmp(path, desktops, sizeof desktops - 1) == 0 &&
        id_is_valid(path + sizeof desktops - 1))
        return find_file("desktop.html");
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
