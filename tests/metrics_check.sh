#!/usr/bin/env bash
# Has Prometheus' own checker read the metrics of a running server that has had players, pushes and refusals, and the example
# alerts in contrib/prometheus and the expressions of the dashboard in contrib/grafana. The last line is "N passed, M failed".
#
#   tests/metrics_check.sh PROGRAM PROMTOOL
#
# PROGRAM is the built `gannet`, which serves on free ports of this machine; PROMTOOL is `promtool`.
set -uo pipefail

program=${1:?usage: tests/metrics_check.sh PROGRAM PROMTOOL}
promtool=${2:?usage: tests/metrics_check.sh PROGRAM PROMTOOL}
work=$(mktemp -d)
server=

cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

"$program" serve --reactors 2 --listen 127.0.0.1:0 --backend 127.0.0.1:0 >"$work/said" 2>"$work/log" &
server=$!
for _ in $(seq 600); do
    backend=$(grep -oE 'http://[0-9.:]+' "$work/said" | head -1)
    clients=$(grep -oE 'ws://[0-9.:]+' "$work/said" | head -1)
    [ -n "$backend" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$backend" ]; then
    cat "$work/log"
    echo "0 passed, 1 failed"
    exit 1
fi

# Something of everything: what is pushed, refused, not found, and not HTTP.
curl -s -o /dev/null -d hello "$backend/v1/push?all=1"
curl -s -o /dev/null "$backend/v1/nothing"
curl -s -o /dev/null "http${clients#ws}/ws"
curl -s "$backend/metrics" >"$work/metrics"

if grep -q '^gannet_turns_total' "$work/metrics" && "$promtool" check metrics <"$work/metrics"; then
    echo "ok - promtool has nothing to say about $(grep -c '^# TYPE' "$work/metrics") families"
    passed=1
else
    echo "FAILED - promtool check metrics"
    passed=0
fi
if "$promtool" check rules "$(dirname "$0")/../contrib/prometheus/alerts.yml"; then
    passed=$((passed + 1))
else
    echo "FAILED - promtool check rules"
fi
# The expressions of the dashboard as rules, which the checker parses. What Grafana fills in is filled in.
python3 - "$(dirname "$0")/../contrib/grafana/gannet.json" >"$work/dashboard.yml" <<'PYTHON'
import json
import sys

panels = json.load(open(sys.argv[1]))["panels"]
expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
expressions = [text.replace("$__rate_interval", "1m").replace("$job", "gannet").replace("$instance", ".*") for text in expressions]
rules = [{"record": f"dashboard:{number}", "expr": text} for number, text in enumerate(expressions)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
if "$promtool" check rules "$work/dashboard.yml"; then
    passed=$((passed + 1))
else
    echo "FAILED - promtool check rules, of the dashboard"
fi
echo "$passed passed, $((3 - passed)) failed"
[ "$passed" -eq 3 ]
