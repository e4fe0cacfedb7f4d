# A Debian 12 desktop: XFCE, two browsers, the usual small programs, fonts for most scripts.
description='Debian 12 desktop with XFCE, Chromium and Firefox'
cpus=2
memory_mib=2048
cmdline='root=/dev/vda rw console=ttyS0 quiet loglevel=3 mitigations=off psi=0 transparent_hugepage=madvise'
disk=disk.qcow2
disk_bytes=$((8 * 1024 * 1024 * 1024))
steps=5
signals_up=true
agent=deskfarm
need_mib=9000
tools=(gcc strip cpio mke2fs qemu-img)

packages=(
    # the system
    linux-image-amd64 systemd-sysv udev dbus dbus-user-session libpam-systemd polkitd systemd-resolved kmod
    iproute2 iputils-ping ca-certificates sudo less nano-tiny procps psmisc qemu-guest-agent curl
    xdg-user-dirs xdg-utils openssh-server python3-minimal
    # the desktop
    xserver-xorg-core xserver-xorg-input-libinput x11-xserver-utils x11-xkb-utils xkb-data xclip
    xfce4-session xfce4-settings xfce4-panel xfdesktop4 xfwm4 thunar exo-utils gvfs at-spi2-core
    gsettings-desktop-schemas libglib2.0-bin
    # what deskfarm-desktop (images/agent/desktop) is linked with
    libjansson4 libsystemd0 libx11-6 libxfixes3 libxi6 libxrandr2 libxtst6
    elementary-xfce-icon-theme adwaita-icon-theme gnome-themes-extra librsvg2-common
    # programs
    xfce4-terminal mousepad atril chromium firefox-esr
    # fonts: Latin, Cyrillic, Greek and most other scripts, CJK, emoji
    fonts-dejavu-core fonts-liberation fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji
)

build_image() {
    step 'compiling our programs'
    local flags=(-std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes
        -Wmissing-prototypes -Wvla)
    gcc "${flags[@]}" -static "$recipe/initrd.c" -o "$work/init" >>"$log" 2>&1
    gcc "${flags[@]}" "$recipe/desktop-up.c" -o "$work/desktop-up" -lX11 >>"$log" 2>&1
    compile_agent "$work/deskfarm-agent"
    compile_desktop "$work/deskfarm-desktop"

    step "installing packages ($(du -sm "$cache/debs" | cut -f1) MB are in the cache)"
    # Ownership and modes in the guest must not depend on how this folder was checked out.
    tar -C "$recipe/root" -cf "$work/root.tar" --owner=0 --group=0 --mode='u=rwX,go=rX' .
    cp "$recipe/customize" "$work/"
    # Written through a descriptor: the mapped root of an ordinary user may not enter the cache.
    truncate -s "$disk_bytes" "$work/disk.raw"
    chmod 0666 "$work/disk.raw"
    exec {disk_fd}<>"$work/disk.raw"
    local joined
    joined=$(IFS=,; echo "${packages[*]}")
    INITRD=No debian_tree bookworm minbase "$joined" --format=null \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/help/*' \
        --customize-hook="tar-in '$work/root.tar' /" \
        --customize-hook="upload '$work/customize' /boot/customize" \
        --customize-hook="upload '$work/desktop-up' /usr/local/lib/deskfarm/desktop-up" \
        --customize-hook="upload '$work/deskfarm-agent' /usr/local/lib/deskfarm/deskfarm-agent" \
        --customize-hook="upload '$work/deskfarm-desktop' /usr/local/lib/deskfarm/deskfarm-desktop" \
        --customize-hook='chroot "$1" sh /boot/customize' \
        --customize-hook="tar-out /boot '$work/boot.tar'" \
        --customize-hook='rm -rf "$1"/boot/* "$1"/vmlinuz* "$1"/initrd.img*' \
        --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb' \
        --customize-hook="$(make_file_system)" >/dev/null

    step 'writing the disk image'
    qemu-img convert -f raw -O qcow2 -W "$work/disk.raw" "$out/$disk"
    rm "$work/disk.raw"

    step 'unpacking the kernel'
    mkdir "$work/boot"
    tar -C "$work/boot" --strip-components=1 --no-same-owner -xf "$work/boot.tar"
    unpack_kernel "$work"/boot/vmlinuz-* "$out/$kernel"

    step 'packing the initramfs'
    mkdir "$work/initrd"
    cp "$work/init" "$work/initrd/init"
    mv "$work/boot/modules" "$work/initrd/"
    (cd "$work/initrd" && find . | LC_ALL=C sort | cpio --quiet -o -H newc --owner=0:0) \
        >"$out/$initrd"
}

# A hook, run inside mmdebstrap's namespaces. The view leaves out what is mounted below the root.
make_file_system() {
    cat <<HOOK
view=\${1%/*}/view && mkdir "\$view" && mount --bind "\$1" "\$view" &&
mke2fs -q -F -t ext4 -L root -m 0 -E assume_storage_prezeroed=1,root_owner=0:0 \\
    -d "\$view" /proc/self/fd/$disk_fd && umount "\$view" && rmdir "\$view"
HOOK
}
