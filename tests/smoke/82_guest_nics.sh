#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A node in a virtual machine, on a PCI network card that DPDK drives itself (uio_pci_generic), against
# one outside of it: the session, data both ways, the cable pulled and put back, the machine killed.
#
#   guest: ccm-node on virtio-net or e1000 ---- QEMU ---- tap ---- net_af_packet: ccm-node
#
# usage: 82_guest_nics.sh [virtio | virtio_mq | e1000]...     without names: virtio and e1000
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

GUEST_QUEUES=1 GUEST_PCI='' GUEST_DEVICE='' GUEST_DRIVER='' GUEST_LCORES='' GUEST_CPUS=1

# guest_kind NAME
guest_kind() {
	GUEST_QUEUES=1 GUEST_LCORES=0 GUEST_CPUS=1
	case "$1" in
	virtio) GUEST_PCI=1af4:1000 GUEST_DEVICE=virtio-net-pci GUEST_DRIVER=net_virtio ;;
	virtio_mq)
		guest_kind virtio
		GUEST_DEVICE=virtio-net-pci,mq=on,vectors=6,rss=on
		GUEST_QUEUES=2 GUEST_LCORES=0-2 GUEST_CPUS=3
		;;
	e1000) GUEST_PCI=8086:100e GUEST_DEVICE=e1000 GUEST_DRIVER=net_e1000_em ;;
	*) fail "no such card: $1" ;;
	esac
}

boot_guest() {
	local netdev=tap,id=wire,ifname=tap_b,script=no,downscript=no,vnet_hdr=off
	[ "$GUEST_QUEUES" -eq 1 ] || netdev+=,queues=$GUEST_QUEUES
	ip netns exec "$NS_A" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-machine pc -accel tcg -cpu max -m 384 -smp "$GUEST_CPUS" \
		-kernel "$INTEROP/vmlinuz" -initrd "$TMP/initrd" -append "console=ttyS0 panic=-1 quiet \
rdinit=/nics-init hugepages=64 ccm.pci=$GUEST_PCI ccm.lcores=$GUEST_LCORES" \
		-serial "file:$TMP/console" -monitor "unix:$TMP/monitor,server=on,wait=off" \
		-netdev "$netdev" -device "$GUEST_DEVICE,netdev=wire,id=card,mac=$MAC_B,romfile=" \
		>"$TMP/qemu.log" 2>&1 </dev/null &
	GUEST_PID=$!
}

# What the guest's node has logged: "$1" more than "$2" times?
guest_says() {
	[ "$(grep -c -- "$1" "$TMP/console")" -gt "${2:-0}" ]
}

wait_guest() {
	wait_for "$1" guest_says "$2" "${3:-0}" ||
		fail "the guest does not say \"$2\": $(tail -n 15 "$TMP/console" "$TMP/qemu.log")"
}

monitor() {
	"$PYTHON" - "$TMP/monitor" "$1" <<-'END'
		import socket, sys
		def until_prompt():
		    text = b""
		    while not text.endswith(b"(qemu) "):
		        text += sock.recv(4096)
		sock = socket.socket(socket.AF_UNIX)
		sock.settimeout(10)
		sock.connect(sys.argv[1])
		until_prompt()
		sock.sendall(sys.argv[2].encode() + b"\n")
		until_prompt()
	END
}

check_card() {
	local kind=$1 multi=() rounds
	guest_kind "$kind"
	[ "$GUEST_QUEUES" -eq 1 ] || multi=(multi_queue)
	ip -n "$NS_A" tuntap add tap_b mode tap ${multi[@]+"${multi[@]}"}
	# shellcheck disable=SC2016 # the shell in the namespace expands it
	in_ns "$NS_A" sh -c 'f=/proc/sys/net/ipv6/conf/tap_b/disable_ipv6; [ ! -e $f ] || echo 1 >$f'
	ip -n "$NS_A" link set dev tap_b arp off multicast off up
	: >"$TMP/console"
	boot_guest
	start_pair_node A
	wait_guest 60 'device .* data lcore'
	wait_state 60 A up
	wait_guest 20 'search -> bound'
	wait_guest 20 'ready -> up'
	wait_exercise 30 A 3
	wait_guest 30 'nvlog.*verified'
	grep -q "(${GUEST_DRIVER}), .*$GUEST_QUEUES data lcore" "$TMP/console" ||
		fail "$kind: another driver: $(grep device "$TMP/console")"
	log "$kind: up, data both ways; guest: $(sed -n 's/.*ccm: \(steering [^\r]*\).*/\1/p' "$TMP/console")"

	rounds=$(grep -c 'link down' "$TMP/console") || true
	monitor 'set_link card off'
	wait_guest 20 'link down' "$rounds"
	wait_state_not 20 A up
	monitor 'set_link card on'
	wait_guest 20 'link up' 1
	wait_state 40 A up
	wait_exercise 30 A 2
	log "$kind: the cable was pulled and put back: noticed, up again"

	kill -KILL "$GUEST_PID"
	wait "$GUEST_PID" 2>/dev/null || true
	wait_state_not 10 A up
	log "$kind: the machine was killed: $(ask A /ccm/partner,2 '"\(.state), \(.verdict), \(.reason)"')"
	stop_node A
	! grep -qi 'panic\|segfault\|mismatch\|Oops' "$TMP/console" ||
		fail "$kind: $(grep -i 'panic\|segfault\|mismatch\|Oops' "$TMP/console")"
	ip -n "$NS_A" link delete tap_b
}

need_root
need_tool qemu-system-x86_64 ip jq busybox modprobe objdump
[ -c /dev/net/tun ] || skip "needs /dev/net/tun"
[ -x "$BUILD/tests/interop/peer_verbs" ] || skip "needs libibverbs-dev at build time"
INTEROP=$BUILD/interop
"$ROOT/tests/interop/guest/build" "$INTEROP" "$BUILD"/tests/interop/{peer_verbs,partner} >"$TMP/made" ||
	skip "$(cat "$TMP/made")"
make_pair memif # for the configurations; the devices are our own
PAIR_VDEV[A]=net_af_packet0,iface=tap_b
for side in A B; do
	change_config "$side" '.timing += {dead_after_us: 1500000, retry_us: 150000}
		| .clients |= map(.memory = "\(.ports * 16)KiB")'
done
"$ROOT/tests/nics/build" "$INTEROP" "$BUILD/app/node/ccm-node" "${PAIR_CONFIG[B]}" "$TMP/initrd" \
	>"$TMP/made" || skip "$(cat "$TMP/made")"
NS_A=ccm$$g
ip netns add "$NS_A" 2>/dev/null || skip "cannot make network namespaces"
SMOKE_NAMESPACES+=("$NS_A")
PAIR_NS[A]=$NS_A
[ $# -gt 0 ] || set -- virtio e1000
for kind in "$@"; do
	check_card "$kind"
done
log passed
