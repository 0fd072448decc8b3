#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Instructions per operation, both engines together, counted by callgrind in a steady state: they
# do not depend on how busy the machine is. Fails when one takes 10 % more than instructions.txt says
# for this kind of build; says so when it takes 10 % less.
#
# usage: BUILD=build tests/transport/instructions.sh [--update | --annotate OPERATION]
#   --update              write the figures of this build into instructions.txt
#   --annotate OPERATION  show where the instructions of one operation go; see op_bench.c for names
# exit status: 0 as stored or better, 1 worse, 77 skipped
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$here/../../build}
stored=$here/instructions.txt
operations=(write_64_depth_1 write_64_depth_64 read_64_depth_1 read_64_depth_64 write_4k_depth_64)
tolerance=10 # per cent

mode=check
case "${1-}" in
'') ;;
--update) mode=update ;;
--annotate)
	mode=annotate
	operations=("${2:?which operation?}")
	;;
*)
	sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
	exit 1
	;;
esac

skip() {
	echo "skip: $*"
	exit 77
}

for tool in valgrind jq; do
	command -v "$tool" >/dev/null || skip "needs $tool"
done
bench=$build/tests/transport/op_bench
[ -x "$bench" ] || skip "no $bench"

option() {
	jq -r --arg name "$1" '.[] | select(.name == $name) | .value' \
		"$build/meson-info/intro-buildoptions.json"
}
compiler=$(jq -r 'first(.[].target_sources[] | .compiler[0])' "$build/meson-info/intro-targets.json")
kind=gcc
! "$compiler" --version | grep -q clang || kind=clang
kind+=-$(option buildtype)
[ "$(option b_lto)" != true ] || kind+=-lto
[ "$(option b_sanitize)" = none ] || skip "a build with sanitizers"
[ "$mode" != check ] || grep -q "^$kind " "$stored" || skip "no figures of a build $kind"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/instructions.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

arguments=()
for operation in "${operations[@]}"; do
	arguments+=(--only "$operation")
done
# The counted ones only: each dump has the operation's name, op_bench prints how many it did.
if ! timeout 300 valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file="$tmp/out" \
	"$bench" --instructions "${arguments[@]}" >"$tmp/counts" 2>"$tmp/log"; then
	tail -n 20 "$tmp/log"
	echo "FAIL: op_bench under callgrind"
	exit 1
fi

if [ "$mode" = annotate ]; then
	read -r _ n <"$tmp/counts"
	echo "divide by $n operations"
	callgrind_annotate --auto=no "$tmp/out.1"
	exit 0
fi

status=0
while read -r operation n; do
	file=$(grep -lx "desc: Trigger: Client Request: $operation" "$tmp"/out.*) ||
		skip "op_bench was built without valgrind's headers"
	now=$(awk -v n="$n" '/^totals:/ { printf "%d", $2 / n + 0.5 }' "$file")
	before=$(awk -v kind="$kind" -v name="$operation" '$1 == kind && $2 == name { print $3 }' "$stored")
	echo "$kind $operation $now" >>"$tmp/new"
	verdict=
	if [ -n "$before" ] && [ $((now * 100)) -gt $((before * (100 + tolerance))) ]; then
		verdict="  FAIL: more than $tolerance % above"
		[ "$mode" = update ] || status=1
	elif [ -n "$before" ] && [ $((now * 100)) -lt $((before * (100 - tolerance))) ]; then
		verdict="  better: $0 --update"
	fi
	printf '%-22s %6d instructions, stored %s%s\n' "$operation" "$now" "${before:-none}" "$verdict"
done <"$tmp/counts"

if [ "$mode" = update ]; then
	{
		grep '^#' "$stored"
		{
			grep -v "^#\|^$kind " "$stored" || true
			cat "$tmp/new"
		} | sort
	} >"$tmp/stored"
	cat "$tmp/stored" >"$stored"
fi
exit "$status"
