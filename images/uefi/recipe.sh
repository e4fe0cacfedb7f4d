# A guest that is nothing but a UEFI program of ours (README.md): profile generic, on a disk as a firmware
# finds it on any machine.
description='UEFI test guest: exact pixels at many resolutions, keys and pointer as the devices send them'
memory_mib=256
disk=disk.qcow2
disk_bytes=$((64 * 1024 * 1024))
steps=2
need_mib=100
tools=(gcc ld objcopy mformat mcopy qemu-img)

units=(main port screen hid disk tpm)

build_image() {
    step 'compiling the program'
    compile_uefi "$work/uefi.efi"
    step 'writing the disk'
    truncate -s "$disk_bytes" "$work/disk.raw"
    mformat -i "$work/disk.raw" -F -v UEFI :: >>"$log" 2>&1
    mmd -i "$work/disk.raw" ::/EFI ::/EFI/BOOT
    mcopy -i "$work/disk.raw" "$work/uefi.efi" ::/EFI/BOOT/BOOTX64.EFI
    qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$out/$disk"
    # For tests that start it from other media.
    cp "$work/uefi.efi" "$out/uefi.efi"
}

compile_uefi() {
    local unit objects=() sections=(.text .sdata .data .dynamic .dynsym .rel .rela '.rel.*' '.rela.*' .reloc)
    for unit in "${units[@]}"; do
        objects+=("$work/$unit.o")
        gcc -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -fno-strict-aliasing -fpic \
            -fshort-wchar -mno-red-zone -maccumulate-outgoing-args -DGNU_EFI_USE_MS_ABI -I/usr/include/efi \
            -I/usr/include/efi/x86_64 -c "$recipe/$unit.c" -o "$work/$unit.o" >>"$log" 2>&1
    done
    ld -nostdlib -znocombreloc -T /usr/lib/elf_x86_64_efi.lds -shared -Bsymbolic /usr/lib/crt0-efi-x86_64.o \
        "${objects[@]}" -o "$work/uefi.so" -L/usr/lib -lefi -lgnuefi >>"$log" 2>&1
    objcopy "${sections[@]/#/--only-section=}" --target efi-app-x86_64 --subsystem=10 "$work/uefi.so" "$1"
}

write_manifest() {
    cat <<JSON
{
  "name": "$name",
  "hash": "$hash",
  "profile": "generic",
  "disk": "$disk",
  "disk_bytes": $disk_bytes,
  "cpus": $cpus,
  "memory_mib": $memory_mib,
  "width": 1280,
  "height": 800,
  "agent": "none",
  "settle_ms": 6000,
  "description": "$description",
  "built_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}
JSON
}
