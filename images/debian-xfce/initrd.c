/*
 * initrd.c: process 1 of the initramfs.
 *
 * The machine is known: one disk, /dev/vda, ext4, and a handful of virtio devices. So there is no
 * search, no udev and no check of the file system: load the modules that /modules/list names in
 * its order, mount root=, and hand over to the init on it. That takes a fraction of a second under
 * TCG, where a general initramfs takes several. The graphics and input modules are loaded here too,
 * so that the X server need not wait for udev to find them.
 *
 * An error ends this process; the kernel's panic then shows the message on the serial console.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load_modules(void)
{
    FILE *list = fopen("/modules/list", "r");
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

static void find_root(char root[128])
{
    strcpy(root, "/dev/vda");
    FILE *file = fopen("/proc/cmdline", "r");
    char word[128];
    while (file && fscanf(file, "%127s", word) == 1)
        if (!strncmp(word, "root=", 5))
            strcpy(root, word + 5);
    if (file)
        fclose(file);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(void)
{
    mkdir("/dev", 0755);
    mkdir("/proc", 0755);
    mkdir("/root", 0755);
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        return fail("mount");
    load_modules();

    char root[128];
    find_root(root);
    umount("/proc");
    if (mount(root, "/root", "ext4", MS_NOATIME, NULL) < 0)
        return fail(root);
    if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) < 0 || chdir("/root") < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
        return fail("switching root");
    execl("/sbin/init", "init", NULL);
    return fail("/sbin/init");
}
