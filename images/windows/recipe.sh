# Windows, installed unattended from the user's own ISO (README.md). The work is done by main.py and its modules;
# here is what images/build wants of a recipe.
disk=disk.qcow2
tools=(python3 7z xorriso qemu-img setpriv)

# No Debian packages are fetched, so nothing of mmdebstrap's is needed.
need_tools() {
    need_programs "$@"
}

# The image's name and hash follow from the ISO and the options.
take_options() {
    local verb=plan said
    need_programs "${tools[@]}"
    [[ " $* " != *' --print-answer '* ]] || verb=answer
    said=$(python3 -B "$recipe/main.py" "$verb" "$@") || exit
    if [ "$verb" = answer ] || [[ " $* " =~ ' '(-h|--help)' ' ]]; then
        printf '%s\n' "$said"
        exit
    fi
    { read -r name && read -r hash_more && read -r plan; } <<<"$said"
    need_mib=$(sed 's/.*"need_mib": \([0-9]*\).*/\1/' <<<"$plan")
}

build_image() {
    # In the background, so that a signal to this script alone is heard (on_exit passes it on); killed, it takes
    # everything with it.
    setpriv --pdeathsig TERM python3 -B "$recipe/main.py" build "$work" "$out" "$hash" "$cache/images/.$name.png" \
        <<<"$plan" &
    wait $!
}

write_manifest() {
    cat "$work/image.json"
}
