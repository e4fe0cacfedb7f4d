/* deskfarm-ocr: the helper that reads the text of one desktop's pictures.
 *
 * Started in a jail (no network, no files but Tesseract's data, no other process) with one socket, at
 * OCR_HELPER_FD. It loads its data, closes the fence, and then reads one picture after the other until
 * the socket ends. What a picture might break is this process, which knows nothing but pictures of
 * the same desktop.
 *
 * Text on screens is small: x-heights of 6 to 8 pixels, where Tesseract was taught with 20 and more.
 * So pictures are enlarged ENLARGE times (bilinear), as far as MEMORY_BYTES allows. On a desktop of 1280x800
 * that takes 0.3 to 2 s of one CPU, by the amount of text. It runs niced: it may not be felt. */
#include "base/fence.h"
#include "display/ocr/wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tesseract/capi.h>

#define ENLARGE 3
#define ENLARGED_MAX (24 << 20) /* pixels */
#define MEMORY_BYTES ((rlim_t)2 << 30)
/* Percent, below which it is mostly what icons look like. A word of one or two characters has to be surer. */
#define CONFIDENCE_MIN 25
#define SHORT_CONFIDENCE_MIN 60
#define SHORT_MAX 2
#define SPARSE_TEXT 11    /* PSM_SPARSE_TEXT: a screen is no page */

static TessBaseAPI *reader;

/* --- Pictures ---------------------------------------------------------------------------------- */

static int enlargement(int width, int height)
{
    int by = ENLARGE;
    while (by > 1 && (int64_t)width * by * height * by > ENLARGED_MAX)
        by--;
    return by;
}

/* Bilinear between pixel centres; by times as large. */
static uint8_t *enlarge(const uint8_t *from, int width, int height, int by)
{
    int w = width * by, h = height * by;
    uint8_t *to = malloc((size_t)w * (size_t)h);
    for (int y = 0; to && y < h; y++) {
        int fy = CLAMP(2 * y + 1 - by, 0, 2 * by * (height - 1)), y0 = fy / (2 * by), dy = fy % (2 * by);
        const uint8_t *a = from + (size_t)y0 * (size_t)width;
        const uint8_t *b = y0 + 1 < height ? a + width : a;
        for (int x = 0; x < w; x++) {
            int fx = CLAMP(2 * x + 1 - by, 0, 2 * by * (width - 1)), x0 = fx / (2 * by), dx = fx % (2 * by);
            int x1 = MIN(x0 + 1, width - 1), whole = 2 * by;
            int top = a[x0] * (whole - dx) + a[x1] * dx, bottom = b[x0] * (whole - dx) + b[x1] * dx;
            to[(size_t)y * (size_t)w + (size_t)x] =
                (uint8_t)((top * (whole - dy) + bottom * dy + whole * whole / 2) / (whole * whole));
        }
    }
    return to;
}

/* --- Reading ----------------------------------------------------------------------------------- */

static int n_characters(const char *utf8)
{
    int n = 0;
    for (; *utf8; utf8++)
        n += (*utf8 & 0xc0) != 0x80;
    return n;
}

static bool is_sure(const char *text, int confidence)
{
    return confidence <= 100 && confidence >= (n_characters(text) <= SHORT_MAX ? SHORT_CONFIDENCE_MIN : CONFIDENCE_MIN);
}

static bool take_word(TessResultIterator *at, int width, int height, int by, struct word *ret)
{
    int left, top, right, bottom;
    char *text = TessResultIteratorGetUTF8Text(at, RIL_WORD);
    bool is_good = text && TessPageIteratorBoundingBox(TessResultIteratorGetPageIterator(at), RIL_WORD, &left,
                                                       &top, &right, &bottom);
    *ret = (struct word){ .confidence = (int)TessResultIteratorConfidence(at, RIL_WORD) };
    if (is_good) {
        int x = left / by, y = top / by;
        ret->rect = (struct rect){ x, y, (right + by - 1) / by - x, (bottom + by - 1) / by - y };
        ret->rect = rect_intersect(ret->rect, (struct rect){ 0, 0, width, height });
        size_t n = strlen(text);
        is_good = n > 0 && n <= WORD_TEXT_MAX && word_text_is_good(text, n) && !rect_is_empty(ret->rect) &&
                  is_sure(text, ret->confidence);
        memcpy(ret->text, text, is_good ? n : 0);
    }
    TessDeleteText(text);
    return is_good;
}

static uint32_t collect(int width, int height, int by, struct buf *out)
{
    uint32_t n = 0;
    struct word word;
    TessResultIterator *at = TessBaseAPIGetIterator(reader);
    bool has_more = at != NULL;
    while (has_more && n < WORDS_MAX) {
        if (take_word(at, width, height, by, &word) && ocr_wire_add(out, &word))
            n++;
        has_more = TessResultIteratorNext(at, RIL_WORD);
    }
    if (at)
        TessResultIteratorDelete(at);
    return n;
}

/* Words of a grey picture; none when memory is short. */
static uint32_t read_words(const uint8_t *grey, int width, int height, struct buf *out)
{
    int by = enlargement(width, height);
    auto_free uint8_t *large = enlarge(grey, width, height, by);
    if (!large)
        return 0;
    TessBaseAPISetImage(reader, large, width * by, height * by, 1, width * by);
    TessBaseAPISetSourceResolution(reader, 96 * by);
    uint32_t n = TessBaseAPIRecognize(reader, NULL) == 0 ? collect(width, height, by, out) : 0;
    TessBaseAPIClear(reader);
    return n;
}

/* --- Requests ---------------------------------------------------------------------------------- */

static bool receive(struct ocr_request *ret, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control;
    struct iovec part = { ret, sizeof *ret };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    ssize_t n;
    do
        n = recvmsg(OCR_HELPER_FD, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *ret_fd = -1;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(head), sizeof *ret_fd);
    return n == sizeof *ret && ret->magic == OCR_MAGIC && ret->width > 0 && ret->height > 0 &&
           ret->width <= OCR_SIDE_MAX && ret->height <= OCR_SIDE_MAX &&
           (size_t)ret->width * (size_t)ret->height <= OCR_PIXELS_MAX;
}

static bool send_all(const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = send(OCR_HELPER_FD, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool turn(void)
{
    struct ocr_request request;
    auto_fd int fd = -1;
    struct stat st;
    if (!receive(&request, &fd))
        return false;
    size_t size = (size_t)request.width * (size_t)request.height;
    if (fstat(fd, &st) < 0 || (size_t)st.st_size < size)
        return false;
    void *grey = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (grey == MAP_FAILED)
        return false;
    auto_buf struct buf records = { .limit = OCR_REPLY_MAX };
    struct ocr_reply reply = { .magic = OCR_MAGIC, .id = request.id };
    reply.n_words = read_words(grey, request.width, request.height, &records);
    reply.size = (uint32_t)records.size;
    munmap(grey, size);
    return send_all(&reply, sizeof reply) && send_all(records.data, records.size);
}

static int begin(const char *data)
{
    static const uint8_t blank[64 * 64];
    auto_buf struct buf none = BUF_INIT;
    struct rlimit memory = { MEMORY_BYTES, MEMORY_BYTES };
    reader = TessBaseAPICreate();
    if (TessBaseAPIInit3(reader, data, "eng") != 0) {
        fprintf(stderr, "Tesseract has no data for eng in %s\n", data);
        return -ENOENT;
    }
    TessBaseAPISetPageSegMode(reader, SPARSE_TEXT);
    TessBaseAPISetVariable(reader, "debug_file", "/dev/null");
    read_words(blank, 64, 64, &none); /* what is loaded at first use */
#ifndef __SANITIZE_ADDRESS__
    if (setrlimit(RLIMIT_AS, &memory) < 0)
        return -errno;
#else
    (void)memory;
#endif
    int r = fence_enter();
    return r < 0 ? r : fence_no_processes();
}

/* libgomp reads its limit of threads when it is loaded. */
static void become_single(char **argv)
{
    if (getenv("OMP_THREAD_LIMIT"))
        return;
    setenv("OMP_THREAD_LIMIT", "1", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    become_single(argv);
    signal(SIGPIPE, SIG_IGN);
    setpriority(PRIO_PROCESS, 0, 10);
    int r = begin(argc > 1 ? argv[1] : "/tessdata");
    if (r < 0) {
        fprintf(stderr, "cannot begin: %s\n", strerror(-r));
        return 2;
    }
    while (turn())
        ;
    _exit(0);
}
