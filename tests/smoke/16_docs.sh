#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Every command in the documents for operators runs and does what the text says; every reason, verdict
# and telemetry command has its place in them; the screens shown are those that ccmctl prints. In a
# network namespace of its own, so that sockets, ports and other nodes of this machine do not matter.
set -euo pipefail
if [ -z "${CCM_DOCS_NS:-}" ]; then
	if unshare -n true 2>/dev/null; then
		CCM_DOCS_NS=yes exec unshare -n "$0" "$@"
	elif unshare -rn true 2>/dev/null; then
		CCM_DOCS_NS=yes exec unshare -rn "$0" "$@"
	fi
fi
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -n "${CCM_DOCS_NS:-}" ] || skip "cannot make a network namespace"

need_node
need_tool ip tshark
smoke_cpus
[ "${CPUS[0]}${CPUS[1]:-}" = 01 ] || skip "needs CPU 0 and 1, as the documents have them"
ip link set lo up

# Each reason and verdict has a section, and nothing else has one.
names() {
	sed -n "s/.*\[CCM_$1_[A-Z0-9_]*\] = \"\([a-z_]*\)\".*/\1/p" "$ROOT/lib/ccm/ccm_names.c" | sort
}
sections() {
	awk -v begin="^## $1" '$0 ~ begin { on = 1; next } /^## / { on = 0 } on && /^### / { gsub(/`/, ""); print $2 }' \
		"$ROOT/doc/operate.md" | sort
}
assert_eq "verdicts with a section in doc/operate.md" "$(names VERDICT | xargs)" "$(sections 5 | xargs)"
assert_eq "reasons with a section in doc/operate.md" "$(names REASON | xargs)" "$(sections 6 | xargs)"
states=$(sed -n 's/.*\[CCM_[A-Z]*\] = "\([a-z]*\)".*/\1/p' "$ROOT/lib/ccm/ccm_names.c" | xargs)
# shellcheck disable=SC2016 # backquotes of the document
told=$(sed -n '/^## 4/,/^## 5/s/^| `\([a-z]*\)` | .*/\1/p' "$ROOT/doc/operate.md" | xargs)
assert_eq "states of a session that doc/operate.md tells" "${states:?}" "$told"
sed -n 's/^\t{"\(\/[a-z/]*\)", .*/\1/p' "$ROOT/app/node/telemetry.c" >"$TMP/commands"
[ "$(wc -l <"$TMP/commands")" -gt 12 ] || fail "telemetry.c: no commands found"
while read -r command; do
	grep -qF "$command" "$ROOT/README.md" || fail "README.md does not name $command"
done <"$TMP/commands"
for option in $("$BUILD/app/node/ccm-node" --help | sed -n 's/^  \(--[a-z-]*\) .*/\1/p'); do
	grep -qE -- "^\| \`$option\b[^-]" "$ROOT/README.md" || [[ $option = --help || $option = --version ]] || fail "README.md does not name $option"
done
for command in $("$ROOT/scripts/ccmctl" --help | sed -n 's/^    \([a-z-]*\) .*/\1/p'); do
	grep -qE "(\`|ccmctl |-p a )$command\b" "$ROOT/README.md" || fail "README.md does not name ccmctl $command"
done
# Links between documents lead somewhere.
for file in README.md doc/operate.md config/README.md config/examples/README.md doc/testing.md; do
	while read -r link; do
		case "$link" in
		http*) ;;
		*) [ -e "$ROOT/$(dirname "$file")/$link" ] || fail "$file: link to $link, which does not exist" ;;
		esac
	done < <(grep -oE '\]\([^)#]+' "$ROOT/$file" | cut -c 3-)
done
log "all verdicts, reasons, options and commands have their place"

sandbox=$TMP/tree
mkdir "$sandbox" "$TMP/run"
for name in config doc monitoring scripts; do
	ln -s "$ROOT/$name" "$sandbox/$name"
done
ln -s "$BUILD" "$sandbox/build"
export RUNTIME_DIRECTORY=$TMP/run CCM_RUNTIME_PATH=$TMP/run
"$PYTHON" -B "$SMOKE/run_docs.py" --root "$ROOT" --build "$BUILD" --sandbox "$sandbox" \
	"$ROOT/README.md" "$ROOT/doc/operate.md" "$ROOT/config/README.md" "$ROOT/config/examples/README.md" \
	>"$TMP/docs.log" 2>&1 || fail "$(cat "$TMP/docs.log")"
log "$(tail -n 1 "$TMP/docs.log")"

unset RUNTIME_DIRECTORY CCM_RUNTIME_PATH
status=0
"$ROOT/scripts/gen-status-captures" --check >"$TMP/captures.log" 2>&1 || status=$?
case "$status" in
0) log "$(tail -n 1 "$TMP/captures.log")" ;;
77) log "screens not compared: $(tail -n 1 "$TMP/captures.log")" ;;
*) fail "$(cat "$TMP/captures.log")" ;;
esac
log passed
