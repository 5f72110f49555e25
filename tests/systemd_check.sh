#!/usr/bin/env bash
# Runs the unit of contrib/systemd under a real systemd, which boots in namespaces of its own: it starts, reloads, is upgraded,
# restarts and stops it, with players connected. The last line is "N passed, M failed".
#
#   tests/systemd_check.sh PROGRAM [PART…]
#
# PROGRAM is the built `gannet`. The parts are `serve` (start, reload, stop, a crash, the watchdog), `upgrade`, `restart` and `deb`, the
# package of contrib/debian, which takes the place of what the other parts use; without any, all. It needs root, and changes nothing outside of its namespaces but one cgroup, which it removes.
set -uo pipefail

# boot ROOT: what runs as the first process of the namespaces. ROOT becomes an overlay of this machine's file system.
boot() {
    local root=$1 merged=$1/merged
    set -e
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$root"
    mkdir "$root/upper" "$root/work" "$merged"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$merged"
    mount -t proc proc "$merged/proc"
    mount -t sysfs sysfs "$merged/sys"
    mount -t cgroup2 cgroup2 "$merged/sys/fs/cgroup"
    for folder in dev run tmp; do mount -t tmpfs tmpfs "$merged/$folder"; done
    for device in null zero full random urandom tty; do
        touch "$merged/dev/$device"
        mount --bind "/dev/$device" "$merged/dev/$device"
    done
    mkdir "$merged/dev/shm" "$merged/dev/pts"
    ln -s /proc/self/fd "$merged/dev/fd"
    ln -s pts/ptmx "$merged/dev/ptmx"
    rm -f "$merged/etc/machine-id"
    touch "$merged/etc/machine-id"
    # This machine's own unit, if it has one, is not the one that is tested.
    rm -rf "$merged"/etc/systemd/system/gannet.service* "$merged/etc/gannet"
    install -D "$program" "$merged/usr/local/bin/gannet"
    install -D -m 644 "$unit" "$merged/etc/systemd/system/gannet.service"
    mkdir -p "$merged/etc/gannet"
    configure 5 "$merged"
    # Not chroot(1): the sandboxes of units are made from the root of the mount namespace.
    mkdir "$merged/outside"
    cd "$merged"
    pivot_root . outside
    umount -l /outside
    exec env -i container=gannet-check "PATH=$PATH" \
        /lib/systemd/systemd --system --unit=basic.target --show-status=no --log-target=journal
}

# configure PAGE [ROOT]: the configuration, in which max_page is PAGE.
configure() {
    cat >"${2-}/etc/gannet/gannet.toml" <<TOML
listen = "127.0.0.1:9000"
reactors = 2
[backend]
listen = "127.0.0.1:9001"
[limits]
max_page = $1
[timeouts]
shutdown_ms = 200
upgrade_start_ms = 3000
close_ms = 1000
${parks:+[upgrade]}
${parks:+park_on_stop = true}
TOML
}

parks=
program=$(realpath "${1:?usage: tests/systemd_check.sh PROGRAM [PART…]}") || exit 1
repository=$(realpath "$(dirname "$0")/..") || exit 1
unit=$repository/contrib/systemd/gannet.service
shift
if [ "${1-}" = --boot ]; then
    boot "$2"
fi

work=$(mktemp -d)
cgroups=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
cgroup=$cgroups/gannet-check.$$
outside='' manager='' players=''
passed=0

cleanup() {
    [ -z "$players" ] || kill "$players" 2>/dev/null
    # The namespaces end with systemd, and systemd with the process outside.
    [ -z "$outside" ] || { kill -KILL "$outside" && wait "$outside"; } 2>/dev/null
    for _ in {1..100}; do
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$cgroup" ] || break
        sleep 0.1
    done
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    printf 'systemd_check: %s\n' "$*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || fail "run it as root: it makes namespaces and mounts"
[ -n "$cgroups" ] || fail "there is no cgroup2 file system, without which systemd does not run"
for tool in unshare nsenter python3 systemctl; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done

# inside PROGRAM ARGUMENT…: in systemd's namespaces.
inside() {
    nsenter --target "$manager" --mount --pid --cgroup --uts --ipc --net --root --wd "$@"
}

# until_true COMMAND…: waits until it succeeds, for two minutes at most.
until_true() {
    local until=$((SECONDS + 120))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}

# check WHAT COMMAND…: the command succeeds. Where it does not, nothing that would be checked next means anything.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok - $what"
    else
        printf 'FAILED - %s: %s\n%s\n' "$what" "$*" "$said"
        inside journalctl --no-pager -n 30 -u gannet
        echo "$passed passed, 1 failed"
        exit 1
    fi
}

# refused WHAT COMMAND…: the command fails.
refused() {
    local what=$1
    shift
    check "$what" not "$@"
}

not() {
    ! "$@"
}

property() {
    inside systemctl show -p "$1" --value gannet
}

is() {
    [ "$(property "$1")" = "$2" ] || { property "$1" && return 1; }
}

gannet() {
    inside gannet "$@"
}

# connect NUMBER: so many players, who are to get every message that is pushed, in order, and to lose no connection.
connect() {
    : >"$work/players"
    inside python3 -c '
import os, selectors, socket, sys
players, selector = int(sys.argv[1]), selectors.DefaultSelector()
got = {}
for player in range(players):
    one = socket.create_connection(("127.0.0.1", 9000))
    one.sendall(f"GET /ws?user=p{player} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += one.recv(4096)
    assert head.startswith(b"HTTP/1.1 101"), head
    one.setblocking(False)
    selector.register(one, selectors.EVENT_READ)
    got[one] = [0, head.split(b"\r\n\r\n", 1)[1]]
print("connected", flush=True)
told = 0
while True:
    for key, _ in selector.select():
        one = key.fileobj
        more = one.recv(65536)
        if not more:
            print("lost", flush=True)
            sys.exit(1)
        state = got[one]
        state[1] += more
        # Frames of a server are not masked, and all that come here are short (RFC 6455 section 5.2).
        while len(state[1]) >= 2 and len(state[1]) >= 2 + state[1][1]:
            opcode, length = state[1][0] & 15, state[1][1]
            payload, state[1] = state[1][2:2 + length], state[1][2 + length:]
            assert length < 126, length
            if opcode == 8:
                print("closed", int.from_bytes(payload[:2], "big"), flush=True)
                sys.exit(1)
            if opcode == 1 and payload.isdigit():
                assert int(payload) == state[0] + 1, (payload, state[0])
                state[0] += 1
    least = min(number for number, _ in got.values())
    if least > told:
        told = least
        print("all have", told, flush=True)
' "$1" >"$work/players" 2>&1 &
    players=$!
    until_true grep -q '^connected' "$work/players"
}

# push NUMBER: every player gets it.
push() {
    gannet push --all "$1" >/dev/null && until_true grep -qx "all have $1" "$work/players" || { cat "$work/players" && return 1; }
}

# ended PATTERN: the players have lost their connections, as the last line says.
ended() {
    until_true grep -qE "$1" "$work/players" || { cat "$work/players" && return 1; }
    wait "$players"
    players=
}

part_serve() {
    check "it starts" inside systemctl start gannet
    check "it is active" is ActiveState active
    check "systemd knows that players can connect" is StatusText "players can connect"
    check "players connect" connect 20
    check "and get a message" push 1
    configure_inside 6
    check "a reload succeeds" inside systemctl reload gannet
    check "and holds" until_true grep_config '"max_page":6'
    configure_inside '"many"'
    refused "a reload with a fault in the file fails" inside systemctl reload gannet
    check "and the server goes on" push 2
    configure_inside 5
    local main
    main=$(property MainPID)
    check "it stops" inside systemctl stop gannet
    check "with the players' sessions closed in good order" ended '^closed 1001'
    check "and successfully" is Result success
    check "its process has ended" not inside test -e "/proc/$main"
    check "it starts again" inside systemctl start gannet
    main=$(property MainPID)
    inside systemctl kill --kill-whom=main --signal=KILL gannet
    check "it is started again after a crash" until_true restarted "$main"
    main=$(property MainPID)
    inside systemctl kill --kill-whom=main --signal=STOP gannet
    check "and when no reactor turns any more" until_true restarted "$main"
    inside systemctl stop gannet
}

# restarted PID: another process is the main one, and ready.
restarted() {
    is ActiveState active && ! is MainPID "$1" && ! is MainPID 0
}

part_upgrade() {
    check "it starts" inside systemctl start gannet
    check "players connect" connect 20
    local number main
    for number in 1 2 3 4 5; do
        main=$(property MainPID)
        check "upgrade $number succeeds" gannet upgrade
        check "upgrade $number: the new process is the main one" until_true restarted "$main"
        check "upgrade $number: every player is there" push "$number"
        check "upgrade $number: the old process has ended" until_true not inside test -e "/proc/$main"
        check "upgrade $number: it was no restart" is NRestarts 0
    done
    main=$(property MainPID)
    # Longer than WatchdogSec of the drop-in.
    sleep 5
    check "the watchdog hears of the new process" is MainPID "$main"
    refused "an upgrade to a program that does not serve fails" gannet upgrade --binary /bin/true
    check "and the server goes on" push 6
    check "as the same process" is MainPID "$main"
    check "a reload reaches the new process" inside systemctl reload gannet
    check "an upgrade begins" begin_upgrade
    check "a stop in the middle of it" inside systemctl stop gannet
    check "with the players' sessions closed in good order" ended '^closed 1001'
    check "and successfully" is Result success
    refused "no process but the main one has told systemd anything" journal_has 'reception only permitted'
}

part_restart() {
    parks=1 configure_inside 5
    check "it starts" inside systemctl start gannet
    check "players connect" connect 20
    local number
    for number in 1 2; do
        check "restart $number" inside systemctl restart gannet
        check "restart $number: every player is there" push "$number"
    done
    check "an upgrade after it" gannet upgrade
    check "every player is there" push 3
    check "another upgrade begins" begin_upgrade
    check "a restart in the middle of it" inside systemctl restart gannet
    check "every player is there" push 4
    refused "no process but the main one has told systemd anything" journal_has 'reception only permitted'
    check "a stop keeps nothing for ever" inside systemctl stop gannet
    configure_inside 5
}

part_deb() {
    local build=$repository/contrib/debian/build root=/proc/$manager/root main
    inside rm -rf /etc/systemd/system/gannet.service /usr/local/bin/gannet /etc/gannet
    strip -o "$work/gannet" "$program"
    check "a package is made" env COMPRESS=gzip "$build" "$work/gannet" "$work" 0.0.1
    check "and a later one" env COMPRESS=gzip "$build" "$work/gannet" "$work" 0.0.2
    cp "$work"/gannet_0.0.[12]_*.deb "$root/root/"
    check "it installs" inside sh -c 'apt-get install -qq -y --no-install-recommends /root/gannet_0.0.1_*.deb'
    check "and starts" until_true is ActiveState active
    main=$(property MainPID)
    check "as the user that it makes" test "$(inside stat -c %U "/proc/$main")" = gannet
    check "players connect" connect 20
    check "and get a message" push 1
    echo "# mine" >>"$root/etc/gannet/gannet.toml"
    check "a later package installs" inside sh -c 'dpkg -i /root/gannet_0.0.2_*.deb'
    check "the server was upgraded with it" until_true restarted "$main"
    check "and not restarted" is NRestarts 0
    check "every player is there" push 2
    check "the configuration is what the operator made of it" inside grep -qx '# mine' /etc/gannet/gannet.toml
    check "it is removed" inside dpkg -r gannet
    check "with the players' sessions closed in good order" ended '^closed 1001'
    check "and its program" not inside test -e /usr/bin/gannet
    check "but not the configuration" inside test -e /etc/gannet/gannet.toml
    check "it is purged" inside dpkg -P gannet
    check "with the configuration" not inside test -e /etc/gannet
    check "and the user" not inside getent passwd gannet
}

# begin_upgrade: one whose new process hangs, in the background; returns when that process is there.
begin_upgrade() {
    printf '#!/bin/sh\nexec sleep 600\n' >"/proc/$manager/root/usr/local/bin/hangs"
    chmod 755 "/proc/$manager/root/usr/local/bin/hangs"
    gannet upgrade --binary /usr/local/bin/hangs >"$work/upgrade" 2>&1 &
    until_true inside sh -c 'grep -qx sleep /proc/[0-9]*/comm'
}

journal_has() {
    inside journalctl --no-pager -u gannet | grep -q "$1"
}

grep_config() {
    inside python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:9001/v1/admin/config").read().decode())' | grep -q "$1"
}

configure_inside() {
    configure "$1" "/proc/$manager/root"
}

mkdir "$work/root" "$cgroup" || fail "cannot make a cgroup below $cgroups"
(
    echo $BASHPID >"$cgroup/cgroup.procs" || exit 1
    exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net "$0" "$program" --boot "$work/root"
) >"$work/boot" 2>&1 &
outside=$!

booted() {
    manager=$(cat "/proc/$outside/task/$outside/children") && manager=${manager%% } && [ -n "$manager" ] &&
        [ "$(inside cat /proc/1/comm)" = systemd ] && inside systemctl is-system-running | grep -qE 'running|degraded'
}
until_true booted || fail "systemd did not boot: $(cat "$work/boot")"
inside systemctl --version | head -n 1
# A stuck reactor is found in seconds, and a crash is over at once.
mkdir -p "/proc/$manager/root/etc/systemd/system/gannet.service.d"
printf '[Service]\nWatchdogSec=4s\nRestartSec=100ms\n' >"/proc/$manager/root/etc/systemd/system/gannet.service.d/check.conf"
inside systemctl daemon-reload || fail "systemd does not read the unit"

for part in "${@:-serve upgrade restart deb}"; do
    for name in $part; do
        printf '\n-- %s\n' "$name"
        "part_$name"
    done
done

echo "$passed passed, 0 failed"
