# lib.sh: what build and the recipes share. Sourced by build; the variables that it uses without
# setting them ($cache, $name, $hash, $work, $out, $log, …) are build's.

started_s=$SECONDS
step_number=0

say() {
    printf '%s (%d s)\n' "$*" $((SECONDS - started_s)) >&2
}

# Announces the next of the recipe's $steps steps.
step() {
    step_number=$((step_number + 1))
    say "[$step_number/$steps] $*"
}

die() {
    say "$name: $*"
    exit 1
}

default_cache() {
    local chosen=${1:-${DESKFARM_CACHE:-}}
    if [ -z "$chosen" ] && [ "$(id -u)" = 0 ]; then
        chosen=/var/cache/deskfarm
    fi
    realpath -m "${chosen:-${XDG_CACHE_HOME:-$HOME/.cache}/deskfarm}"
}

# The guest's agent and what it takes from base/, which lies beside images/.
agent_base=(agent-wire buf clock error file-type json list util)

# Names, modes (which end up in guests) and contents of the recipe, of the shared scripts and of
# the agent's source.
hash_of_recipe() {
    (
        cd "$here"
        find build lib.sh agent/*.[ch] $(agent_base_files) "$(basename "$1")" \
            $(grep -qs agent/desktop "$1/recipe.sh" && echo agent/desktop) -type f \
            ! -name '*.md' ! -name meson.build -print0 | LC_ALL=C sort -z |
            while IFS= read -r -d '' file; do
                printf '%s %s ' "$file" "$([ -x "$file" ] && echo x || echo -)"
                sha256sum <"$file"
            done | sha256sum | cut -c1-12
    )
}

agent_base_files() {
    local name
    for name in "${agent_base[@]}"; do
        for name in "../base/$name."{c,h}; do
            [ ! -f "$here/$name" ] || echo "$name"
        done
    done
}

# ---------------------------------------------------------------------------------------------------
# Checks and cleaning up
# ---------------------------------------------------------------------------------------------------

need_programs() {
    local tool missing=()
    # An ordinary user's PATH often lacks the directories of mke2fs and its like.
    PATH=$PATH:/usr/sbin:/sbin
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} = 0 ] || die "these programs are missing: ${missing[*]}"
}

need_tools() {
    need_programs mmdebstrap apt-get "$@"
    [ "$(id -u)" = 0 ] && return
    command -v newuidmap >/dev/null || die "newuidmap is missing (package uidmap)"
    grep -q "^$(id -un):" /etc/subuid ||
        die "no line for $(id -un) in /etc/subuid (usermod --add-subuids 100000-165535 …)"
}

need_space() {
    local free_mib
    free_mib=$(df --output=avail -BM "$1" | tail -1 | tr -dc 0-9)
    [ "$free_mib" -ge "$2" ] ||
        die "too little space in $1: the build needs $2 MB, $free_mib MB are free"
}

# mmdebstrap's scratch files. They must be reachable for the mapped users, which an ordinary user's
# cache directory often is not.
scratch_parent() {
    if [ "$(id -u)" = 0 ]; then echo "$cache/images"; else echo "${TMPDIR:-/tmp}"; fi
}

# Removes a tree that may belong to mapped users.
remove_tree() {
    [ -e "$1" ] || return 0
    rm -rf --one-file-system "$1" 2>/dev/null ||
        mmdebstrap --unshare-helper rm -rf --one-file-system "$1" 2>/dev/null || true
    rm -rf --one-file-system "$1" || say "could not remove $1"
}

# Only called with the lock held: whatever there is belongs to this build or to a dead one.
remove_unfinished() {
    local path
    # Exactly twelve digits: another image's name may begin with this one.
    for path in "$cache/images/.$name"-????????????.tmp.* \
        "$(scratch_parent)/deskfarm-scratch-$(id -u)-$name".*; do
        [ -e "$path" ] || continue
        [ -z "${1:-}" ] || say "$1: $path"
        remove_tree "$path"
    done
}

on_exit() {
    local status=$? child
    # Of a build that was told to end: what still runs writes into what is removed now.
    for child in $(jobs -p); do
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    done
    if [ $status != 0 ] && [ -s "$log" ]; then
        tail -25 "$log" >&2
        say "$name: the build failed; full log: $log"
    fi
    remove_unfinished
}

# ---------------------------------------------------------------------------------------------------
# Debian packages
# ---------------------------------------------------------------------------------------------------

# The host's own Debian sources, one line each. apt is asked instead of reading its files, because
# only apt knows both formats and which archive calls itself Debian.
debian_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 2>>"$log" | grep -E " $1(-updates|-security)? " ||
        die "apt knows no Debian source for $1 on this host (run apt-get update once)"
}

# debian_tree SUITE VARIANT PACKAGES ARGUMENTS… runs mmdebstrap with the host's sources and a cache
# of packages. Its output goes to stdout if the arguments choose a format that has one. Hooks find
# nothing of the host by path except through mmdebstrap's own copy hooks: an ordinary user's files
# are out of reach for the mapped root.
debian_tree() {
    local suite=$1 variant=$2 packages=$3 sources scratch keep=customize
    shift 3
    mapfile -t sources < <(debian_sources "$suite")
    [ ${#sources[@]} -gt 0 ] || exit 1
    # The host's way to its archive (proxies, snapshots without a valid date), for the build only.
    apt-config dump | grep -E '^Acquire::(https?|Check|Retries|Max-Valid|ForceIP)[^ ]* "..*"' \
        >"$work/apt.conf" || true
    scratch=$(mktemp -d "$(scratch_parent)/deskfarm-scratch-$(id -u)-$name.XXXXXX")
    chmod 0755 "$scratch"
    [ "$(id -u)" = 0 ] || chmod 1777 "$scratch"
    [ "$variant" != extract ] || keep=extract # that variant runs no later hook
    TMPDIR=$scratch mmdebstrap --mode="$([ "$(id -u)" = 0 ] && echo root || echo unshare)" \
        --variant="$variant" --include="$packages" --aptopt="$work/apt.conf" \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="sync-in '$cache/debs' /var/cache/apt/archives" \
        --$keep-hook="sync-out /var/cache/apt/archives '$cache/debs'" \
        --skip=download/empty --skip=essential/unlink --skip=check/empty "$@" \
        "$suite" - "${sources[@]}" 2>>"$log" || die "mmdebstrap failed"
    remove_tree "$scratch"
}

# ---------------------------------------------------------------------------------------------------
# Pieces of an image
# ---------------------------------------------------------------------------------------------------

# unpack_kernel VMLINUZ FILE writes the uncompressed kernel. QEMU starts it through its PVH entry,
# which saves the guest the decompression: 2.6 s of 4.3 s to init under TCG.
unpack_kernel() {
    local magic tool offset
    for magic in 'xz:\xfd7zXZ\x00' 'zstd:\x28\xb5\x2f\xfd'; do
        tool=${magic%%:*}
        offset=$(LC_ALL=C grep -obUaP "${magic#*:}" "$1" | head -1 | cut -d: -f1)
        [ -n "$offset" ] || continue
        # The tools complain of what follows the compressed part; the result is judged instead.
        tail -c +$((offset + 1)) "$1" | "$tool" -dcq >"$2" 2>/dev/null || true
        [ "$(head -c4 "$2" | tail -c3)" = ELF ] && return
    done
    die "the kernel is compressed in a way that is not known here"
}

# compile_agent FILE: the static deskfarm-agent.
compile_agent() {
    (
        cd "$here"
        gcc -std=gnu11 -O2 -D_GNU_SOURCE -DAGENT_SANITIZED=0 -Wall -Wextra -I .. -static \
            agent/*.c $(agent_base_files | grep '[.]c$') -ljansson -o "$1" >>"$log" 2>&1
    )
    strip "$1"
}

# compile_desktop FILE: deskfarm-desktop, for the libraries of the guest, which are the host's.
compile_desktop() {
    (
        cd "$here"
        gcc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -I .. agent/desktop/*.c agent/loop.c \
            $(agent_base_files | grep '[.]c$' | grep -v wire) \
            -lX11 -lXfixes -lXi -lXrandr -lXtst -lsystemd -ljansson -o "$1" >>"$log" 2>&1
    )
    strip "$1"
}

write_manifest() {
    local disk_name=null
    [ -z "$disk" ] || disk_name="\"$disk\""
    cat <<JSON
{
  "name": "$name",
  "hash": "$hash",
  "profile": "linux",
  "kernel": "$kernel",
  "initrd": "$initrd",
  "cmdline": "$cmdline",
  "disk": $disk_name,
  "disk_bytes": $disk_bytes,
  "cpus": $cpus,
  "memory_mib": $memory_mib,
  "width": 1280,
  "height": 800,
  "signals_up": ${signals_up:-false},
  "agent": "${agent:-none}",
  "description": "$description",
  "built_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}
JSON
}
