# The probe guest: a kernel and an initramfs that holds Xorg, its keyboard data and our client.
description='Test guest: exact pixels, reported input, painting on command'
cpus=2
memory_mib=512
cmdline='console=ttyS0 quiet loglevel=1 rdinit=/init'
agent=deskfarm
signals_up=true
steps=4
need_mib=1500
tools=(gcc readelf cpio strip)

packages=linux-image-amd64,xserver-xorg-core,xserver-xorg-input-libinput,xkb-data,x11-xkb-utils
packages+=,busybox-static,libjansson4,libxkbcommon0,libx11-data,libxrandr2,libxi6
# What the helper in the desktop (agent/desktop) is linked with.
packages+=,libxfixes3,libxtst6,libsystemd0

# Dependencies are added. button: the ACPI power button. Disks and network cards are left out:
# nothing here uses them.
modules='virtio_pci virtio_console virtio-gpu virtio_input virtio-rng evdev psmouse button'

build_image() {
    tree=$work/tree root=$work/root
    mkdir -p "$tree" "$root"

    step 'compiling the client'
    compile

    step 'fetching and unpacking packages'
    debian_tree bookworm extract "$packages" --format=tar | tar -x -C "$tree" --wildcards \
        --no-same-owner './boot/vmlinuz-*' './lib/*' './usr/lib/x86_64-linux-gnu/*.so*' \
        './usr/lib/xorg/*' './usr/bin/xkbcomp' './usr/bin/setxkbmap' './bin/busybox' \
        './usr/share/X11/xkb/*' './usr/share/X11/locale/*' './usr/share/libinput/*' './lib64/*'

    step 'composing the initramfs'
    compose_root

    step 'packing'
    unpack_kernel "$tree"/boot/vmlinuz-* "$out/$kernel"
    (cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc --owner=0:0) >"$out/$initrd"
}

compile() {
    local flags=(-std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes
        -Wmissing-prototypes -Wvla)
    gcc "${flags[@]}" "$recipe"/{probe,commands,input,paint,report,screen}.c -o "$work/probe" \
        -lX11 -lXi -lXrandr -ljansson -lxkbcommon -lm >>"$log" 2>&1
    gcc "${flags[@]}" -static "$recipe/init.c" -o "$work/init" >>"$log" 2>&1
    compile_agent "$work/deskfarm-agent"
    compile_desktop "$work/deskfarm-desktop"
}

compose_root() {
    mkdir -p "$root"/{dev,proc,sys,run,tmp,etc,root,bin,lib64,usr/bin,usr/lib/xorg/modules} \
        "$root"/{usr/share/X11,var/lib/xkb,home/user}
    cp "$work/init" "$root/init"
    cp "$work"/deskfarm-{agent,desktop} "$root/bin/"
    cp "$work/probe" "$tree"/usr/bin/{xkbcomp,setxkbmap} "$root/usr/bin/"
    cp "$tree/bin/busybox" "$root/bin/"
    # The server starts xkbcomp through a shell; the rest is for commands of tests.
    local applet
    for applet in $("$tree/bin/busybox" --list) bash; do
        [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
    done
    printf '%s\n' root:x:0:0::/root:/bin/sh user:x:1000:1000::/home/user:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: user:x:1000: >"$root/etc/group"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    cp "$recipe/xorg.conf" "$root/etc/"
    cp "$tree/usr/lib/xorg/Xorg" "$root/usr/lib/xorg/"
    (cd "$tree/usr/lib/xorg/modules" && cp --parents drivers/modesetting_drv.so \
        input/libinput_drv.so libshadow.so libfbdevhw.so "$root/usr/lib/xorg/modules/")
    cp -r "$tree/usr/share/X11/xkb" "$tree/usr/share/libinput" "$root/usr/share/X11/"
    mv "$root/usr/share/X11/libinput" "$root/usr/share/"
    mkdir -p "$root/usr/share/X11/locale/en_US.UTF-8"
    cp "$tree"/usr/share/X11/locale/{compose.dir,locale.alias,locale.dir} \
        "$root/usr/share/X11/locale/"
    cp "$tree/usr/share/X11/locale/en_US.UTF-8/Compose" "$root/usr/share/X11/locale/en_US.UTF-8/"
    copy_libraries
    copy_modules
    chmod -R u+w,go+rX "$root"
}

# Every library that a program in the root names, with what those name, into one directory.
copy_libraries() {
    local target=$root/usr/lib/x86_64-linux-gnu library source found=yes
    mkdir -p "$target"
    cp "$tree"/lib64/ld-linux-x86-64.so.2 "$root/lib64/" 2>/dev/null ||
        cp -L "$tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$root/lib64/"
    while [ -n "$found" ]; do
        found=
        for library in $(find "$root/usr" "$root/bin/deskfarm-desktop" -type f \( -name '*.so*' -o -perm -100 \) -print0 |
            xargs -0 readelf -d 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
            [ ! -e "$target/$library" ] || continue
            for source in "$tree/lib/x86_64-linux-gnu" "$tree/usr/lib/x86_64-linux-gnu"; do
                [ -e "$source/$library" ] || continue
                cp -L "$source/$library" "$target/"
                found=yes
                break
            done
            [ -e "$target/$library" ] || [ "$library" = ld-linux-x86-64.so.2 ] ||
                die "no package brings $library"
        done
    done
}

copy_modules() {
    mkdir -p "$root/lib/modules"
    local module
    for module in $modules; do
        add_module "$module"
    done
}

# Appends to /etc/modules in the order in which the modules have to be loaded.
add_module() {
    local file dependency list=$root/etc/modules
    # Files may have a dash where the kernel's own name has an underscore.
    file=$(find "$tree/lib/modules" -name "${1//[-_]/[-_]}.ko" | head -1)
    [ -n "$file" ] || die "the kernel has no module $1"
    ! grep -qsx "/lib/modules/${file##*/}" "$list" || return 0
    for dependency in $(readelf -p .modinfo "$file" | sed -n 's/.* depends=//p' | tr , ' '); do
        add_module "$dependency"
    done
    cp "$file" "$root/lib/modules/"
    echo "/lib/modules/${file##*/}" >>"$list"
}
