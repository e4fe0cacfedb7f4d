/* Our screenshots and input events beside the other ways into the same guest, taken in turns in one
 * run: QMP's screendump and a VNC client for the screen, QMP's send-key for input.
 *
 * Before each shot the guest paints a rectangle in a new colour, says so on its console, and the
 * frame with it has reached our display; so QEMU's surface has it too. The clock starts then and
 * stops when the whole picture lies in this process's memory. After it has stopped the picture is
 * decoded and the rectangle's colour is looked at: a shot of an older screen counts as WRONG.
 *
 * What favours whom. Ours pays nothing for the transport of pixels, since they came when they were
 * painted; that time is in no row, except in the one that registers the listener first. All run on
 * the guest's machine while its virtual CPUs are idle. QEMU refreshes VNC every 30 ms here because a
 * D-Bus display is there too; one with VNC alone slows down to once in 3 s on a quiet screen
 * (ui/vnc.c), so VNC looks better here than where it is used.
 *
 * Usage: bench-paired [WIDTHxHEIGHT [ROUNDS]] */
#include "base/clock.h"
#include "display/encode.h"
#include "display/still.h"
#include "tests/bench/host.h"
#include "tests/bench/rig.h"
#include "tests/bench/samples.h"
#ifdef HAVE_VNC
#include "tests/bench/vnc.h"
#endif

#include <spng.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <turbojpeg.h>

#define ROUNDS 100
#define HOLD_MS 50
#define DUMP_FDSET 7
#define DUMP_PATH "/dev/fdset/7"

/* The rectangle that changes. */
enum { PATCH_X = 420, PATCH_Y = 330, PATCH_W = 320, PATCH_H = 200 };

struct bench {
    struct rig rig;
    int dump_fd;
    struct vnc *vnc;
    uint32_t state; /* of the random numbers */
    uint32_t colour; /* of the patch now, 0xffRRGGBB */
};

/* A picture as somebody got it. */
struct shot {
    int64_t start_us, end_us;
    size_t bytes;
    uint32_t seen; /* the patch's colour, 0xffRRGGBB; found after end_us */
};

static uint32_t next_random(struct bench *self)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 17;
    self->state ^= self->state << 5;
    return self->state;
}

/* --- Looking at pictures ------------------------------------------------------------------------- */

enum { LOOK_X = PATCH_X + PATCH_W / 2, LOOK_Y = PATCH_Y + PATCH_H / 2 };

static uint32_t rgb_at(const uint8_t *rgb, int width)
{
    const uint8_t *at = rgb + ((size_t)LOOK_Y * (size_t)width + LOOK_X) * 3;
    return 0xff000000u | (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
}

static uint32_t look_at_png(const void *data, size_t size)
{
    spng_ctx *png = spng_ctx_new(0);
    struct spng_ihdr header;
    size_t n = 0;
    uint32_t seen = 0;
    spng_set_png_buffer(png, data, size);
    if (spng_get_ihdr(png, &header) == 0 && spng_decoded_image_size(png, SPNG_FMT_RGB8, &n) == 0) {
        auto_free uint8_t *rgb = malloc(n);
        if (rgb && spng_decode_image(png, rgb, n, SPNG_FMT_RGB8, 0) == 0)
            seen = rgb_at(rgb, (int)header.width);
    }
    spng_ctx_free(png);
    return seen;
}

static uint32_t look_at_jpeg(const void *data, size_t size)
{
    tjhandle tj = tjInitDecompress();
    int width = 0, height = 0, sampling, space;
    uint32_t seen = 0;
    if (tjDecompressHeader3(tj, data, (unsigned long)size, &width, &height, &sampling, &space) == 0) {
        auto_free uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
        if (rgb && tjDecompress2(tj, data, (unsigned long)size, rgb, width, 0, height, TJPF_RGB, 0) == 0)
            seen = rgb_at(rgb, width);
    }
    tjDestroy(tj);
    return seen;
}

/* Within what JPEG loses on a plain patch. */
static bool is_colour(uint32_t a, uint32_t b)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((int)(a >> shift & 255) - (int)(b >> shift & 255)) > 4)
            return false;
    return a != 0;
}

/* --- The guest's screen -------------------------------------------------------------------------- */

static void fill(struct bench *self, int x, int y, int w, int h, uint32_t colour)
{
    probe_fill(self->rig.probe, x, y, w, h, colour);
    /* The guest keeps at most 256 fills. */
    if (self->rig.probe->last_id % 128 == 0)
        rig_wait(&self->rig, self->rig.probe->painted_id == self->rig.probe->last_id);
}

/* Strokes of two pixels' width, as many as a page of text has. */
static void paint_text(struct bench *self, int x, int y, int columns, int lines)
{
    for (int line = 0; line < lines; line++)
        for (int column = 0; column < columns; column++) {
            uint32_t r = next_random(self);
            if (r % 6 == 0)
                continue;
            int w = 2 + (int)(r >> 8) % 5, h = 2 + (int)(r >> 12) % 9;
            fill(self, x + column * 8 + (int)(r >> 16) % 3, y + line * 17 + (10 - h) / 2, w, h,
                 r & 1 << 20 ? 0x202020 : 0x707070);
        }
}

/* Windows on the guest's own pattern, which stands for a wallpaper. */
static void paint_desktop(struct bench *self, int width, int height)
{
    fill(self, 0, 0, width, 26, 0x2b2b2b);
    fill(self, 120, 60, width * 6 / 10, height * 7 / 10, 0xfafafa);
    fill(self, 120, 60, width * 6 / 10, 30, 0x3584e4);
    paint_text(self, 130, 100, width * 6 / 80 - 4, height * 7 / 170 - 4);
    fill(self, width / 2, height / 3, width * 4 / 10, height / 2, 0xffffff);
    fill(self, width / 2, height / 3, width * 4 / 10, 30, 0xd6d6d6);
    paint_text(self, width / 2 + 10, height / 3 + 40, width * 4 / 80 - 4, height / 34 - 4);
    rig_wait(&self->rig, self->rig.probe->painted_id == self->rig.probe->last_id);
}

static void change_screen(struct bench *self)
{
    uint32_t colour = next_random(self) | 0xff000000u;
    self->colour = colour;
    int64_t id = probe_fill(self->rig.probe, PATCH_X, PATCH_Y, PATCH_W, PATCH_H, colour);
    rig_wait(&self->rig, self->rig.probe->painted_id == id);
}

/* --- Ours ---------------------------------------------------------------------------------------- */

static void handle_still(void *data, const struct still *still, const struct error *err maybe_unused)
{
    struct shot *shot = data;
    shot->end_us = clock_now_us();
    shot->bytes = still ? still->bytes->size : 0;
    if (still && still->params.format == STILL_PNG)
        shot->seen = look_at_png(still->bytes->data, still->bytes->size);
    else if (still)
        shot->seen = look_at_jpeg(still->bytes->data, still->bytes->size);
}

static void take_still(struct bench *self, struct shot *shot, enum still_format format)
{
    struct display *display = self->rig.display;
    const struct still_params params = { .format = format, .with_cursor = true };
    struct error err = { 0 };
    display_flush(display);
    if (stills_request(display_stills(display), display_frame(display), display_cursor(display), &params,
                       handle_still, shot, NULL, &err) < 0)
        rig_die(&self->rig, "%s", err.message);
    rig_wait(&self->rig, shot->end_us);
}

static void shoot_png(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    take_still(self, shot, STILL_PNG);
}

static void shoot_jpeg(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    take_still(self, shot, STILL_JPEG);
}

/* The picture of the shot before, once more. */
static void shoot_unchanged(struct bench *self, struct shot *shot)
{
    struct shot first = { 0 };
    take_still(self, &first, STILL_PNG);
    shot->start_us = clock_now_us();
    take_still(self, shot, STILL_PNG);
}

/* Nobody held the display: the listener comes first, and with it the whole screen. */
static void shoot_unheld(struct bench *self, struct shot *shot)
{
    struct display *display = self->rig.display;
    display_release(display);
    rig_wait(&self->rig, display_screen(display) == DISPLAY_UNKNOWN);
    shot->start_us = clock_now_us();
    display_hold(display);
    rig_wait(&self->rig, display_screen(display) == DISPLAY_ON);
    take_still(self, shot, STILL_PNG);
}

/* --- QMP screendump ------------------------------------------------------------------------------ */

/* QEMU writes through a descriptor that it keeps, so no file system is involved. It opens the set
 * write-only and its place in the file is shared with ours. */
static void open_dump(struct bench *self)
{
    char path[64];
    self->dump_fd = memfd_create("screendump", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", self->dump_fd);
    int theirs = open(path, O_WRONLY | O_CLOEXEC);
    if (theirs < 0)
        abort();
    int kept = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
    json_decref(rig_call(&self->rig, self->rig.other_qmp, "add-fd", json_pack("{si}", "fdset-id", DUMP_FDSET),
                         theirs, NULL));
    close(self->dump_fd);
    self->dump_fd = kept;
}

static struct bytes *dump(struct bench *self, const char *format)
{
    char path[64];
    if (lseek(self->dump_fd, 0, SEEK_SET) < 0 || ftruncate(self->dump_fd, 0) < 0)
        abort();
    json_t *args = json_pack("{ss ss}", "filename", DUMP_PATH, "format", format);
    json_decref(rig_call(&self->rig, self->rig.other_qmp, "screendump", args, -1, NULL));
    off_t size = lseek(self->dump_fd, 0, SEEK_END);
    snprintf(path, sizeof path, "/proc/self/fd/%d", self->dump_fd);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct bytes *bytes = bytes_new((size_t)size);
    if (!bytes || pread(fd, bytes->data, bytes->size, 0) != (ssize_t)bytes->size)
        abort();
    return bytes;
}

static void shoot_dump_png(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    auto_bytes struct bytes *bytes = dump(self, "png");
    shot->end_us = clock_now_us();
    shot->bytes = bytes->size;
    shot->seen = look_at_png(bytes->data, bytes->size);
}

/* Where the rows of a binary PPM begin: after "P6 WIDTH HEIGHT 255" and one white space. */
static const uint8_t *parse_ppm(const struct bytes *ppm, int *ret_width, int *ret_height)
{
    int used = 0, most = 0;
    char head[64] = "";
    memcpy(head, ppm->data, MIN(ppm->size, sizeof head - 1));
    if (sscanf(head, "P6 %d %d %d%n", ret_width, ret_height, &most, &used) != 3 || most != 255)
        abort();
    return ppm->data + used + 1;
}

static void shoot_dump_ppm(struct bench *self, struct shot *shot)
{
    int width, height;
    shot->start_us = clock_now_us();
    auto_bytes struct bytes *ppm = dump(self, "ppm");
    shot->end_us = clock_now_us();
    shot->bytes = ppm->size;
    const uint8_t *rgb = parse_ppm(ppm, &width, &height);
    shot->seen = rgb_at(rgb, width);
}

/* The best that can be made of a PPM: our encoder. */
static void shoot_dump_ppm_png(struct bench *self, struct shot *shot)
{
    int width, height;
    shot->start_us = clock_now_us();
    auto_bytes struct bytes *ppm = dump(self, "ppm");
    const uint8_t *rgb = parse_ppm(ppm, &width, &height);
    size_t n = (size_t)width * (size_t)height;
    auto_free uint32_t *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; pixels && i < n; i++)
        pixels[i] = 0xff000000u | (uint32_t)rgb[3 * i] << 16 | (uint32_t)rgb[3 * i + 1] << 8 | rgb[3 * i + 2];
    struct encode_rows rows = encode_rows_of(pixels, width, height);
    auto_bytes struct bytes *png = encode_png(&rows);
    shot->end_us = clock_now_us();
    shot->bytes = png->size;
    shot->seen = look_at_png(png->data, png->size);
}

/* --- VNC ----------------------------------------------------------------------------------------- */

#ifdef HAVE_VNC

static void need_vnc(struct bench *self, bool is_good)
{
    if (!is_good)
        rig_die(&self->rig, "the VNC connection failed");
}

static void look_at_vnc(struct vnc *vnc, struct shot *shot)
{
    int width, height;
    const uint32_t *pixels = vnc_pixels(vnc, &width, &height);
    shot->bytes = (size_t)width * (size_t)height * 4;
    shot->seen = pixels[LOOK_Y * width + LOOK_X] | 0xff000000u;
}

static void finish_vnc_png(struct vnc *vnc, struct shot *shot)
{
    int width, height;
    const uint32_t *pixels = vnc_pixels(vnc, &width, &height);
    struct encode_rows rows = encode_rows_of(pixels, width, height);
    auto_bytes struct bytes *png = encode_png(&rows);
    shot->end_us = clock_now_us();
    look_at_vnc(vnc, shot);
    shot->bytes = png->size;
}

static void shoot_vnc_raw(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    need_vnc(self, vnc_ask(self->vnc) && vnc_wait(self->vnc));
    shot->end_us = clock_now_us();
    look_at_vnc(self->vnc, shot);
}

static void shoot_vnc_png(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    need_vnc(self, vnc_ask(self->vnc) && vnc_wait(self->vnc));
    finish_vnc_png(self->vnc, shot);
}

/* Hanging up is not in the time. */
static void shoot_vnc_fresh(struct bench *self, struct shot *shot)
{
    shot->start_us = clock_now_us();
    struct vnc *vnc = vnc_connect(self->rig.vnc_path);
    need_vnc(self, vnc && vnc_wait(vnc));
    finish_vnc_png(vnc, shot);
    vnc_close(vnc);
}

static void open_vnc(struct bench *self)
{
    self->vnc = vnc_connect(self->rig.vnc_path);
    need_vnc(self, self->vnc && vnc_wait(self->vnc));
}

static void close_vnc(struct bench *self)
{
    self->vnc = vnc_close(self->vnc);
}

#else

static void open_vnc(struct bench *self maybe_unused)
{
    printf("\nBuilt without libvncclient (libvncserver-dev): no VNC rows.\n");
}

static void close_vnc(struct bench *self maybe_unused) {}

#endif

/* --- Screenshots, in turns ------------------------------------------------------------------------ */

struct contender {
    void (*shoot)(struct bench *self, struct shot *shot);
    struct samples samples;
};

static void take_turn(struct bench *self, struct contender *contender)
{
    struct shot shot = { 0 };
    contender->shoot(self, &shot);
    samples_add(&contender->samples, shot.end_us - shot.start_us);
    contender->samples.bytes = shot.bytes;
    contender->samples.n_wrong += !is_colour(shot.seen, self->colour);
}

static void bench_shots(struct bench *self, int rounds)
{
    struct contender contenders[] = {
        { shoot_unchanged, { .name = "deskfarm, PNG, unchanged since the last" } },
        { shoot_png, { .name = "deskfarm, PNG" } },
        { shoot_jpeg, { .name = "deskfarm, JPEG 85" } },
        { shoot_unheld, { .name = "deskfarm, PNG, nobody looked before: listener, then still" } },
        { shoot_dump_png, { .name = "QMP screendump, PNG" } },
        { shoot_dump_ppm, { .name = "QMP screendump, PPM" } },
        { shoot_dump_ppm_png, { .name = "QMP screendump, PPM, then our PNG encoder" } },
#ifdef HAVE_VNC
        { shoot_vnc_raw, { .name = "VNC, connected, whole update: pixels only" } },
        { shoot_vnc_png, { .name = "VNC, connected, whole update, then our PNG encoder" } },
        { shoot_vnc_fresh, { .name = "VNC, a connection per shot, then our PNG encoder" } },
#endif
    };
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < ARRAY_LEN(contenders); i++) {
            change_screen(self);
            rig_wait(&self->rig, rig_pixel(&self->rig, LOOK_X, LOOK_Y) == self->colour);
            take_turn(self, &contenders[(i + (size_t)round) % ARRAY_LEN(contenders)]);
        }
    samples_print_head("screenshot of a changed screen");
    for (size_t i = 0; i < ARRAY_LEN(contenders); i++) {
        samples_print(&contenders[i].samples);
        samples_deinit(&contenders[i].samples);
    }
}

/* --- Input, in turns ------------------------------------------------------------------------------ */

/* Both events of the key have arrived in the guest. */
static void await_keys(struct bench *self, int n)
{
    rig_wait(&self->rig, self->rig.probe->n_keys == n);
}

static void press_ours(struct bench *self, struct samples *queued, struct samples *arrived)
{
    struct probe *probe = self->rig.probe;
    int n = probe->n_keys;
    int64_t start = clock_now_us();
    struct input_result result = rig_play(&self->rig, "{\"type\": \"key_down\", \"keys\": \"a\"}");
    await_keys(self, n + 1);
    samples_add(queued, result.injected_last_us - start);
    samples_add(arrived, probe->key_us - start);
    rig_play(&self->rig, "{\"type\": \"key_up\", \"keys\": \"a\"}");
    await_keys(self, n + 2);
}

/* Up follows after hold-time, by QEMU's own clock, and QEMU holds back everybody's events for as long
 * again after that. */
static void press_theirs(struct bench *self, struct samples *queued, struct samples *arrived)
{
    struct probe *probe = self->rig.probe;
    int n = probe->n_keys;
    int64_t start = clock_now_us(), answered;
    json_t *args = json_pack("{s[{ss ss}] si}", "keys", "type", "qcode", "data", "a", "hold-time", HOLD_MS);
    json_decref(rig_call(&self->rig, self->rig.other_qmp, "send-key", args, -1, &answered));
    await_keys(self, n + 1);
    samples_add(queued, answered - start);
    samples_add(arrived, probe->key_us - start);
    await_keys(self, n + 2);
}

static void bench_input(struct bench *self, int rounds)
{
    struct samples rows[] = {
        { .name = "deskfarm: action → QEMU has answered" },
        { .name = "deskfarm: action → guest's client has reported it" },
        { .name = "QMP send-key: command → QEMU has answered" },
        { .name = "QMP send-key: command → guest's client has reported it" },
    };
    for (int round = 0; round < rounds; round++) {
        press_ours(self, &rows[0], &rows[1]);
        rig_pass(&self->rig, 2 * HOLD_MS * 1000);
        press_theirs(self, &rows[2], &rows[3]);
        rig_pass(&self->rig, 2 * HOLD_MS * 1000);
    }
    samples_print_head("a key goes down");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        samples_print(&rows[i]);
        samples_deinit(&rows[i]);
    }
}

int main(int argc, char **argv)
{
    int width = 1280, height = 800;
    if (argc > 1 && (sscanf(argv[1], "%dx%d", &width, &height) != 2 || width < 1024 || height < 720)) {
        fprintf(stderr, "Usage: %s [WIDTHxHEIGHT [ROUNDS]], at least 1024x720\n", argv[0]);
        return 2;
    }
    struct bench bench = { .state = 0x2545f491 };
    struct host_load load;
    rig_start(&bench.rig, width, height);
    host_print();
    printf("QEMU: %s, accelerator %s\nScreen: %dx%d\n", bench.rig.qemu_version, accel_name(bench.rig.accel),
           width, height);
    display_set_linger(bench.rig.display, 0);
    open_dump(&bench);
    open_vnc(&bench);
    paint_desktop(&bench, width, height);
    host_load_begin(&load, process_pid(bench.rig.qemu));
    bench_shots(&bench, argc > 2 ? atoi(argv[2]) : ROUNDS);
    bench_input(&bench, argc > 2 ? atoi(argv[2]) : ROUNDS);
    host_load_print(&load);
    close_vnc(&bench);
    rig_stop(&bench.rig);
    return 0;
}
