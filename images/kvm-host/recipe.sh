# A Debian with QEMU and what deskfarmd needs: the host that `./check --kvm` boots where there is no real
# KVM. It holds nothing of deskfarm itself; that comes on a second disk (tests/kvm/run).
description='Debian 12 with QEMU, a host for deskfarm inside a guest (tests)'
cpus=2
memory_mib=4096
cmdline='root=/dev/vda console=ttyS0 quiet loglevel=3 mitigations=off panic=-1'
disk=disk.qcow2
disk_bytes=$((4 * 1024 * 1024 * 1024))
steps=4
need_mib=6000
tools=(cpio mke2fs qemu-img)

packages=(
    linux-image-amd64 busybox-static kmod procps iproute2 util-linux nodejs
    # what packages.txt calls run
    qemu-system-x86 qemu-system-common qemu-utils bubblewrap passt xkb-data
    # what deskfarmd and deskfarm are linked with
    libuv1 libwebsockets17 libwebsockets-evlib-uv libjansson4 libsystemd0 libpixman-1-0 libjpeg62-turbo
    libturbojpeg0 libspng0 libisal2 libwebp7 libxxhash0 libxkbcommon0 libsqlite3-0 libssl3 libcurl4
    libavcodec59 libavutil57 libvncserver1 libseccomp2
)

build_image() {
    step "installing packages ($(du -sm "$cache/debs" | cut -f1) MB are in the cache)"
    # Written through a descriptor: the mapped root of an ordinary user may not enter the cache.
    truncate -s "$disk_bytes" "$work/disk.raw"
    chmod 0666 "$work/disk.raw"
    exec {disk_fd}<>"$work/disk.raw"
    local joined
    joined=$(IFS=,; echo "${packages[*]}")
    INITRD=No debian_tree bookworm minbase "$joined" --format=null \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="upload '$recipe/init' /sbin/init" \
        --customize-hook="upload '$recipe/customize' /boot/customize" \
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
    mkdir -p "$work"/initrd/{bin,dev,proc,root}
    mv "$work/boot/busybox" "$work/initrd/bin/"
    mv "$work/boot/modules" "$work/initrd/"
    install -m 0755 "$recipe/initrd" "$work/initrd/init"
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
