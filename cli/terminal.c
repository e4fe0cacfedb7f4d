#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };

static int signal_pipe[2] = { -1, -1 };
static struct sigaction before[ARRAY_LEN(numbers)];
static struct termios cooked;
static bool is_raw_now;

static void handle_signal(int number)
{
    int saved = errno;
    char byte = (char)number;
    /* A full pipe holds enough of them. */
    if (write(signal_pipe[1], &byte, 1) < 0)
        errno = saved;
    errno = saved;
}

/* Leaves signals to the terminal's other side: those keys are bytes like others. */
static void make_raw(void)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &cooked) < 0)
        return;
    raw = cooked;
    cfmakeraw(&raw);
    is_raw_now = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void terminal_start(bool is_raw)
{
    struct sigaction action = { .sa_handler = handle_signal };
    if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaction(numbers[i], &action, &before[i]);
    if (is_raw)
        make_raw();
}

void terminal_stop(void)
{
    if (is_raw_now)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
    is_raw_now = false;
    for (size_t i = 0; signal_pipe[0] >= 0 && i < ARRAY_LEN(numbers); i++)
        sigaction(numbers[i], &before[i], NULL);
}

int terminal_signals(void)
{
    return signal_pipe[0];
}

int terminal_next_signal(void)
{
    char byte;
    return read(signal_pipe[0], &byte, 1) == 1 ? byte : 0;
}

bool terminal_size(int *ret_columns, int *ret_rows)
{
    struct winsize size;
    for (int fd = 0; fd <= 2; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
            *ret_columns = size.ws_col;
            *ret_rows = size.ws_row;
            return true;
        }
    }
    return false;
}
