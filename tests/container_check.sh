#!/usr/bin/env bash
# Makes the file system of the image as contrib/docker/Dockerfile does, and runs in it, in namespaces of its own and without an engine,
# what the Dockerfile says: its command as its user, its health check, its signal to stop. The last line is "N passed, M failed".
#
#   tests/container_check.sh PROGRAM
#
# PROGRAM is the built `gannet`. It needs root.
set -uo pipefail

program=${1:?usage: tests/container_check.sh PROGRAM}
contrib=$(realpath "$(dirname "$0")/../contrib/docker") || exit 1
work=$(mktemp -d)
outside='' passed=0
cleanup() {
    [ -z "$outside" ] || kill -KILL "$outside" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# said NAME: what the Dockerfile says last behind this word.
said() { grep -E "^$1 " "$contrib/Dockerfile" | tail -n 1 | cut -d' ' -f2-; }
# words JSON: an array of words, a line each.
words() { python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$1"; }

check() {
    local what=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $what"
    else
        printf 'FAILED - %s: %s\n' "$what" "$*"
        cat "$work/said" "$work/log" 2>/dev/null
        echo "$passed passed, 1 failed"
        exit 1
    fi
}

# until_true COMMAND…: waits until it succeeds, for a minute at most.
until_true() {
    local until=$((SECONDS + 60))
    until "$@"; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}

user=$(said USER)
mapfile -t entry < <(words "$(said ENTRYPOINT)")
mapfile -t command < <(words "$(said CMD)")
health=$(said HEALTHCHECK)
mapfile -t health < <(words "${health#*CMD }")

check "the steps of the build make a file system" "$contrib/root" "$program" "$work/root"
check "of which nothing is the user's" test -z "$(find "$work/root" -uid "${user%:*}")"
chmod 755 "$work" "$work/root"
mkdir -p "$work/root/dev" || exit 1
# The first process of a container is the program, which sees nothing else of this machine; /proc and /dev/null come from engines.
unshare --mount --pid --fork --kill-child --net --ipc --uts sh -c "
    ip link set lo up
    mount -t proc proc '$work/root/proc'
    touch '$work/root/dev/null' && mount --bind /dev/null '$work/root/dev/null'
    exec chroot --userspec=$user '$work/root' \"\$@\"" sh "${entry[@]}" "${command[@]}" >"$work/log" 2>&1 &
outside=$!
first() { cat "/proc/$outside/task/$outside/children" | tr -d ' '; }
inside() { nsenter --target "$(first)" --mount --pid --net --ipc --uts chroot --userspec="$user" "$work/root" "$@"; }

check "it starts" until_true grep -q 'clients' "$work/log"
check "it is healthy" until_true inside "${health[@]}"
check "it is the user's" test "$(awk '/^Uid:/ {print $2}' "/proc/$(first)/status")" = "${user%:*}"
check "a push" inside /usr/bin/gannet push --all hello
check "an upgrade in the container" inside /usr/bin/gannet upgrade
check "it is healthy still" inside "${health[@]}"
stopped() {
    kill -s "$(said STOPSIGNAL | sed s/^SIG//)" "$(first)" && wait "$outside"
}
check "it stops, successfully" stopped
outside=''
echo "$passed passed, 0 failed"
