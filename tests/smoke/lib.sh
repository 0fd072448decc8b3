# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers of the smoke tests; to be sourced:
#
#   #!/usr/bin/env bash
#   set -euo pipefail
#   . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# Then $ROOT is the source tree, $BUILD the build folder, $TMP a folder that vanishes at the end.
# At the end, however it comes, all nodes and other children are killed and all namespaces deleted.
# Exit status: 0 passed, 77 skipped, anything else failed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
SMOKE=$ROOT/tests/smoke
# The system's own: scapy is a package of it, and it starts at once.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3
TMP=$(mktemp -d "${TMPDIR:-/tmp}/ccm-smoke.XXXXXX")

NS_A='' NS_B='' IF_A=veth_a IF_B=veth_b
MAC_A=02:00:00:00:00:01 MAC_B=02:00:00:00:00:02
IP_A=192.0.2.1 IP_B=192.0.2.2

declare -A NODE_PID NODE_LOG
# Of the pair A, B: see make_pair
declare -A PAIR_PREFIX PAIR_CONFIG PAIR_VDEV PAIR_LCORES PAIR_NS PAIR_OTHER=([A]=2 [B]=1)
SMOKE_NAMESPACES=()
SMOKE_PREFIXES=()

log() {
	printf '%s\n' "$*"
}

skip() {
	log "skip: $*"
	exit 77
}

# Say what is wrong, show the nodes' last words, and end.
fail() {
	local name
	log "FAIL: $*"
	for name in "${!NODE_LOG[@]}"; do
		log "--- log of node $name (last lines)"
		tail -n 30 -- "${NODE_LOG[$name]}" || true
	done
	exit 1
}

# All processes below a process, children first.
smoke_descendants() {
	local child
	for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do
		smoke_descendants "$child"
		printf '%s\n' "$child"
	done
}

smoke_cleanup() {
	local status=$? pids pid ns prefix base
	trap '' INT TERM HUP
	trap - EXIT
	set +e
	mapfile -t pids < <(smoke_descendants $$)
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -CONT "$pid" 2>/dev/null
		kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	for ns in ${SMOKE_NAMESPACES[@]+"${SMOKE_NAMESPACES[@]}"}; do
		ip netns delete "$ns" 2>/dev/null
	done
	# What a killed DPDK process leaves behind.
	for prefix in ${SMOKE_PREFIXES[@]+"${SMOKE_PREFIXES[@]}"}; do
		base=$(dpdk_dir "$prefix")
		case "$base" in
		*/dpdk/?*) rm -rf -- "$base" ;;
		esac
	done
	rm -rf -- "$TMP"
	exit "$status"
}
trap smoke_cleanup EXIT
# A second signal must not end the cleanup.
trap 'trap "" INT TERM HUP; exit 130' INT
trap 'trap "" INT TERM HUP; exit 143' TERM HUP

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# need_tool NAME...
need_tool() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

# ---- waiting and asserting

# wait_for SECONDS COMMAND...: run it every 50 ms until it succeeds; 1 when time is up.
wait_for() {
	local seconds=$1 end now
	shift
	end=$((${EPOCHREALTIME/[.,]/} + $(awk -v s="$seconds" 'BEGIN { printf "%d", s * 1000000 }')))
	until "$@" >/dev/null 2>&1; do
		now=${EPOCHREALTIME/[.,]/}
		[ "$now" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# assert_eq WHAT EXPECTED ACTUAL
assert_eq() {
	[ "$2" = "$3" ] || fail "$1: expected $2, got $3"
}

# json_is JSON FILTER [jq options...]: true when the filter gives neither false nor null.
json_is() {
	local json=$1 filter=$2
	shift 2
	jq -e "$@" "$filter" <<<"$json" >/dev/null 2>&1
}

# assert_json JSON FILTER [MESSAGE]
assert_json() {
	json_is "$1" "$2" || fail "${3:-assertion}: not true: $2 of $1"
}

# json_value JSON FILTER: print it raw.
json_value() {
	jq -r "$2" <<<"$1"
}

# ---- nodes

# Runtime folder of a DPDK process with this file prefix.
dpdk_dir() {
	if [ "$(id -u)" -eq 0 ]; then
		printf '/var/run/dpdk/%s\n' "$1"
	else
		printf '%s/dpdk/%s\n' "${XDG_RUNTIME_DIR:-/tmp}" "$1"
	fi
}

# A file prefix of our own, cleared away at the end, in the variable PREFIX.
# usage: new_prefix NAME; then use "$PREFIX"
new_prefix() {
	PREFIX=ccm-smoke-$$-$1
	SMOKE_PREFIXES+=("$PREFIX")
}

# start_node NAME [--ns NAMESPACE] -- ARGUMENTS...: ccm-node in the background.
# Another program by the variable CCM_NODE.
start_node() {
	local name=$1 ns='' command=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		case "$1" in
		--ns)
			ns=$2
			shift 2
			;;
		*) fail "start_node: $1?" ;;
		esac
	done
	shift
	[ -z "${NODE_PID[$name]:-}" ] || fail "node $name runs already"
	[ -z "$ns" ] || command=(ip netns exec "$ns")
	command+=("${CCM_NODE:-$BUILD/app/node/ccm-node}" "$@")
	NODE_LOG[$name]=$TMP/$name.log
	"${command[@]}" >>"${NODE_LOG[$name]}" 2>&1 </dev/null &
	NODE_PID[$name]=$!
}

node_runs() {
	[ -n "${NODE_PID[$1]:-}" ] && kill -0 "${NODE_PID[$1]}" 2>/dev/null &&
		! grep -q '^State:[[:space:]]*Z' "/proc/${NODE_PID[$1]}/status" 2>/dev/null
}

smoke_node_ended() {
	! node_runs "$1"
}

# Wait for the end of a node that has been told to end; its exit status in NODE_STATUS.
reap_node() {
	NODE_STATUS=0
	wait "${NODE_PID[$1]}" 2>/dev/null || NODE_STATUS=$?
	unset "NODE_PID[$1]"
}

# stop_node NAME [SECONDS]: SIGTERM; it must end within the time (10 s), with status 0.
stop_node() {
	local name=$1
	[ -n "${NODE_PID[$name]:-}" ] || fail "node $name was not started"
	node_runs "$name" || fail "node $name has ended by itself"
	kill -TERM "${NODE_PID[$name]}"
	wait_for "${2:-10}" smoke_node_ended "$name" || fail "node $name does not end on SIGTERM"
	reap_node "$name"
	[ "$NODE_STATUS" -eq 0 ] || fail "node $name ended with status $NODE_STATUS"
}

# kill_node NAME [SIGNAL]: KILL by default, which also waits for its end.
kill_node() {
	local name=$1 signal=${2:-KILL}
	[ -n "${NODE_PID[$name]:-}" ] || fail "node $name was not started"
	kill -s "${signal#SIG}" "${NODE_PID[$name]}" || fail "node $name has ended by itself"
	if [ "${signal#SIG}" = KILL ]; then
		reap_node "$name"
	fi
}

# telemetry FILE_PREFIX COMMAND...: print the replies, {"COMMAND": value} each.
telemetry() {
	local prefix=$1
	shift
	"$PYTHON" "$ROOT/scripts/lib/telemetry.py" --socket "$(dpdk_dir "$prefix")/dpdk_telemetry.v2" "$@"
}

# telemetry_is FILE_PREFIX COMMAND FILTER: the filter sees the value of the reply.
telemetry_is() {
	local json
	json=$(telemetry "$1" "$2" 2>/dev/null) || return 1
	json_is "$json" ".[] | $3"
}

# wait_telemetry SECONDS FILE_PREFIX COMMAND FILTER: wait until it is true, or fail.
wait_telemetry() {
	wait_for "$1" telemetry_is "$2" "$3" "$4" ||
		fail "after $1 s not true: $4 of $(telemetry "$2" "$3" 2>&1)"
}

# ---- a pair of nodes, A and B

# CPUs that we may use, in the array CPUS.
smoke_cpus() {
	local range first last
	CPUS=()
	for range in $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr , ' '); do
		first=${range%-*} last=${range#*-}
		while [ "$first" -le "$last" ]; do
			CPUS+=("$first")
			first=$((first + 1))
		done
	done
}

need_node() {
	[ -x "${CCM_NODE:-$BUILD/app/node/ccm-node}" ] ||
		fail "no ccm-node in ${BUILD}; build it first: ninja -C ${BUILD}"
}

# make_pair memif | af_packet: prepare the nodes A and B, which start_pair_node starts, each on one
# lcore. May be changed before the start, by [A] and [B]: PAIR_CONFIG (see change_config),
# PAIR_LCORES, PAIR_VDEV.
make_pair() {
	local side
	need_node
	need_tool jq python3
	smoke_cpus
	for side in A B; do
		new_prefix "$side"
		PAIR_PREFIX[$side]=$PREFIX
		PAIR_CONFIG[$side]=$TMP/node-${side,}.json
		cp "$ROOT/config/node-${side,}.json" "${PAIR_CONFIG[$side]}"
		# A test may get no CPU for a good part of a second; that is no failure of the partner.
		change_config "$side" '.timing += {dead_after_us: 1000000, retry_us: 100000}'
		PAIR_NS[$side]=
	done
	PAIR_LCORES[A]="0@${CPUS[0]}"
	PAIR_LCORES[B]="0@${CPUS[1]:-${CPUS[0]}}"
	case "$1" in
	memif)
		# An abstract socket: nothing of it in the file system.
		PAIR_SOCKET=ccm-smoke-$$
		PAIR_VDEV[A]=net_memif0,role=server,socket=$PAIR_SOCKET
		PAIR_VDEV[B]=net_memif0,role=client,socket=$PAIR_SOCKET
		;;
	af_packet)
		[ -n "$NS_A" ] || make_veth 1500
		PAIR_NS[A]=$NS_A PAIR_NS[B]=$NS_B
		# The driver's default goes past the queueing layer, and so past tcpdump at this end.
		PAIR_VDEV[A]=net_af_packet0,iface=$IF_A,qdisc_bypass=0
		PAIR_VDEV[B]=net_af_packet0,iface=$IF_B
		;;
	*) fail "make_pair: $1?" ;;
	esac
}

# change_config A|B FILTER [jq options...]: before the start.
change_config() {
	local file=${PAIR_CONFIG[$1]} filter=$2
	shift 2
	jq "$@" "$filter" "$file" >"$file.new" || fail "change_config: $filter"
	mv "$file.new" "$file"
}

# start_pair_node A|B [OPTIONS OF CCM-NODE...]
start_pair_node() {
	local side=$1 ns=()
	shift
	[ -z "${PAIR_NS[$side]}" ] || ns=(--ns "${PAIR_NS[$side]}")
	start_node "$side" ${ns[@]+"${ns[@]}"} -- --no-huge -m 128 --no-pci \
		--lcores "${PAIR_LCORES[$side]}" --file-prefix="${PAIR_PREFIX[$side]}" \
		--vdev="${PAIR_VDEV[$side]}" -- --config "${PAIR_CONFIG[$side]}" "$@"
}

# ask A|B COMMAND [FILTER]: the value of the reply, or what the filter makes of it, raw.
ask() {
	local json
	json=$(telemetry "${PAIR_PREFIX[$1]}" "$2") || fail "node $1: no answer to $2"
	jq -r ".[] | ${3:-.}" <<<"$json"
}

# wait_side SECONDS A|B COMMAND FILTER: until it is true of the reply; fail when the time is up or
# the node has ended.
wait_side() {
	local end=$((SECONDS + $1))
	until telemetry_is "${PAIR_PREFIX[$2]}" "$3" "$4"; do
		node_runs "$2" || fail "node $2 has ended, waiting for $4 of $3"
		[ "$SECONDS" -le "$end" ] ||
			fail "node $2: after $1 s not true: $4 of $(telemetry "${PAIR_PREFIX[$2]}" "$3" 2>&1)"
		sleep 0.05
	done
}

# wait_state SECONDS A|B STATE: of the session with the partner.
wait_state() {
	wait_side "$1" "$2" "/ccm/partner,${PAIR_OTHER[$2]}" ".state == \"$3\""
}

# wait_state_not SECONDS A|B STATE
wait_state_not() {
	wait_side "$1" "$2" "/ccm/partner,${PAIR_OTHER[$2]}" ".state != \"$3\""
}

# wait_exercise SECONDS A|B [ROUNDS]: until every port has verified some more rounds of data (2).
wait_exercise() {
	local before
	before=$(ask "$2" /ccm/exercise '[.ports[].rounds] | tojson')
	wait_side "$1" "$2" /ccm/exercise ".total > 0 and .up == .total
		and ([[.ports[].rounds], $before] | transpose | all(.[0] >= .[1] + ${3:-2}))"
	assert_eq "rounds in which node $2 read back other data" 0 "$(ask "$2" /ccm/exercise .mismatches)"
}

# Both are up, with each other's present attempt, and their ports are connected pairwise.
smoke_bound() {
	local a b
	a=$(telemetry "${PAIR_PREFIX[A]}" /ccm/partner,2 /ccm/ports,2) || return 1
	b=$(telemetry "${PAIR_PREFIX[B]}" /ccm/partner,1 /ccm/ports,1) || return 1
	BOUND_STATE="A: $a B: $b"
	jq -en --slurpfile a <(printf '%s' "$a") --slurpfile b <(printf '%s' "$b") '
		def ports: [.[].ports[] | {key: "\(.client) \(.index)", value: .}] | from_entries;
		$a[0][] as $p | $b[0][] as $q | ($a[1] | ports) as $x | ($b[1] | ports) as $y
		| $p.state == "up" and $q.state == "up"
		and $p.nonce == $q.partner_nonce and $q.nonce == $p.partner_nonce
		and $p.version == $q.version and $p.path_mtu == $q.path_mtu and $p.ports == $q.ports
		and ($x | keys) == ($y | keys) and ($x | length) > 0
		and ($x | keys | all(. as $k | $x[$k].qpn == $y[$k].remote_qpn
			and $x[$k].remote_qpn == $y[$k].qpn and $x[$k].length_bytes == $y[$k].length_bytes
			and $x[$k].connected == 1 and $y[$k].connected == 1))'
}

# It may take a moment: the nodes are asked one after the other.
assert_bound() {
	wait_for 10 smoke_bound || fail "the nodes are not bound to each other: $BOUND_STATE"
}

# events A|B: state changes that are kept, as a JSON list, oldest first.
events() {
	local page next=''
	while :; do
		page=$(telemetry "${PAIR_PREFIX[$1]}" "/ccm/events${next:+,$next}") ||
			fail "node $1: no answer to /ccm/events"
		jq -c '.[].events | to_entries[].value | select(.kind == "state")' <<<"$page"
		next=$(jq -r '.[].next // empty' <<<"$page")
		[ -n "$next" ] || break
	done | jq -cs 'sort_by(.seq)'
}

# ---- network

# make_veth [MTU]: two namespaces joined by a cable.
#
#   namespace $NS_A               namespace $NS_B
#   $IF_A $MAC_A  ------------  $IF_B $MAC_B
#
# No IPv6, no ARP, no address: nothing but our frames. Offloads off where the kernel lets us.
# With BAD_CABLE=yes the cable goes through a third namespace, where bad_cable() spoils it.
make_veth() {
	local mtu=${1:-1500} ns ifname mac side
	need_root
	need_tool ip
	NS_A=ccm$$a NS_B=ccm$$b
	ip netns add "$NS_A" 2>/dev/null || skip "cannot make network namespaces"
	SMOKE_NAMESPACES+=("$NS_A")
	ip netns add "$NS_B" 2>/dev/null || skip "cannot make network namespaces"
	SMOKE_NAMESPACES+=("$NS_B")
	for ns in "$NS_A" "$NS_B"; do
		# shellcheck disable=SC2016 # for the inner shell
		ip netns exec "$ns" bash -c 'for what in all default; do
			file=/proc/sys/net/ipv6/conf/$what/disable_ipv6
			[ ! -e "$file" ] || echo 1 >"$file"
		done'
	done
	if [ -n "${BAD_CABLE:-}" ]; then
		smoke_bad_cable "$mtu"
	else
		smoke_cable "$NS_A" "$IF_A" "$NS_B" "$IF_B" "$mtu"
	fi
	for side in A B; do
		if [ "$side" = A ]; then
			ns=$NS_A ifname=$IF_A mac=$MAC_A
		else
			ns=$NS_B ifname=$IF_B mac=$MAC_B
		fi
		ip -n "$ns" link set dev "$ifname" address "$mac" arp off multicast off
		if command -v ethtool >/dev/null; then
			ip netns exec "$ns" ethtool -K "$ifname" rx off tx off sg off tso off gso off gro off \
				>/dev/null 2>&1 || true
		else
			ip -n "$ns" link set dev "$ifname" gso_max_segs 1 2>/dev/null || true
		fi
		ip -n "$ns" link set dev "$ifname" up
	done
	wait_for 5 smoke_link_up "$NS_A" "$IF_A" || fail "link of $IF_A does not come up"
	wait_for 5 smoke_link_up "$NS_B" "$IF_B" || fail "link of $IF_B does not come up"
}

# smoke_cable NAMESPACE INTERFACE NAMESPACE INTERFACE MTU
smoke_cable() {
	ip -n "$1" link add "$2" mtu "$5" type veth peer name "$4" netns "$3" mtu "$5" 2>/dev/null ||
		skip "cannot make veth pairs"
}

# Two cables, and between them a process that passes frames on, or not.
smoke_bad_cable() {
	local ns=ccm$$m
	[ -x "$BUILD/tests/link/lossy_wire" ] || fail "no lossy_wire in ${BUILD}; build it first"
	ip netns add "$ns" 2>/dev/null || skip "cannot make network namespaces"
	SMOKE_NAMESPACES+=("$ns")
	smoke_cable "$NS_A" "$IF_A" "$ns" wire_a "$1"
	smoke_cable "$NS_B" "$IF_B" "$ns" wire_b "$1"
	ip -n "$ns" link set dev wire_a arp off multicast off up
	ip -n "$ns" link set dev wire_b arp off multicast off up
	mkfifo "$TMP/wire.in"
	ip netns exec "$ns" "$BUILD/tests/link/lossy_wire" wire_a wire_b \
		<"$TMP/wire.in" >"$TMP/wire.out" 2>&1 &
	exec {WIRE_FD}>"$TMP/wire.in"
	wait_for 10 grep -q ready "$TMP/wire.out" || fail "lossy_wire: $(cat "$TMP/wire.out")"
}

# bad_cable NAME=VALUE...: what the cable does from now on, as lossy_wire has it; what is not named
# stays. "stats" prints its counters.
bad_cable() {
	local lines
	lines=$(wc -l <"$TMP/wire.out")
	printf '%s\n' "$*" >&"$WIRE_FD"
	wait_for 10 smoke_wire_answered "$lines" || fail "lossy_wire does not answer"
	WIRE_ANSWER=$(tail -n 1 "$TMP/wire.out")
	[ "${WIRE_ANSWER%% *}" = ok ] || fail "lossy_wire refuses: $*"
}

smoke_wire_answered() {
	[ "$(wc -l <"$TMP/wire.out")" -gt "$1" ]
}

smoke_link_up() {
	ip -n "$1" -o link show dev "$2" | grep -q 'state UP'
}

# in_ns NAMESPACE COMMAND...
in_ns() {
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# start_capture FILE [NAMESPACE INTERFACE]: tcpdump in the background, from now on.
start_capture() {
	local file=$1 ns=${2:-$NS_A} ifname=${3:-$IF_A}
	need_tool tcpdump
	ip netns exec "$ns" tcpdump -i "$ifname" -U --immediate-mode -s 0 -B 65536 -Z root -w "$file" \
		>"$TMP/tcpdump.log" 2>&1 </dev/null &
	CAPTURE_PID=$!
	wait_for 10 grep -q 'listening on' "$TMP/tcpdump.log" ||
		fail "tcpdump does not start: $(cat "$TMP/tcpdump.log")"
}

stop_capture() {
	sleep 0.2
	kill -INT "$CAPTURE_PID" 2>/dev/null || true
	wait "$CAPTURE_PID" 2>/dev/null || true
}

# check_capture FILE [OPTIONS...]: as check_capture.py, with the addresses of make_veth.
check_capture() {
	local file=$1
	shift
	need_tool tshark
	"$PYTHON" "$SMOKE/check_capture.py" --mac-a "$MAC_A" --mac-b "$MAC_B" \
		--ip-a "$IP_A" --ip-b "$IP_B" "$@" "$file" || fail "capture ${file##*/}"
}
