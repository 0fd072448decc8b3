#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Tests of lib.sh itself, with a stand-in for ccm-node.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_tool jq

# The stand-in: writes its arguments, then waits for SIGTERM.
CCM_NODE=$TMP/node
cat >"$CCM_NODE" <<'EOF'
#!/usr/bin/env bash
echo "args: $*"
trap 'exit "${1:-0}"' TERM
while :; do sleep 0.05; done
EOF
chmod +x "$CCM_NODE"

# ---- wait_for
start=$EPOCHREALTIME
! wait_for 0.2 false || fail "wait_for: false came true"
us=$((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}))
[ "$us" -ge 200000 ] || fail "wait_for: gave up after $us us"
(sleep 0.2 && touch "$TMP/late") &
wait_for 5 test -e "$TMP/late" || fail "wait_for: missed the file"

# ---- assertions
assert_json '{"a": {"b": [1, 2]}}' '.a.b | length == 2'
! json_is '{"a": null}' '.a' || fail "json_is: null is true"
! json_is 'no json' '.' || fail "json_is: no json is true"
assert_eq "value" 2 "$(json_value '{"a": 2}' .a)"
! (assert_json '{"a": 1}' '.a == 2') >/dev/null || fail "assert_json: 1 == 2"
! (assert_eq what 1 2) >/dev/null || fail "assert_eq: 1 = 2"

# ---- nodes
start_node a -- 0 --file-prefix=x
wait_for 5 grep -qx 'args: 0 --file-prefix=x' "$TMP/a.log" || fail "arguments do not arrive"
node_runs a || fail "node a does not run"
stop_node a
! node_runs a || fail "node a runs after stop_node"
start_node a -- 3
wait_for 5 grep -qx 'args: 3' "$TMP/a.log" || fail "second log is missing"
kill_node a TERM
wait_for 5 smoke_node_ended a || fail "kill_node TERM"
reap_node a
assert_eq "status of node a" 3 "$NODE_STATUS"
start_node b -- 0
pid=${NODE_PID[b]}
kill_node b STOP
wait_for 5 grep -q 'State:[[:space:]]*T' "/proc/$pid/status" || fail "kill_node STOP"
kill_node b
[ ! -e "/proc/$pid" ] || fail "kill_node KILL"

# ---- telemetry without a process
new_prefix none
! telemetry "$PREFIX" /info 2>/dev/null || fail "telemetry: answered by nobody"
! telemetry_is "$PREFIX" /info true || fail "telemetry_is: true of nobody"

# ---- the end: cleanup kills children, deletes namespaces and folders
cat >"$TMP/victim" <<'EOF'
#!/usr/bin/env bash
set -euo pipefail
. "$1/lib.sh"
CCM_NODE=$2
start_node a -- 0
[ "$(id -u)" -ne 0 ] || [ "$4" = nonet ] || make_veth 9000
echo "${NODE_PID[a]} $TMP ${NS_A:--}" >"$3"
sleep 30 &
case "$4" in
fail) fail "on purpose" ;;
skip) skip "on purpose" ;;
error) false ;;
*) sleep 30 ;;
esac
EOF
for how in fail skip error nonet; do
	status=0
	if [ "$how" = nonet ]; then
		bash "$TMP/victim" "$SMOKE" "$CCM_NODE" "$TMP/$how" "$how" >"$TMP/out" 2>&1 &
		victim=$!
		wait_for 10 test -s "$TMP/$how" || fail "victim does not start: $(cat "$TMP/out")"
		# bash runs the trap when its foreground child ends, as timeout sees to in scripts/test
		# shellcheck disable=SC2046 # several words
		kill -TERM "$victim" $(ps -o pid= --ppid "$victim")
		wait "$victim" || status=$?
	else
		bash "$TMP/victim" "$SMOKE" "$CCM_NODE" "$TMP/$how" "$how" >"$TMP/out" 2>&1 || status=$?
	fi
	case "$how" in
	fail | error) assert_eq "status of $how" 1 "$status" ;;
	skip) assert_eq "status of $how" 77 "$status" ;;
	nonet) assert_eq "status of $how" 143 "$status" ;;
	esac
	[ -s "$TMP/$how" ] || continue # no namespaces here
	read -r pid folder ns <"$TMP/$how"
	[ ! -e "/proc/$pid" ] || fail "$how: leaves process $pid"
	[ ! -e "$folder" ] || fail "$how: leaves $folder"
	[ "$ns" = - ] || ! ip netns list | grep -q "^$ns\b" || fail "$how: leaves namespace $ns"
done

# ---- network, where we may
if [ "$(id -u)" -eq 0 ] && command -v ip >/dev/null && command -v tcpdump >/dev/null; then
	make_veth 1500
	assert_eq "MAC of B" "$MAC_B" "$(in_ns "$NS_B" cat "/sys/class/net/$IF_B/address")"
	start_capture "$TMP/quiet.pcap"
	sleep 0.3
	stop_capture
	assert_eq "frames on an idle cable" 0 "$(tcpdump -Z root -nr "$TMP/quiet.pcap" 2>/dev/null | wc -l)"
fi
log "passed"
