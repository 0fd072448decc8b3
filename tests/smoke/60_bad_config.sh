#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Bad input: one line on standard error that says what, where and what is allowed instead; status 2;
# at once; nothing left behind. By --check-config as an ordinary user, and at a start.
# The exact lines for every file in tests/data/config/bad are in tests/unit/test_config.c.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_node
need_tool jq
new_prefix bad
socket=ccm-smoke-bad-$$
good=$ROOT/config/node-a.json
eal=(--no-huge -m 128 --no-pci -l 0 --file-prefix="$PREFIX" "--vdev=net_memif0,role=server,socket=$socket")
as_user=()

# Where an ordinary user can read it, wherever the source tree is.
chmod 755 "$TMP"
mkdir "$TMP/files"
cp "${CCM_NODE:-$BUILD/app/node/ccm-node}" "$TMP/files/ccm-node"
node=$TMP/files/ccm-node
if [ "$(id -u)" -eq 0 ]; then
	if command -v setpriv >/dev/null; then
		as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
	else
		log "no setpriv: not tried as an ordinary user"
	fi
fi

# attempt COMMAND...: standard output and error in $TMP/out and $TMP/err, status in STATUS.
attempt() {
	STATUS=0
	(cd / && exec timeout -s KILL 10 "$@") >"$TMP/out" 2>"$TMP/err" </dev/null || STATUS=$?
}

nothing_left() {
	local base
	base=$(dpdk_dir "$PREFIX")
	[ ! -e "$base" ] || [ -z "$(find "$base" "${@:2}")" ] || fail "$1: leaves $(ls -l "$base")"
	! grep -qF "$socket" /proc/net/unix || fail "$1: leaves a socket"
	! pgrep -f "file-prefix=$PREFIX" >/dev/null || fail "$1: leaves a process"
}

# complains WHAT PATTERN: status 2, silent but for one line, which matches the pattern.
complains() {
	[ "$STATUS" -eq 2 ] || fail "$1: status $STATUS, expected 2: $(cat "$TMP/out" "$TMP/err")"
	[ ! -s "$TMP/out" ] || fail "$1: standard output: $(cat "$TMP/out")"
	[ "$(wc -l <"$TMP/err")" -eq 1 ] || fail "$1: not one line: $(head -c 2000 "$TMP/err")"
	[ "$(wc -c <"$TMP/err")" -le 600 ] || fail "$1: very long line: $(head -c 2000 "$TMP/err")"
	grep -qE -- "$2" "$TMP/err" || fail "$1: does not match $2: $(cat "$TMP/err")"
}

tried=0 slowest=0
# refused NAME PATTERN: $TMP/files/NAME is refused in both ways, with a line "file: pattern".
refused() {
	local file=$TMP/files/$1 how start us
	for how in check start; do
		start=${EPOCHREALTIME/[.,]/}
		if [ "$how" = check ]; then
			attempt ${as_user[@]+"${as_user[@]}"} "$node" --check-config "$file"
		else
			attempt "$node" "${eal[@]}" -- --config "$file"
		fi
		us=$((${EPOCHREALTIME/[.,]/} - start))
		[ "$us" -le "$slowest" ] || slowest=$us
		complains "$how $1" "^$file$2"
		tried=$((tried + 1))
	done
}

# broken FILTER PATTERN: the example, changed by jq.
broken() {
	jq "$1" "$good" >"$TMP/files/broken.json" || fail "jq: $1"
	refused broken.json ":[0-9]+:[0-9]+$2"
}

# The example as it is.
cp "$good" "$TMP/files/good.json"
attempt ${as_user[@]+"${as_user[@]}"} "$node" --check-config "$TMP/files/good.json"
assert_eq "status for the example" 0 "$STATUS"
assert_eq "line for the example" "$TMP/files/good.json: ok" "$(head -n 1 "$TMP/out")"
[ ! -s "$TMP/err" ] || fail "the example: $(cat "$TMP/err")"

# Files that are none.
refused missing.json ': .*No such file'
mkdir "$TMP/files/folder.json"
refused folder.json ': .*[Dd]irectory'
: >"$TMP/files/empty.json"
refused empty.json ':1:1: is empty; allowed: a JSON object'
if [ ${#as_user[@]} -gt 0 ]; then
	cp "$good" "$TMP/files/secret.json"
	chmod 600 "$TMP/files/secret.json"
	attempt "${as_user[@]}" "$node" --check-config "$TMP/files/secret.json"
	complains "unreadable" "^$TMP/files/secret.json: .*Permission denied"
fi

# Broken text: line and column.
printf '{\n  "node": {,}\n}\n' >"$TMP/files/comma.json"
refused comma.json ':2:12: string or .* expected'
head -c 100 "$good" >"$TMP/files/truncated.json"
refused truncated.json ':[0-9]+:[0-9]+: '
printf '\xef\xbb\xbf{}' >"$TMP/files/bom.json"
refused bom.json ':1:1: byte order mark'
head -c 200000 /dev/zero | tr '\0' '[' >"$TMP/files/deep.json"
refused deep.json ':1:[0-9]+: '
head -c 2000000 /dev/zero | tr '\0' ' ' >"$TMP/files/large.json"
refused large.json ': .*1 ?MiB'
sed 's/"id": 1,/"id": 1, "id": 1,/' "$good" >"$TMP/files/twice.json"
refused twice.json ':3:[0-9]+: duplicate object key'

# Wrong content: key, value, what is allowed.
broken '.nodes = 1' ': nodes: unknown key; allowed: node, port, '
broken '.timing.beat = 1' ': timing\.beat: unknown key; allowed: beat_us, '
broken '.node.id = "1"' ': node\.id: "1" is not an integer; allowed: 1 to 65535$'
broken '.node.id = 65536' ': node\.id: 65536 is out of range; allowed: 1 to 65535$'
broken 'del(.port.mac)' ': port\.mac: missing; allowed: '
broken '.port.mtu = 575' ': port\.mtu: 575 is out of range; allowed: 576 to 9216$'
broken '.partners[0].mac = .port.mac' ': partners\[0\]\.mac: "02:00:00:00:00:01" is this node.s own port\.mac; allowed: '
broken '.partners[0].id = .node.id' ': partners\[0\]\.id: 1 is this node.s own node\.id; allowed: '
broken '.partners += .partners' ': partners\[1\]\.id: 2 is also in partners\[0\]; allowed: '
broken '.partners[0].qpn = "0x1"' ': partners\[0\]\.qpn: "0x1" is out of range; allowed: 2 to 0xfffffe'
broken '.partners = []' ': partners: has 0 elements; allowed: a list of 1 to 64 objects$'
broken '.clients += .clients[:1]' ': clients\[2\]\.name: "nvlog" is also in clients\[0\]; allowed: '
broken '.clients[0].memory = "1KiB"' ': clients\[0\]\.memory: "1KiB" is out of range; allowed: 4KiB to 1TiB$'
broken '.clients[0].memory = "512MiB"' ': clients: .* too much; allowed: .*node\.memory_limit, 256MiB$'
broken '.timing.dead_after_us = .timing.beat_us' ': timing\.dead_after_us: 10000 is less than 3 times beat_us \(10000\); allowed: '
broken '.protocol = {version_min: 2, version_max: 1}' ': protocol\.version_min: 2 is greater than version_max \(1\); allowed: '

# The whole corpus, with whatever line the unit test expects.
for file in "$ROOT"/tests/data/config/bad/*.json; do
	cp "$file" "$TMP/files/corpus.json"
	refused corpus.json ':[0-9]+:[0-9]+: '
done
nothing_left "bad files"
[ "$slowest" -lt 5000000 ] || fail "one refusal took $slowest us"
log "$tried refusals, the slowest after $((slowest / 1000)) ms"

# The command line.
options() {
	local pattern=$1
	shift
	attempt ${as_user[@]+"${as_user[@]}"} "$node" "$@"
	complains "$*" "$pattern"
}
options 'unknown option "--bogus"' --bogus
options 'unknown option "--bogus"' "${eal[@]}" -- --config "$TMP/files/good.json" --bogus
options '--config FILE is missing' "${eal[@]}" --
options '--config FILE is missing' "${eal[@]}" -- --no-exercise
options '--print-config needs a value' --print-config
options '--config needs a value' "${eal[@]}" -- --config
options '--config belongs after "--"' "${eal[@]}" --config x --
options '--log-level: "loud" is unknown; allowed: error, warning' "${eal[@]}" -- \
	--config "$TMP/files/good.json" --log-level loud
options 'configuration file ".*" is one too many' "${eal[@]}" -- --config a --config b
for option in --help --version; do
	attempt ${as_user[@]+"${as_user[@]}"} "$node" "$option"
	assert_eq "status of $option" 0 "$STATUS"
	[ -s "$TMP/out" ] || fail "$option: says nothing"
	[ ! -s "$TMP/err" ] || fail "$option: $(cat "$TMP/err")"
done
attempt "$node" --version
grep -qE '^ccm-node [0-9]+\.[0-9]+\.[0-9]+$' "$TMP/out" || fail "--version: $(cat "$TMP/out")"
nothing_left "bad options"

# What only a start can find out. EAL may have said more before; the last line is ours.
starts_not() {
	local what=$1 pattern=$2
	shift 2
	attempt "$node" "$@"
	case "$STATUS" in
	1 | 2) ;;
	*) fail "$what: status $STATUS: $(cat "$TMP/out" "$TMP/err")" ;;
	esac
	tail -n 1 "$TMP/err" | grep -qE -- "$pattern" ||
		fail "$what: last line does not match $pattern: $(cat "$TMP/out" "$TMP/err")"
	# EAL leaves plain files, which the next start takes over.
	nothing_left "$what" -type s
}
starts_not "no device" '[Ee]thernet (port|device)|ethdev|--vdev' \
	--no-huge -m 128 --no-pci -l 0 --file-prefix="$PREFIX" -- --config "$TMP/files/good.json"
starts_not "no-such-device" 'EAL: |[Ee]thernet device' \
	--no-huge -m 128 --no-pci -l 0 --file-prefix="$PREFIX" --vdev=net_nonsense0 -- --config "$TMP/files/good.json"
starts_not "no-such-lcore" 'EAL: ' --no-huge -m 128 --no-pci -l 4095 --file-prefix="$PREFIX" \
	"--vdev=net_memif0,role=server,socket=$socket" -- --config "$TMP/files/good.json"
starts_not "no memory for packets" 'packet buffers .*-m\)|EAL: ' --no-huge -m 2 --no-pci -l 0 \
	--file-prefix="$PREFIX" "--vdev=net_memif0,role=server,socket=$socket" -- --config "$TMP/files/good.json"
# More memory for clients than the process may have.
jq '.node.memory_limit = "1TiB" | .clients[0].memory = "512GiB"' "$good" >"$TMP/files/much.json"
(
	ulimit -v $((64 * 1024 * 1024))
	starts_not "more memory than there is" 'memory of the clients' "${eal[@]}" -- \
		--config "$TMP/files/much.json"
)
log passed
