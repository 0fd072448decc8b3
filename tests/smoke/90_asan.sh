#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The pair under AddressSanitizer and UBSan: up, data verified, kill, restart, orderly stop, without
# a single report. Uses the build folder build-asan of scripts/test, and makes it if it is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ASAN_BUILD=${ASAN_BUILD:-$ROOT/build-asan}
need_tool clang meson ninja
if [ ! -f "$ASAN_BUILD/build.ninja" ]; then
	CC=clang meson setup "$ASAN_BUILD" "$ROOT" -Dwerror=true -Db_sanitize=address,undefined \
		-Db_lundef=false >"$TMP/setup.log" 2>&1 || fail "meson setup: $(tail -n 5 "$TMP/setup.log")"
fi
ninja -C "$ASAN_BUILD" app/node/ccm-node >"$TMP/ninja.log" 2>&1 ||
	fail "build: $(tail -n 20 "$TMP/ninja.log")"
CCM_NODE=$ASAN_BUILD/app/node/ccm-node
grep -q 'libasan\|__asan_init' <(nm -D "$CCM_NODE" 2>/dev/null; nm "$CCM_NODE" 2>/dev/null) ||
	fail "$CCM_NODE is not built with AddressSanitizer"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=98
make_pair memif

no_report() {
	local side
	for side in A B; do
		! grep -qE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "${NODE_LOG[$side]}" ||
			fail "$1: report of node $side: $(grep -m 1 -A 30 -E 'ERROR: |runtime error:' "${NODE_LOG[$side]}")"
	done
}

both_up() {
	local side
	for side in A B; do
		wait_state 60 "$side" up
	done
	for side in A B; do
		wait_exercise 60 "$side"
	done
	assert_bound
	no_report "$1"
}

start_pair_node A
start_pair_node B
both_up "start"
for victim in B A; do
	kill_node "$victim"
	start_pair_node "$victim"
	both_up "kill of $victim"
done
stop_node B 30
start_pair_node B
both_up "stop of B"
stop_node A 30
stop_node B 30
no_report "stop"
log passed
