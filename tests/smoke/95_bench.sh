#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The benchmark does what it says: options that are wrong are refused in one line, all operations go
# both ways of posting, files have the right form, and the report of scripts/bench --quick is
# complete and agrees with itself. No time is judged.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_node
need_tool jq python3
bench=$BUILD/app/bench/ccm-bench
[ -x "$bench" ] || fail "no ccm-bench in ${BUILD}; build it first"
smoke_cpus
[ ${#CPUS[@]} -ge 2 ] || skip "needs two CPUs"

# Without privileges, before EAL.
"$bench" --help | grep -q -- '--lcore-mode' || fail "help"
"$bench" --version | grep -q '^ccm-bench [0-9]' || fail "version"
for arguments in "" "--config /nonexistent" "--config $ROOT/config/node-a.json" \
	"--config $ROOT/config/node-a.json --client nvlog --op copy"; do
	status=0
	# shellcheck disable=SC2086 # several words
	"$bench" $arguments >"$TMP/out" 2>"$TMP/err" || status=$?
	assert_eq "exit status of: ccm-bench $arguments" 2 "$status"
	assert_eq "lines of: ccm-bench $arguments" 1 "$(cat "$TMP/out" "$TMP/err" | wc -l)"
done

make_pair memif
change_config A '.clients = [{name: "bench", ports: 1, memory: "1MiB", kind: "target"}]'
change_config B '.clients = [{name: "bench", ports: 1, memory: "1MiB"}]'

# run_bench [OPTIONS...]: on B's side, with A as it runs; the JSON in $RESULT.
run_bench() {
	local status=0
	timeout 120 "$bench" --no-huge -m 128 --no-pci --lcores "${BENCH_LCORES:-${PAIR_LCORES[B]}}" \
		--file-prefix="${PAIR_PREFIX[B]}" --vdev="${PAIR_VDEV[B]}" \
		-- --config "${PAIR_CONFIG[B]}" --json "$TMP/result.json" "$@" \
		>"$TMP/bench.out" 2>"$TMP/bench.err" || status=$?
	[ "$status" -eq 0 ] ||
		fail "ccm-bench $*: status $status: $(tail -n 3 "$TMP/bench.err" "$TMP/bench.out")"
	RESULT=$(cat "$TMP/result.json")
}

start_pair_node A
run_bench --point write:64:1 --point read:64:1 --point send:64:1 --point atomic:8:1 \
	--point write:65536:8 --point read:65536:8 --point send:5000:4 --point write:0:1 \
	--point write:64:64 -n 2000 --csv "$TMP/bench.csv" --hgrm "$TMP/bench.hgrm"
assert_json "$RESULT" '(.results | length == 9) and (.results | all(.iterations == 2000
	and .p50_ns > 0 and .max_ns >= .p9999_ns and .min_ns <= .p50_ns
	and .percentiles[-1][2] == 2000))' "nine results"
assert_json "$RESULT" '.task == "operations" and .lcore_mode == "same" and .driver == "net_memif"
	and .clock_overhead_ns > 0' "head of the results"
assert_eq "lines of CSV" 10 "$(wc -l <"$TMP/bench.csv")"
assert_eq "columns of CSV" "$(head -n 1 "$TMP/bench.csv" | tr -cd , | wc -c)" \
	"$(tail -n 1 "$TMP/bench.csv" | tr -cd , | wc -c)"
assert_eq "HdrHistogram files" 9 "$(find "$TMP" -name 'bench.hgrm-*' | wc -l)"
grep -q '^#\[Max     = ' "$TMP/bench.hgrm-write-64-1" || fail "no footer in a HdrHistogram file"
wait_state_not 20 A up

run_bench --op write -s 64 -D 0.2 --lcore-mode cross --hgrm "$TMP/one.hgrm"
assert_json "$RESULT" '.lcore_mode == "cross" and (.results | length == 1)
	and .results[0].iterations > 0' "through the channel"
[ -s "$TMP/one.hgrm" ] || fail "no HdrHistogram file"
if [ ${#CPUS[@]} -ge 3 ]; then
	BENCH_LCORES="0@${CPUS[1]},1@${CPUS[2]}" run_bench --op read -a -n 200 --lcore-mode cross
	assert_json "$RESULT" '.lcores == 2 and (.results | length == 20)' "from another lcore"
	BENCH_LCORES="0@${CPUS[1]},1@${CPUS[2]}" run_bench --op read -a -n 200
fi
for restart in "" --restart; do
	# shellcheck disable=SC2086 # a word or none
	run_bench --op handshake -n 2 $restart
	assert_json "$RESULT" '.results[0] | .iterations == 2 and .min_ns > 0
		and (.steps | length == 8)' "handshakes $restart"
done

# Larger than the memory that both have.
status=0
(run_bench --op write -s 2M -n 1) >/dev/null 2>&1 || status=$?
[ "$status" -ne 0 ] || fail "a WRITE beyond the port's memory was measured"
grep -q "larger than the client's memory" "$TMP/bench.err" || fail "$(cat "$TMP/bench.err")"
assert_eq "what the partner refused" 0 \
	"$(ask A /remu/drops '.remote_access + .remote_invalid // 0')"
stop_node A
log "operations, both ways of posting, handshakes"

timeout 240 "$ROOT/scripts/bench" --quick --runs 2 --build "$BUILD" --no-install --json "$TMP/report.json" \
	--plots "$TMP/plots" >"$TMP/report.out" 2>"$TMP/report.err" ||
	fail "scripts/bench: $(tail -n 5 "$TMP/report.err")"
status=0
"$PYTHON" -B "$SMOKE/check_bench.py" "$ROOT/scripts/lib/bench.schema.json" "$TMP/report.json" \
	>"$TMP/check.out" || status=$?
[ "$status" -ne 77 ] || skip "$(cat "$TMP/check.out")"
[ "$status" -eq 0 ] || fail "report: $(cat "$TMP/check.out")"
grep -q '^write *64 *1 ' "$TMP/report.out" || fail "no table: $(cat "$TMP/report.out")"
if command -v gnuplot >/dev/null; then
	assert_eq "plots" 4 "$(find "$TMP/plots" -name '*.png' -size +1k | wc -l)"
fi
if [ -x "$BUILD/tests/transport/op_bench" ]; then
	assert_json "$(cat "$TMP/report.json")" '[.in_process[].name]
		| index("read_64_idle_0") and index("read_64_idle_4095")' "engines without a wire"
fi
if command -v valgrind >/dev/null && [ -x "$BUILD/tests/transport/op_bench" ]; then
	assert_json "$(cat "$TMP/report.json")" '.instructions.write_64_depth_64 > 100' "instructions"
fi
log "report of scripts/bench: $(jq '.results | length' "$TMP/report.json") points, complete"
log passed
