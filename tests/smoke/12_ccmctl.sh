#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ccmctl, as it is installed, on real nodes: it finds the only node by itself, its exit status tells up
# and down, it says what is wrong and what to do, follows events over a restart, tells boot stages, sees
# a control core that stands still, and packs everything for whoever was not there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
change_config A '.boot_stages = [{name: "kernel", budget_ms: 600000}, {name: "running"}]'
# A runtime folder of our own, so that other nodes of this machine do not matter.
export RUNTIME_DIRECTORY=$TMP/run CCM_RUNTIME_PATH=$TMP/run
mkdir "$RUNTIME_DIRECTORY"
dpdk_dir() {
	printf '%s/dpdk/%s\n' "$RUNTIME_DIRECTORY" "$1"
}

need_tool meson
meson install -C "$BUILD" --no-rebuild --quiet --destdir "$TMP/root" >"$TMP/install.log" 2>&1 ||
	fail "meson install: $(tail -n 5 "$TMP/install.log")"
ctl=$(find "$TMP/root" -path '*/bin/ccmctl' -type f)
[ -x "$ctl" ] || fail "ccmctl is not installed"

for file in ccm/monitoring/ccm.rules.yml ccm/monitoring/grafana-ccm.json dpdk/telemetry-endpoints/ccm.py \
	ccm/wireshark/ccm.lua; do
	[ -f "${ctl%/bin/*}/share/$file" ] || fail "share/$file is not installed"
done

# ctl STATUS ARGUMENTS...: run it, with the output in $TMP/out and $TMP/err.
ctl() {
	local want=$1 status=0
	shift
	(cd / && exec timeout 60 "$ctl" "$@") >"$TMP/out" 2>"$TMP/err" </dev/null || status=$?
	[ "$status" -eq "$want" ] ||
		fail "ccmctl $*: status $status, expected $want: $(cat "$TMP/out" "$TMP/err")"
}

# says PATTERN: the output does.
says() {
	grep -qE -- "$1" "$TMP/out" || fail "no line matches $1: $(cat "$TMP/out")"
}

assert_eq "version" "ccmctl $("$BUILD/app/node/ccm-node" --version | cut -d ' ' -f 2)" "$("$ctl" --version)"
assert_eq "version of the exporter" "ccm-exporter $("$BUILD/app/node/ccm-node" --version | cut -d ' ' -f 2)" \
	"$("${ctl%/*}/ccm-exporter" --version)"
ctl 3 status
grep -q 'no ccm-node runs here' "$TMP/err" || fail "without a node: $(cat "$TMP/err")"

start_pair_node A
wait_side 20 A /ccm/status '.partners == 1'
ctl 2
says '^node-a: DOWN, 0 of 1 partner connected$'
says 'NOT CONNECTED: link_down'
says '1\. Check cable'

start_pair_node B
wait_state 20 A up
wait_state 20 B up
ctl 3 status
grep -q 'choose one with --file-prefix' "$TMP/err" || fail "two nodes: $(cat "$TMP/err")"
a=(-p "${PAIR_PREFIX[A]}")
b=(-p "${PAIR_PREFIX[B]}")
ctl 0 "${a[@]}" status
says '^node-a: UP, 1 of 1 partner connected$'
says '^partner 2: connected'
ctl 0 "${b[@]}" status
says '^partner 1: connected \((starting|progressing)\)'
ctl 0 "${a[@]}" boot set running 5
ctl 0 "${a[@]}" boot
says '^  -> 2 running'
wait_side 10 B /ccm/partner,1 '.verdict == "up"'
for command in status partners "partners 2" clients ports "ports 2" events timing drops latency boot nodes \
	"watch -c 1"; do
	# shellcheck disable=SC2086 # words
	ctl 0 "${a[@]}" $command
	[ "$command" = "watch -c 1" ] && continue
	# shellcheck disable=SC2086 # words
	ctl 0 "${a[@]}" --json $command
	jq -e 'length > 0' "$TMP/out" >/dev/null || fail "$command --json: $(cat "$TMP/out")"
done
ctl 0 "${a[@]}" --json latency
wait_exercise 20 A 3
jq -e '[.latency[] | select(.use == "heartbeat" and .rtt_ns > 0 and .partner_id == 2)] | length == 1' \
	"$TMP/out" >/dev/null || fail "latency: $(cat "$TMP/out")"
ctl 0 "${a[@]}" --json ports
assert_eq "ports" 3 "$(jq '.ports | length' "$TMP/out")"
ctl 0 "${a[@]}" --json timing
jq -e '.timing[0].id == 2 and .timing[0].read_one_ns > 0' "$TMP/out" >/dev/null || fail "timing"
ctl 0 "${a[@]}" --json clients
assert_eq "kinds of clients" "exercise exercise" "$(jq -r '[.clients[].kind] | join(" ")' "$TMP/out")"
ctl 0 explain no_progress
says '^no_progress, reason: '
ctl 0 "${a[@]}" support-bundle -o "$TMP/bundle.tar.gz" --config "${PAIR_CONFIG[A]}" --log "${NODE_LOG[A]}"
tar -xzf "$TMP/bundle.tar.gz" -C "$TMP" --one-top-level=bundle --strip-components=1
grep -q '^node-a: UP' "$TMP/bundle/status.txt" || fail "bundle: $(cat "$TMP/bundle/status.txt")"
! grep -rqi 'c0de0001' "$TMP/bundle" || fail "the bundle has keys: $(grep -rli c0de0001 "$TMP/bundle")"
jq -e '.state == "up"' "$TMP/bundle/telemetry/ccm-partner-2.json" >/dev/null || fail "bundle: partner"
# Whatever this machine is like: a running node, with its own arguments and configuration.
(cd / && "$ctl" "${a[@]}" --json doctor >"$TMP/out" 2>"$TMP/err") || [ $? -le 2 ] || fail "doctor: $(cat "$TMP/err")"
jq -e --arg file "${PAIR_CONFIG[A]}" '[.findings[] | {(.name): .}] | add
	| .config.level == "ok" and (.config.text | contains($file)) and .session.level == "ok"
	and .hugepages.text == "not needed: --no-huge" and (.cpus.text | contains("lcore"))
	and (.device.text | startswith("net_memif")) and .mtu.level == "ok"' "$TMP/out" >/dev/null ||
	fail "doctor: $(cat "$TMP/out")"
CCM_NODE=$BUILD/app/node/ccm-node "$ctl" --json doctor --config "${PAIR_CONFIG[B]}" \
	-- --no-huge -l 999 --vdev=net_memif0 >"$TMP/out" || status=$?
assert_eq "status of doctor without a node, for a CPU that does not exist" 2 "${status:-0}"
jq -e '.findings | any(.name == "config" and .level == "ok") and any(.name == "cpus" and .level == "error")' \
	"$TMP/out" >/dev/null || fail "doctor --config: $(cat "$TMP/out")"
log "up: all commands, as text and JSON"

"$ctl" "${a[@]}" events -f -n 1 >"$TMP/events" 2>&1 &
wait_for 10 grep -q . "$TMP/events" || fail "events -f says nothing"
kill_node B
wait_state_not 10 A up
ctl 2 "${a[@]}" status
says 'NOT CONNECTED'
wait_for 10 grep -q 'up -> closing' "$TMP/events" || fail "events -f: $(cat "$TMP/events")"
pid=${NODE_PID[A]}
kill_node A
wait_for 10 grep -q 'no answer from the node' "$TMP/events" || fail "events -f: $(cat "$TMP/events")"
ctl 3 "${a[@]}" status
start_pair_node A
start_pair_node B
wait_for 20 grep -q 'started again' "$TMP/events" || fail "events -f: $(cat "$TMP/events")"
wait_state 20 A up
wait_for 10 grep -q 'ready -> up' "$TMP/events" || fail "events -f: $(cat "$TMP/events")"
log "events are followed over kill -9 of both nodes"

# The control core of A stands still: telemetry, which is another thread, goes on.
scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
if [ "$(id -u)" -eq 0 ] || [ "$scope" -eq 0 ]; then
	[ "$pid" != "${NODE_PID[A]}" ] || fail "A is the same process"
	"$PYTHON" "$SMOKE/stop_thread.py" "${NODE_PID[A]}" 30 >"$TMP/stop.out" 2>&1 &
	stopper=$!
	wait_for 5 grep -q stopped "$TMP/stop.out" || fail "cannot stop the thread: $(cat "$TMP/stop.out")"
	sleep 2.5
	ctl 2 "${a[@]}" status
	says 'control core stands still'
	kill "$stopper"
	wait "$stopper" || true
	wait_state 20 A up
	log "a control core that stands still is told"
fi
stop_node A
stop_node B
log passed
