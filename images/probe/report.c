#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"
#define READY_PORT "org.deskfarm.ready.0"

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

static bool is_ready_port(const char *device)
{
    char path[300], name[64] = "";
    snprintf(path, sizeof path, PORTS "/%s/name", device);
    FILE *file = fopen(path, "re");
    bool is_it = file && fscanf(file, "%63s", name) == 1 && strcmp(name, READY_PORT) == 0;
    if (file)
        fclose(file);
    return is_it;
}

void report_up(void)
{
    char path[300];
    DIR *dir = opendir(PORTS);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        if (is_ready_port(entry->d_name) && open(path, O_RDWR | O_CLOEXEC) >= 0)
            break;
    }
    if (dir)
        closedir(dir);
}
