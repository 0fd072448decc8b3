#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Same seed, same frames at the same times, whatever compiled the engine: build it with the stress
# test by gcc and clang at -O0 and -O3, run a piece of every scenario, compare the hashes.
#
# usage: check_trace.sh [SEED]
# exit status: 0 all the same, 1 not, 77 skipped
set -euo pipefail

seed=${1:-1}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
for tool in gcc clang pkg-config; do
	command -v "$tool" >/dev/null || { echo "skip: needs $tool" && exit 77; }
done
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check_trace.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

read -ra cflags < <(pkg-config --cflags libdpdk libisal cmocka)
read -ra libs < <(pkg-config --libs libdpdk libisal cmocka)
sources=("$here"/{duo,lane,serial,test_transport_stress,workload}.c "$root/tests/unit/eal.c"
	"$root"/tests/link/{link,link_queue,link_swarm,pcap}.c)
for file in "$root"/lib/rdma_emul/*.c; do
	[ "${file##*/}" = remu_port.c ] || sources+=("$file")
done

# trace COMPILER LEVEL: hashes to a file
trace() {
	local program=$tmp/$1$2
	"$1" "$2" -std=gnu17 -fno-strict-aliasing -w -D_GNU_SOURCE -DALLOW_EXPERIMENTAL_API \
		-I"$root"/lib/rdma_emul -I"$root"/tests/unit -I"$root"/tests/link "${cflags[@]}" \
		-o "$program" "${sources[@]}" "${libs[@]}"
	"$program" --trace "$seed" >"$program.hashes"
}

for level in -O0 -O3; do
	trace gcc "$level" &
	gcc=$!
	trace clang "$level" &
	wait "$gcc"
	wait $!
done
cd "$tmp"
[ "$(wc -w <gcc-O0.hashes)" -gt 1 ] || { echo "FAIL: no hashes" && exit 1; }
for file in *.hashes; do
	echo "$file: $(cksum <"$file")"
	cmp -s gcc-O0.hashes "$file" || { echo "FAIL: $(paste gcc-O0.hashes "$file")" && exit 1; }
done
echo "all the same: $(wc -w <gcc-O0.hashes) scenarios"
