#!/usr/bin/env bash
# 1,000 quiet sessions with pushes, alone, then beside a storm of full TLS handshakes, 2,000 at a time: what the storm does
# to the latency of a push. Everything is on this machine, so the load takes cores from the server: read the two as a ratio.
#
#   benches/tls_storm.sh PROGRAM [SECONDS]
set -euo pipefail

program=${1:?usage: benches/tls_storm.sh PROGRAM [SECONDS]}
seconds=${2:-5}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

"$program" cert self-signed --out "$work" >/dev/null
mkfifo "$work/banner"
"$program" serve --listen 127.0.0.1:0 --backend 127.0.0.1:0 --echo --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" \
    >"$work/banner" &
exec 3<"$work/banner"
clients='' backend=''
while [ -z "$backend" ] && read -r line <&3; do
    [[ $line =~ (wss://[0-9.:]+)/ws ]] && clients=${BASH_REMATCH[1]}
    [[ $line =~ http://([0-9.:]+) ]] && backend=${BASH_REMATCH[1]}
done

quiet() {
    "$program" bench push "$clients/ws" --insecure-tls -c 1000 -r 1000 -d "$1" --via link --backend "$backend"
}

echo "== alone"
quiet "${seconds}s"
echo "== beside a storm"
quiet "${seconds}s" >"$work/quiet" &
measured=$!
"$program" bench connect "$clients/echo" --insecure-tls -c 2000 -d "$((seconds + 3))s" >"$work/storm" || true
wait "$measured"
cat "$work/quiet" "$work/storm"
curl -sS "http://$backend/metrics" | grep gannet_tls_handshakes_total | grep -v ' 0$'
