#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ccm-exporter on real nodes: metrics in both formats, checked by promtool; the session, a partner that
# is killed, the node itself gone and back. And our endpoint as DPDK's own exporter loads it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
start_pair_node A
start_pair_node B
wait_state 20 A up
wait_exercise 20 A
prefix=${PAIR_PREFIX[A]}

"$ROOT/scripts/ccm-exporter" -p "$prefix" --listen 127.0.0.1:0 2>"$TMP/exporter.log" &
exporter=$!
wait_for 20 grep -q listening "$TMP/exporter.log" || fail "no exporter: $(cat "$TMP/exporter.log")"
port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$TMP/exporter.log")

# scrape FORMAT: into $TMP/FORMAT
scrape() {
	"$PYTHON" -c 'import sys, urllib.request
accept = {"openmetrics": "application/openmetrics-text; version=1.0.0", "text": "*/*"}[sys.argv[2]]
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/metrics", headers={"Accept": accept})
sys.stdout.write(urllib.request.urlopen(request, timeout=30).read().decode())' "$port" "$1" >"$TMP/$1"
}

# shows LINE: one of the metrics is that.
shows() {
	scrape openmetrics && grep -qxF -- "$1" "$TMP/openmetrics"
}

wait_for 10 shows 'ccm_partner_up{partner="2"} 1' || fail "not up: $(cat "$TMP/openmetrics")"
scrape text
tail -n 1 "$TMP/openmetrics" | grep -qx '# EOF' || fail "no # EOF"
for line in 'ccm_up 1' 'ccm_node_state{state="up"} 1' 'ccm_partner_state{partner="2",state="up"} 1' \
	'ccm_partner_verdict{partner="2",verdict="up"} 1' 'ccm_client_partners{state="connected",client="nvlog"} 1' \
	'ccm_device_link_up 1' 'ccm_exercise_mismatches_total 0'; do
	grep -qxF -- "$line" "$TMP/openmetrics" || fail "missing: $line"
	grep -qxF -- "$line" "$TMP/text" || fail "missing in the older format: $line"
done
# What counts is what telemetry says, and goes up.
value() {
	sed -n "s/^$1 //p" "$TMP/openmetrics"
}
before=$(ask A /remu/stats .rx_packets)
scrape openmetrics
sleep 0.6 # answers are kept for half a second
scrape openmetrics
between=$(value ccm_rdma_receive_packets_total)
after=$(ask A /remu/stats .rx_packets)
if [ "$before" -gt "$between" ] || [ "$between" -gt "$after" ]; then
	fail "packets: $before, $between, $after"
fi
[ "$(grep -c '^ccm_port_round_trip_seconds{' "$TMP/openmetrics")" -eq 3 ] || fail "round trips of 3 ports"
log "$(grep -c '^ccm_' "$TMP/openmetrics") samples of $(grep -c '^# TYPE' "$TMP/openmetrics") metrics"

# DPDK 22.11 has no dpdk-telemetry-exporter.py yet: this is how the later one uses an endpoint.
"$PYTHON" -B - "$(dpdk_dir "$prefix")/dpdk_telemetry.v2" "$ROOT" >"$TMP/endpoint" <<'EOF2' || fail "endpoint"
import importlib.util, sys
sys.path.insert(0, sys.argv[2] + "/scripts/lib")
from telemetry import Telemetry
class Sock:
    def __init__(self, path):
        self.telemetry = Telemetry(path)
    def cmd(self, uri, arg=None):
        return self.telemetry.ask(uri if arg is None else f"{uri},{arg}")[uri]
spec = importlib.util.spec_from_file_location("ccm", sys.argv[2] + "/monitoring/dpdk-endpoint/ccm.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
info, last, seen = module.info(), None, set()
for name, value, labels in module.metrics(Sock(sys.argv[1])):
    if name != last:
        assert name not in seen, name
        seen.add(name)
        last = name
        print(f"# HELP dpdk_ccm_{name} {info[name][0]}\n# TYPE dpdk_ccm_{name} {info[name][1]}")
    inside = ",".join(f'{key}="{part}"' for key, part in labels.items())
    print(f"dpdk_ccm_{name}{{{inside}}} {value}")
assert seen == set(info), set(info) - seen
EOF2
grep -qxF 'dpdk_ccm_partner_state{partner="2",state="up"} 1' "$TMP/endpoint" || fail "endpoint: $(cat "$TMP/endpoint")"

kill_node B
wait_state_not 10 A up
wait_for 10 shows 'ccm_partner_up{partner="2"} 0' || fail "a killed partner is still up"
kill_node A
wait_for 10 shows 'ccm_up 0' || fail "a killed node is still up"
[ "$(grep -vc '^#' "$TMP/openmetrics")" -eq 1 ] || fail "metrics of nobody: $(cat "$TMP/openmetrics")"
start_pair_node A
start_pair_node B
wait_state 20 A up
wait_for 10 shows 'ccm_partner_up{partner="2"} 1' || fail "does not come back"
kill -TERM "$exporter"
status=0
wait "$exporter" || status=$?
assert_eq "status of the exporter" 0 "$status"
stop_node A
stop_node B

promtool=$(PATH=$PATH:$ROOT/build-tools command -v promtool) || skip "all but promtool: it is missing (scripts/setup test)"
"$promtool" check metrics <"$TMP/text" >"$TMP/lint" 2>&1 || fail "promtool: $(cat "$TMP/lint")"
[ ! -s "$TMP/lint" ] || fail "promtool: $(cat "$TMP/lint")"
"$promtool" check rules "$ROOT/monitoring/ccm.rules.yml" >/dev/null || fail "promtool check rules"
"$promtool" test rules "$ROOT/monitoring/ccm.rules.test.yml" >/dev/null || fail "promtool test rules"
log "promtool has nothing to say"
log passed
