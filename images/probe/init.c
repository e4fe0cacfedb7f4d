/*
 * init.c: process 1 of the probe guest.
 *
 * The guest is one initramfs and five programs: this one, the host's agent and its helper in the
 * desktop, Xorg and the probe client. There is no udev and no service manager, because a test waits
 * for every second of the boot. What udev would do is done here:
 *
 *  - modules are loaded in the order of /etc/modules, which the recipe writes with dependencies
 *    first;
 *  - Xorg's libinput driver takes a device only if udev's database describes it, so one record per
 *    input device is written by hand. A device with absolute axes is called a mouse, which is what
 *    udev calls a tablet without a pen;
 *  - display changes reach the client over the kernel's own uevents (screen.c).
 *
 * Then it waits: for the ACPI power button, which powers off at once (nothing is mounted that
 * could be damaged), and for the death of a child. The agent and the helper are started again; the
 * death of another is reported on the serial port as {"ev":"fatal",…} and leaves the guest up, so
 * that the reason can be read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERIAL "/dev/ttyS0"
#define XORG_LOG "/run/Xorg.log"
#define CHILD_LOG "/run/children.log"
#define MOUSE_WAIT_MS 3000
#define AGENT_AGAIN_US 100000
#define USER_ID 1000

static void report_fatal(const char *what)
{
    FILE *serial = fopen(SERIAL, "w");
    if (!serial)
        return;
    fprintf(serial, "\r\n{\"ev\":\"fatal\",\"message\":\"%s\"}\r\n", what);
    FILE *log = fopen(XORG_LOG, "r");
    char line[512];
    while (log && fgets(line, sizeof line, log))
        fprintf(serial, "# %s\r", line);
    if (log)
        fclose(log);
    fclose(serial);
}

static void mount_all(void)
{
    static const char *const table[][2] = {
        { "devtmpfs", "/dev" }, { "proc", "/proc" }, { "sysfs", "/sys" }, { "tmpfs", "/run" },
        { "tmpfs", "/tmp" }, { "devpts", "/dev/pts" },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mkdir(table[i][1], 0755);
        if (mount(table[i][0], table[i][1], table[i][0], MS_NOSUID, NULL) < 0)
            perror(table[i][1]);
    }
    chmod("/tmp", 01777);
    mkdir("/tmp/.X11-unix", 01777);
    mkdir("/run/udev", 0755);
    mkdir("/run/udev/data", 0755);
}

/* What a distribution sets up for programs: loopback, a name, homes. */
static void set_up_system(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &loopback) < 0)
        perror("lo");
    if (fd >= 0)
        close(fd);
    if (sethostname("probe", 5) < 0 || chown("/home/user", USER_ID, USER_ID) < 0)
        perror("probe");
}

static void load_modules(void)
{
    FILE *list = fopen("/etc/modules", "r");
    char path[256];
    while (list && fscanf(list, "%255s", path) == 1) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
            perror(path);
        if (fd >= 0)
            close(fd);
    }
    if (list)
        fclose(list);
}

static bool has_bit(int fd, int type, unsigned bit)
{
    unsigned char bits[KEY_MAX / 8 + 1] = { 0 };
    if (ioctl(fd, EVIOCGBIT(type, sizeof bits), bits) < 0)
        return false;
    return bits[bit / 8] >> bit % 8 & 1;
}

/* Tells libinput what kind of device this is, in the form in which udev would have. */
static void describe_input(const char *name, const char *properties)
{
    char path[300], number[32] = "";
    snprintf(path, sizeof path, "/sys/class/input/%s/dev", name);
    FILE *dev = fopen(path, "r");
    if (!dev)
        return;
    if (fscanf(dev, "%31s", number) != 1)
        *number = '\0';
    fclose(dev);
    snprintf(path, sizeof path, "/run/udev/data/c%s", number);
    FILE *record = fopen(path, "w");
    if (!record)
        return;
    fprintf(record, "I:1\nE:ID_INPUT=1\n%sV:1\n", properties);
    fclose(record);
}

static bool has_mouse(void)
{
    bool found = false;
    DIR *dir = opendir("/dev/input");
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        char path[300];
        snprintf(path, sizeof path, "/dev/input/%s", entry->d_name);
        int fd = strncmp(entry->d_name, "event", 5) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        found = has_bit(fd, EV_REL, REL_X);
        close(fd);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* The kernel finds the PS/2 mouse in a thread of its own, some time after its module was loaded.
 * Without a PS/2 port there is nothing to wait for. */
static void wait_for_mouse(void)
{
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    struct pollfd poll_fd = { .fd = watch, .events = POLLIN };
    if (watch < 0 || access("/sys/bus/serio/devices/serio1", F_OK) < 0)
        return;
    inotify_add_watch(watch, "/dev/input", IN_CREATE);
    while (!has_mouse() && poll(&poll_fd, 1, MOUSE_WAIT_MS) > 0) {
        char events[4096];
        if (read(watch, events, sizeof events) < 0)
            break;
    }
    close(watch);
}

/* Describes every input device and returns the power button's descriptor, or -1. */
static int setup_inputs(void)
{
    int power = -1;
    DIR *dir = opendir("/dev/input");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strncmp(entry->d_name, "event", 5))
            continue;
        char path[300];
        snprintf(path, sizeof path, "/dev/input/%s", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (has_bit(fd, EV_ABS, ABS_X))
            describe_input(entry->d_name, "E:ID_INPUT_MOUSE=1\n");
        else if (has_bit(fd, EV_REL, REL_X))
            describe_input(entry->d_name, "E:ID_INPUT_MOUSE=1\n");
        else if (has_bit(fd, EV_KEY, KEY_Q))
            describe_input(entry->d_name, "E:ID_INPUT_KEY=1\nE:ID_INPUT_KEYBOARD=1\n");
        else if (power < 0 && has_bit(fd, EV_KEY, KEY_POWER)) {
            power = fd;
            continue;
        }
        close(fd);
    }
    if (dir)
        closedir(dir);
    return power;
}

static pid_t spawn(uid_t uid, char *const argv[])
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* The console is the port of the reports: chatter of programs may not get in there. */
        int log = open(CHILD_LOG, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        if (uid && (setgid(uid) < 0 || setuid(uid) < 0))
            _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

/* Starts Xorg and returns once it accepts clients, which it tells through the pipe. */
static pid_t start_xorg(void)
{
    int ready[2];
    if (pipe(ready) < 0)
        return -1;
    char number[12];
    snprintf(number, sizeof number, "%d", ready[1]);
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    pid_t pid = spawn(0, (char *const[]){ "/usr/lib/xorg/Xorg", ":0", "vt1", "-novtswitch", "-keeptty",
                                       "-nolisten", "tcp", "-ac", "-noreset", "-config",
                                       "/etc/xorg.conf", "-logfile", XORG_LOG, "-displayfd", number,
                                       NULL });
    close(ready[1]);
    /* The number and the line end come in two writes; a pipe closed in between ends the server. */
    char answer = '\0';
    while (read(ready[0], &answer, 1) == 1 && answer != '\n')
        ;
    if (answer != '\n')
        report_fatal("Xorg did not start");
    close(ready[0]);
    return pid;
}

/* The first program, so that it serves while the others start. */
static pid_t start_agent(void)
{
    return spawn(0, (char *const[]){ "/bin/deskfarm-agent", NULL });
}

/* What the agent asks for the display: it types what no key has. */
static pid_t start_helper(void)
{
    return spawn(USER_ID, (char *const[]){ "/bin/deskfarm-desktop", NULL });
}

static void wait_for_end(int power, int signals, pid_t agent, pid_t helper, pid_t xorg, pid_t probe)
{
    struct pollfd fds[] = { { .fd = power, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        struct input_event event;
        if (fds[0].revents && read(power, &event, sizeof event) == sizeof event &&
            event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
            reboot(RB_POWER_OFF);
        struct signalfd_siginfo info;
        if (!fds[1].revents || read(signals, &info, sizeof info) <= 0)
            continue;
        for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
            if (pid == agent) {
                usleep(AGENT_AGAIN_US); /* it may not be there, in a test */
                agent = start_agent();
            } else if (pid == helper) {
                usleep(AGENT_AGAIN_US);
                helper = start_helper();
            } else if (pid == xorg || pid == probe) {
                report_fatal(pid == xorg ? "Xorg ended" : "the probe client ended");
            }
        }
    }
}

int main(void)
{
    mount_all();
    load_modules();
    set_up_system();

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC);

    setenv("PATH", "/usr/bin:/bin", 1);
    pid_t agent = start_agent();
    wait_for_mouse();
    int power = setup_inputs();
    setenv("DISPLAY", ":0", 1);
    pid_t xorg = start_xorg();
    pid_t probe = spawn(0, (char *const[]){ "/usr/bin/probe", SERIAL, NULL });
    wait_for_end(power, signals, agent, start_helper(), xorg, probe);
}
