#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int serial = -1;
static json_int_t count;

int report_open(const char *path)
{
    serial = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios mode;
    if (serial < 0 || tcgetattr(serial, &mode) < 0)
        return -1;
    cfmakeraw(&mode);
    cfsetspeed(&mode, B115200);
    mode.c_cflag |= CLOCAL | CREAD;
    return tcsetattr(serial, TCSANOW, &mode) < 0 ? -1 : serial;
}

int64_t report_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void report(json_t *event)
{
    if (!event)
        return;
    if (!json_object_get(event, "t_us"))
        json_object_set_new(event, "t_us", json_integer(report_now_us()));
    json_object_set_new(event, "n", json_integer(++count));
    char *line = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (!line)
        return;
    size_t size = strlen(line);
    line[size++] = '\n'; /* the terminator's place; the line goes out by size */
    for (size_t done = 0; done < size;) {
        ssize_t n = write(serial, line + done, size - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    free(line);
}
