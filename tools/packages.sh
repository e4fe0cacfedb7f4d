# Sourced by quickstart and check: installs the groups of packages.txt that are asked for.
# packages_install GROUP... — nothing is called when everything is there; sudo is used by ordinary
# users. A node of version 18 or later that is already on the PATH serves for nodejs and npm.

packages_missing() {
    local group name
    while read -r group name; do
        case " $* " in *" $group "*) ;; *) continue ;; esac
        case $name in
        nodejs | npm)
            command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' </dev/null 2>/dev/null && continue ;;
        esac
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || echo "$name"
    done < <(grep -v '^ *#' "$top/packages.txt")
}

packages_install() {
    local missing log status sudo=
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "Installing $(echo "$missing" | wc -l) Debian packages: $(echo $missing)" >&2
    log=$(mktemp)
    # shellcheck disable=SC2086
    if $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -q && apt-get install -q -y --no-install-recommends "$@"' sh $missing \
        </dev/null >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    echo "Installing packages failed; the whole output is in $log" >&2
    return 1
}
