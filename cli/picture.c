#include "cli/picture.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *picture_format(const char *file)
{
    static const struct {
        const char *end, *format;
    } ends[] = { { ".png", "png" }, { ".jpg", "jpeg" }, { ".jpeg", "jpeg" }, { ".webp", "webp" } };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t n = strlen(file), n_end = strlen(ends[i].end);
        if (n > n_end && strcasecmp(file + n - n_end, ends[i].end) == 0)
            return ends[i].format;
    }
    return NULL;
}

int picture_check(struct cli *cli, const char *file)
{
    if (strcmp(file, "-") != 0 || !isatty(STDOUT_FILENO))
        return CLI_OK;
    return cli_fail(cli, CLI_USAGE, "terminal",
                    "standard output is a terminal; name a file with -o FILE");
}

/* Pipes and devices cannot be replaced by a new file. */
static int write_special(const char *file, const void *data, size_t size, struct error *err)
{
    auto_fd int fd = open(file, O_WRONLY | O_CLOEXEC);
    const char *at = data;
    if (fd < 0)
        return error_errno(err, errno, "opening %s", file);
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "writing %s", file);
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int picture_write(struct cli *cli, const char *file, const void *data, size_t size)
{
    struct error err = { 0 };
    struct stat st;
    if (strcmp(file, "-") == 0)
        return fwrite(data, 1, size, stdout) == size ? CLI_OK : CLI_FAILED;
    bool is_special = stat(file, &st) == 0 && !S_ISREG(st.st_mode);
    int r = is_special ? write_special(file, data, size, &err)
                       : fs_write_atomic(file, data, size, 0666, &err);
    return r < 0 ? cli_fail_error(cli, CLI_FAILED, &err) : CLI_OK;
}

int picture_save(struct cli *cli, const json_t *answer, const char *file)
{
    auto_buf struct buf bytes = BUF_INIT;
    const json_t *image = json_object_get(answer, "image"), *data = json_object_get(image, "data");
    if (!json_is_string(data))
        return cli_fail(cli, CLI_FAILED, "no_image", "the answer has no image");
    if (buf_append_base64_text(&bytes, json_string_value(data), json_string_length(data)) < 0)
        return cli_fail(cli, CLI_FAILED, "bad_image", "the answer's image is not base64");
    int status = picture_write(cli, file, bytes.data, bytes.size);
    if (status == CLI_OK && strcmp(file, "-") != 0)
        printf("%s\t%zu\t%lldx%lld\tframe %lld\n", file, bytes.size,
               (long long)json_get_int(image, "width", 0),
               (long long)json_get_int(image, "height", 0),
               (long long)json_get_int(image, "frame", 0));
    return status;
}
