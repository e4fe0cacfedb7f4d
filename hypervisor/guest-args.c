/* The machine is a q35 with nothing that was not asked for: no default devices. What it has follows from
 * its shape (hypervisor/profile.h).
 *
 * The order of -device lines fixes PCI addresses; a checkpoint made with one order does not load
 * with another. New devices go to the end.
 *
 * A reboot by the guest resets the machine in the same process; a power-off ends the process. Sleep
 * states are off: nobody could wake the guest. PS/2 keyboard and mouse of the q35 stay, for boot
 * loaders; virtio input takes over when its driver binds. vmport is off because it would add a
 * second absolute pointer. */
#include "hypervisor/guest-args.h"

#include <stdio.h>

/* What Windows is told of the hypervisor, one by one: "all that this host has" would not load elsewhere. */
#define WINDOWS_CPU                                                                                      \
    "Haswell-noTSX-IBRS,invtsc=off,hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vpindex=on,"       \
    "hv-runtime=on,hv-time=on,hv-synic=on,hv-stimer=on,hv-tlbflush=on,hv-ipi=on,hv-frequencies=on,"    \
    "hv-reset=on"

static const char *cpu_of(const struct machine_spec *spec)
{
    if (spec->accel == ACCEL_TCG)
        return "max";
    /* migratable hides invtsc and what else would not survive a move to another host. */
    return spec->shape.profile == MACHINE_WINDOWS ? WINDOWS_CPU : "host,migratable=on,invtsc=off";
}

static void add_machine(const struct machine_spec *spec, struct argv *out)
{
    static const char *const fixed[] = {
        "-global", "ICH9-LPC.disable_s3=1",
        "-global", "ICH9-LPC.disable_s4=1",
        NULL
    };
    bool is_windows = spec->shape.profile == MACHINE_WINDOWS;
    argv_add(out, "-name");
    argv_addf(out, "guest=%s", spec->name);
    argv_add(out, "-nodefaults");
    argv_add(out, "-no-user-config");
    argv_add(out, "-machine");
    argv_addf(out, "q35,memory-backend=ram,dump-guest-core=off,usb=off,vmport=off%s%s",
              is_windows ? ",hpet=off" : "", spec->shape.firmware == FIRMWARE_SECURE ? ",smm=on" : "");
    argv_add_all(out, fixed);
    argv_add(out, "-rtc");
    argv_add(out, is_windows ? "base=localtime,driftfix=slew" : "base=utc");
    argv_add(out, "-boot");
    argv_add(out, "strict=on");
    argv_add(out, "-accel");
    argv_add(out, spec->accel == ACCEL_KVM ? "kvm" : "tcg,thread=multi");
    argv_add(out, "-cpu");
    argv_add(out, cpu_of(spec));
    argv_add(out, "-smp");
    argv_addf(out, "%d,sockets=1,cores=%d,threads=1", spec->cpus, spec->cpus);
    argv_add(out, "-m");
    argv_addf(out, "%dM", spec->memory_mib);
    argv_add(out, "-object");
    argv_addf(out, "memory-backend-file,id=ram,size=%dM,mem-path=/proc/self/fd/%d,share=%s",
              spec->memory_mib, GUEST_FD_RAM, spec->origin ? "off" : "on");
    argv_add(out, "-uuid");
    argv_add(out, spec->uuid);
}

/* In flash, whatever it is: what -bios loads is a ROM, which a QEMU that waits for a state leaves empty, so that a
 * restored guest would not come back from a reset. */
static void add_firmware(const struct machine_spec *spec, struct argv *out)
{
    bool has_variables = profile_variables(&spec->shape) != NULL;
    if (spec->shape.firmware == FIRMWARE_SECURE) {
        /* Only the firmware, in system management mode, may write its variables. */
        argv_add(out, "-global");
        argv_add(out, "driver=cfi.pflash01,property=secure,value=on");
    }
    argv_add(out, "-blockdev");
    argv_addf(out, "driver=file,node-name=firmware,filename=%s,read-only=on", profile_firmware(&spec->shape));
    if (has_variables) {
        argv_add(out, "-add-fd");
        argv_addf(out, "fd=%d,set=%d", GUEST_FD_FLASH, GUEST_FDSET_FLASH);
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=file,node-name=" GUEST_NODE_FLASH ",filename=/dev/fdset/%d", GUEST_FDSET_FLASH);
    }
    argv_add(out, "-machine");
    argv_add(out, has_variables ? "pflash0=firmware,pflash1=" GUEST_NODE_FLASH : "pflash0=firmware");
}

static void add_boot(const struct machine_spec *spec, struct argv *out)
{
    add_firmware(spec, out);
    if (!spec->kernel)
        return;
    argv_add(out, "-kernel");
    argv_add(out, GUEST_PATH_KERNEL);
    if (spec->initrd) {
        argv_add(out, "-initrd");
        argv_add(out, GUEST_PATH_INITRD);
    }
    if (spec->cmdline) {
        argv_add(out, "-append");
        argv_add(out, spec->cmdline);
    }
}

static void add_socket(struct argv *out, const char *id, int fd)
{
    argv_add(out, "-chardev");
    argv_addf(out, "socket,id=%s,fd=%d,server=on,wait=off", id, fd);
}

static void add_channels(struct argv *out)
{
    add_socket(out, "qmp", GUEST_FD_QMP);
    argv_add(out, "-mon");
    argv_add(out, "chardev=qmp,mode=control");
    add_socket(out, "console", GUEST_FD_CONSOLE);
    argv_add(out, "-serial");
    argv_add(out, "chardev:console");
    add_socket(out, "agent", GUEST_FD_AGENT);
    add_socket(out, "qga", GUEST_FD_QGA);
}

static void add_device(struct argv *out, const char *device)
{
    argv_add(out, "-device");
    argv_add(out, device);
}

static void add_screen(const struct machine_spec *spec, struct argv *out)
{
    argv_add(out, "-display");
    argv_add(out, "dbus,p2p=yes");
    argv_add(out, "-device");
    if (spec->shape.display == DISPLAY_VGA)
        argv_addf(out, "VGA,id=" GUEST_DEVICE_GPU ",xres=%d,yres=%d,vgamem_mb=%d", spec->width, spec->height,
                  (int)(profile_video_bytes(&spec->shape, spec->width, spec->height) >> 20));
    else
        argv_addf(out, "virtio-gpu-pci,id=" GUEST_DEVICE_GPU ",max_outputs=1,xres=%d,yres=%d", spec->width,
                  spec->height);
}

static void add_input(const struct machine_spec *spec, struct argv *out)
{
    if (spec->shape.input == INPUT_USB) {
        add_device(out, "qemu-xhci,id=usb");
        add_device(out, "usb-kbd,id=keyboard,bus=usb.0");
        add_device(out, "usb-tablet,id=tablet,bus=usb.0,display=" GUEST_DEVICE_GPU);
        return;
    }
    add_device(out, "virtio-keyboard-pci,id=keyboard");
    add_device(out, "virtio-tablet-pci,id=tablet,display=" GUEST_DEVICE_GPU);
}

static void add_small_devices(const struct machine_spec *spec, struct argv *out)
{
    add_device(out, "virtio-serial-pci,id=serial");
    add_device(out, "virtserialport,bus=serial.0,nr=1,chardev=agent,id=agent-port,"
                    "name=" GUEST_AGENT_PORT);
    argv_add(out, "-chardev");
    argv_add(out, "null,id=" GUEST_READY_CHARDEV);
    add_device(out, "virtserialport,bus=serial.0,nr=2,chardev=" GUEST_READY_CHARDEV
                    ",id=" GUEST_READY_DEVICE ",name=" GUEST_READY_PORT);
    add_device(out, "virtserialport,bus=serial.0,nr=3,chardev=qga,id=qga-port,"
                    "name=" GUEST_QGA_PORT);
    argv_add(out, "-object");
    argv_add(out, "rng-builtin,id=rng");
    add_device(out, "virtio-rng-pci,id=random,rng=rng");
    argv_add(out, "-device");
    argv_addf(out, "vmgenid,id=vmgenid,guid=%s", spec->vmgenid);
}

/* The layers that every guest of this origin needs; the rest comes with the state. */
static void add_origin_layers(const struct machine_spec *spec, struct argv *out)
{
    char below[32] = GUEST_NODE_BASE;
    for (int i = 1; i <= (int)spec->origin->n_layers; i++) {
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=file,node-name=" GUEST_NODE_LAYER "-file,filename=" GUEST_PATH_LAYER
                       ",read-only=on,auto-read-only=off,locking=off", i, i);
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=qcow2,node-name=" GUEST_NODE_LAYER ",file=" GUEST_NODE_LAYER
                       "-file,backing=%s,read-only=on,auto-read-only=off", i, i, below);
        snprintf(below, sizeof below, GUEST_NODE_LAYER, i);
    }
    argv_add(out, "-blockdev");
    argv_addf(out, "driver=null-co,node-name=" GUEST_NODE_PLACEHOLDER ",size=%lld,read-zeroes=on",
              (long long)spec->disk_bytes);
}

/* Under the first overlay of a disk that begins empty lies a node that reads as zeroes, so that layers,
 * restores and merges are the same for both. QEMU copies nothing out of it. */
static void add_base(const struct machine_spec *spec, struct argv *out)
{
    argv_add(out, "-blockdev");
    if (!spec->base_disk) {
        argv_addf(out, "driver=null-co,node-name=" GUEST_NODE_BASE ",size=%lld,read-zeroes=on,read-only=on",
                  (long long)spec->disk_bytes);
        return;
    }
    argv_addf(out, "driver=file,node-name=%s-file,filename=%s,read-only=on,auto-read-only=off",
              GUEST_NODE_BASE, GUEST_PATH_BASE);
    argv_add(out, "-blockdev");
    argv_addf(out, "driver=%s,node-name=%s,file=%s-file,read-only=on,auto-read-only=off",
              spec->base_format ? spec->base_format : "qcow2", GUEST_NODE_BASE, GUEST_NODE_BASE);
}

static void add_disk(const struct machine_spec *spec, struct argv *out)
{
    if (!machine_has_disk(spec))
        return;
    /* Two descriptors in one set: QEMU opens a layer read-write at first, and read-only again when
     * a checkpoint freezes it. */
    argv_add(out, "-add-fd");
    argv_addf(out, "fd=%d,set=%d", GUEST_FD_OVERLAY_RW, GUEST_FDSET_OVERLAY);
    argv_add(out, "-add-fd");
    argv_addf(out, "fd=%d,set=%d", GUEST_FD_OVERLAY_RO, GUEST_FDSET_OVERLAY);
    add_base(spec, out);
    if (spec->origin) {
        add_origin_layers(spec, out);
    } else {
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=file,node-name=%s-file,filename=/dev/fdset/%d,discard=unmap",
                  GUEST_NODE_OVERLAY, GUEST_FDSET_OVERLAY);
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=qcow2,node-name=%s,file=%s-file,backing=%s,discard=unmap",
                  GUEST_NODE_OVERLAY, GUEST_NODE_OVERLAY, GUEST_NODE_BASE);
    }
    static const char *const devices[] = {
        [BUS_VIRTIO] = "virtio-blk-pci",
        [BUS_AHCI] = "ide-hd,bus=ide.0",
        [BUS_NVME] = "nvme,serial=" GUEST_DEVICE_DISK,
    };
    argv_add(out, "-device");
    argv_addf(out, "%s,id=%s,drive=%s,bootindex=1", devices[spec->shape.bus], GUEST_DEVICE_DISK,
              spec->origin ? GUEST_NODE_PLACEHOLDER : GUEST_NODE_OVERLAY);
}

/* Behind the disk in the order that firmwares boot in: an empty disk fails, and an installer's medium is
 * next; what it installed comes first from then on. */
static void add_media(const struct machine_spec *spec, struct argv *out)
{
    for (int i = 1; i <= MACHINE_MEDIA_MAX && spec->media[i - 1]; i++) {
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=file,node-name=" GUEST_NODE_MEDIA "-file,filename=" GUEST_PATH_MEDIA
                       ",read-only=on,auto-read-only=off", i, i);
        argv_add(out, "-blockdev");
        argv_addf(out, "driver=raw,node-name=" GUEST_NODE_MEDIA ",file=" GUEST_NODE_MEDIA
                       "-file,read-only=on,auto-read-only=off", i, i);
        argv_add(out, "-device");
        argv_addf(out, "ide-cd,bus=ide.%d,id=" GUEST_DEVICE_MEDIA ",drive=" GUEST_NODE_MEDIA ",bootindex=%d", i,
                  i, i, i + 1);
    }
}

static void add_network(const struct machine_spec *spec, struct argv *out)
{
    if (spec->network == MACHINE_NETWORK_NONE)
        return;
    argv_add(out, "-netdev");
    argv_addf(out, "stream,id=net,server=on,addr.type=fd,addr.str=%d", GUEST_FD_NET);
    argv_add(out, "-device");
    argv_addf(out, "%s,id=nic,netdev=net,mac=%s,romfile=",
              spec->shape.card == CARD_E1000E ? "e1000e" : "virtio-net-pci", spec->mac);
}

/* tpm-tis and not tpm-crb, and no interface for wishes to the firmware: the memory of those two is in no device
 * state. */
static void add_tpm(const struct machine_spec *spec, struct argv *out)
{
    if (!spec->shape.has_tpm)
        return;
    argv_add(out, "-chardev");
    argv_addf(out, "socket,id=tpm,fd=%d", GUEST_FD_TPM);
    argv_add(out, "-tpmdev");
    argv_add(out, "emulator,id=tpm,chardev=tpm");
    add_device(out, "tpm-tis,id=tpm,tpmdev=tpm,ppi=off");
}

void guest_args(const struct machine_spec *spec, const char *qemu, struct argv *out)
{
    argv_add(out, qemu);
    add_machine(spec, out);
    add_boot(spec, out);
    add_channels(out);
    add_screen(spec, out);
    add_input(spec, out);
    add_small_devices(spec, out);
    add_disk(spec, out);
    add_media(spec, out);
    add_network(spec, out);
    add_tpm(spec, out);
    if (spec->origin) {
        /* The state has no section for the machine's configuration. */
        argv_add(out, "-incoming");
        argv_add(out, "defer");
        argv_add(out, "-global");
        argv_add(out, "migration.send-configuration=off");
    }
    argv_add(out, "-sandbox");
    argv_add(out, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}
