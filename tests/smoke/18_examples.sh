#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The annotated examples as they are, each file with a node of its own: they come up with each other,
# and data goes to the partner and back. Those for NICs run over shared memory here, with the same MTU.
# Three nodes are joined by a bridge; one of them is killed and returns.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_node
need_tool jq
smoke_cpus
examples=$ROOT/config/examples
declare -A prefixes

# run_example NODE FILE VDEV [--ns NAMESPACE]: on a CPU that others may share.
run_example() {
	local node=$1 file=$2 vdev=$3 cpu=${CPUS[$((${1##*-} % ${#CPUS[@]}))]}
	shift 3
	new_prefix "$node"
	prefixes[$node]=$PREFIX
	start_node "$node" "$@" -- --no-huge -m 256 --no-pci --lcores "0@$cpu" --file-prefix="$PREFIX" \
		--vdev="$vdev" -- --config "$examples/$file"
}

# come_up NODE...: with all of their partners, and each port has verified some data. Not all at the
# same time: where detection times are short and others use the CPU, a session may end now and then.
come_up() {
	local node
	for node; do
		wait_telemetry 60 "${prefixes[$node]}" /ccm/partners 'all(.partners[]; .sessions > 0)'
		wait_telemetry 60 "${prefixes[$node]}" /ccm/exercise \
			'.total > 0 and all(.ports[]; .rounds > 1) and .mismatches == 0'
	done
}

# pair KIND PATH_MTU: two nodes over shared memory.
pair() {
	local kind=$1
	run_example "$kind-1" "$kind-1.json" "net_memif0,role=server,socket=ccm-ex-$$-$kind,bsize=4608"
	run_example "$kind-2" "$kind-2.json" "net_memif0,role=client,socket=ccm-ex-$$-$kind,bsize=4608"
	come_up "$kind-1" "$kind-2"
	wait_telemetry 60 "${prefixes[$kind-1]}" /ccm/partner,2 ".state == \"up\" and .path_mtu == $2"
	stop_node "$kind-1"
	stop_node "$kind-2"
	log "$kind: up, path MTU $2"
}

pair memif 1024
pair nic 4096
pair mlx5 4096

if [ "$(id -u)" -ne 0 ]; then
	log "passed without af_packet and three nodes, which need root"
	exit 0
fi
need_tool ip
make_veth 1500
run_example af_packet-1 af_packet-1.json "net_af_packet0,iface=$IF_A" --ns "$NS_A"
run_example af_packet-2 af_packet-2.json "net_af_packet0,iface=$IF_B" --ns "$NS_B"
come_up af_packet-1 af_packet-2
stop_node af_packet-1
stop_node af_packet-2
log "af_packet: up"

#   namespace ccm...1     bridge      ...2, ...3
#   port  ------------  port1, 2, 3  ------------  port
hub=ccm$$h
ip netns add "$hub" 2>/dev/null || skip "cannot make network namespaces"
SMOKE_NAMESPACES+=("$hub")
ip -n "$hub" link add hub type bridge mcast_snooping 0 2>/dev/null || skip "cannot make bridges"
ip -n "$hub" link set hub up
for i in 1 2 3; do
	ip netns add "ccm$$n$i"
	SMOKE_NAMESPACES+=("ccm$$n$i")
	smoke_cable "$hub" "port$i" "ccm$$n$i" port 1500
	ip -n "$hub" link set "port$i" master hub up
	ip -n "ccm$$n$i" link set port up
done
for i in 1 2 3; do
	run_example "three-$i" "three-$i.json" net_af_packet0,iface=port --ns "ccm$$n$i"
done
come_up three-1 three-2 three-3
sessions=$(telemetry "${prefixes[three-1]}" /ccm/partner,2 | jq '.[].sessions')
kill_node three-3
wait_telemetry 20 "${prefixes[three-1]}" /ccm/status '.state == "degraded" and .partners_up == 1'
wait_telemetry 20 "${prefixes[three-2]}" /ccm/status '.state == "degraded" and .partners_up == 1'
status=0
"$ROOT/scripts/ccmctl" --socket "$(dpdk_dir "${prefixes[three-1]}")/dpdk_telemetry.v2" status >"$TMP/status" || status=$?
assert_eq "status of ccmctl with one of two partners missing" 1 "$status"
for line in '^node-a: DEGRADED, 1 of 2 partners connected$' '^partner 3: NOT CONNECTED: unreachable' \
	'^partner 2: connected'; do
	grep -qE "$line" "$TMP/status" || fail "no line matches $line: $(cat "$TMP/status")"
done
run_example three-3 three-3.json net_af_packet0,iface=port --ns "ccm$$n3"
come_up three-1 three-2 three-3
# But for a machine that left one of them without a CPU for 250 ms.
telemetry_is "${prefixes[three-1]}" /ccm/partner,2 ".sessions == $sessions
	or (.last_down_reason | IN(\"no_answer\", \"partner_hung\", \"partner_restarted\"))" ||
	fail "the two that stayed: $(telemetry "${prefixes[three-1]}" /ccm/partner,2)"
for i in 1 2 3; do
	stop_node "three-$i"
done
log "three: up, one killed and back"
log passed
