#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two nodes over shared memory: up, data verified, every telemetry command answers JSON that is
# consistent within a node and between the two, SIGTERM ends a node with status 0 within 2 s, and the
# partner knows that it was no failure.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
start_pair_node A
start_pair_node B
for side in A B; do
	wait_state 20 "$side" up
done
for side in A B; do
	wait_exercise 20 "$side" 3
done
assert_bound

# holds A|B COMMAND FILTER WHAT
holds() {
	local json
	json=$(telemetry "${PAIR_PREFIX[$1]}" "$2") || fail "node $1: no answer to $2"
	assert_json "$json" ".[] | $3" "node $1, $2: $4"
}

commands=(/ccm/status /ccm/partners /ccm/partner /ccm/clients /ccm/ports /ccm/events /ccm/timing
	/ccm/exercise /remu/stats /remu/qps /remu/drops /remu/port)
for side in A B; do
	other=${PAIR_OTHER[$side]}
	all=$(telemetry "${PAIR_PREFIX[$side]}" /)
	for command in "${commands[@]}"; do
		# shellcheck disable=SC2016 # a variable of jq
		json_is "$all" '.[] | index([$c]) != null' --arg c "$command" ||
			fail "node $side: $command is not in the list of commands: $all"
		json_is "$(telemetry "${PAIR_PREFIX[$side]}" "/help,$command")" '.[] | .[] | length > 10' ||
			fail "node $side: no help for $command"
		[ "$command" = /ccm/partner ] || holds "$side" "$command" 'length > 0 and (has("error") | not)' "answer"
	done
	holds "$side" /ccm/status ".state == \"up\" and .partners == 1 and .partners_up == 1
		and .pid == ${NODE_PID[$side]} and .cluster == \"lab\"" "state"
	holds "$side" /ccm/partners '.total == 1 and (.partners | length == 1)' "one partner"
	holds "$side" "/ccm/partner,$other" ".id == $other and .state == \"up\" and .partner_state == \"up\"
		and .role == \"storage\" and .reason == \"none\" and .sessions >= 1 and .attempts >= .sessions
		and .beats > 2 and .version == 1 and .path_mtu == 1024 and .ports == 3 and .qpn == 256
		and .remote_qpn == 256 and .setup_us > 0 and .records_bad == 0" "partner"
	holds "$side" /ccm/clients '.total == 2 and (.clients | map_values({ports, memory_bytes}) | [.[]] | sort)
		== ([{ports: 2, memory_bytes: 16777216}, {ports: 1, memory_bytes: 65536}] | sort)
		and ([.clients[] | .ups - .downs, .partners_up] | unique == [1])' "clients"
	holds "$side" "/ccm/ports,$other" '.total == 3 and (.ports | length == 3)
		and ([.ports[].qpn] | unique | length == 3) and ([.ports[] | .connected, .errors] | unique == [0, 1])
		and ([.ports[].length_bytes] | add == 16777216 + 65536)
		and ([.ports[] | .posted > 0 and .completed > 0] | all)' "ports"
	holds "$side" /ccm/timing '.partners[] | ([.read_one_ns, .write_one_ns, .read_two_ns, .write_two_ns] | min > 0)
		and .setup_ns >= ([.read_one_ns, .write_one_ns] | add)' "steps"
	holds "$side" /ccm/exercise '.enabled == 1 and .total == 3 and .up == 3 and .mismatches == 0
		and .verified_bytes > 0 and .rounds == ([.ports[].rounds] | add) or .rounds > 0' "exercise"
	holds "$side" /remu/stats '.rx_packets > 0 and .tx_packets > 0 and .reads_executed > 0
		and .writes_executed > 0 and .acks_sent > 0 and .wc_success > 0' "counters"
	holds "$side" /remu/qps '.total == 4 and ([.qps[] | select(.bootstrap == 1)] | length == 1)
		and ([.qps[] | select(.bootstrap == 1) | .qpn] == [256]) and ([.qps[].state] | unique == ["rts"])' \
		"queue pairs"
	holds "$side" /remu/drops 'length >= 25 and ([.icrc, .dst_mac, .src_mac, .runt, .remote_access] | max == 0)' \
		"drops"
	holds "$side" /remu/port ".driver == \"net_memif\" and .link_up == 1 and .rx_packets > 0
		and .ip == \"$(jq -r .port.ip "${PAIR_CONFIG[$side]}")\"" "port"
	# Down, search, bound, ports, ready, up, in one row.
	events "$side" | jq -e '.[-1].to == "up" and .[0].from == "down" and ([.[1:], .[:-1]] | transpose
		| all(.[0].from == .[1].to and .[0].seq > .[1].seq and .[0].uptime_us >= .[1].uptime_us))' \
		>/dev/null || fail "node $side: events: $(events "$side")"
	# Wrong parameters are answered, not obeyed.
	for command in /ccm/partner /ccm/partner,99 /ccm/partner,x /ccm/partner,-1 /ccm/status,1 \
		/ccm/ports,1,2,3 /remu/qps,4294967296 /ccm/events,1x; do
		holds "$side" "$command" 'has("error")' "wrong parameter"
	done
done
log "telemetry: ${#commands[@]} commands, consistent on both sides"

# A leaves.
pid=${NODE_PID[A]}
start=${EPOCHREALTIME/[.,]/}
kill -TERM "$pid"
wait_for 10 smoke_node_ended A || fail "A does not end on SIGTERM"
took=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
reap_node A
assert_eq "exit status of A" 0 "$NODE_STATUS"
[ "$took" -lt 2000 ] || fail "A took $took ms to end"
wait_state_not 5 B up
assert_eq "reason at B" partner_leaving "$(ask B /ccm/partner,1 .last_down_reason)"
holds B /ccm/clients '[.clients[] | .ups - .downs] | unique == [0]' "clients are told DOWN"
stop_node B 2
log "SIGTERM: status 0 after $took ms, and B knew why"
log passed
