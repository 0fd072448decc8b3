#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The units are what systemd takes: no key that it does not know, no program that is not there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tool systemd-analyze
need_node
mkdir "$TMP/bin" "$TMP/units"
ln -s "$(cd "$BUILD" && pwd)/app/node/ccm-node" "$ROOT/scripts/ccm-exporter" "$TMP/bin/"
for unit in "$ROOT"/systemd/*.service; do
	sed "s|@BINDIR@|$TMP/bin|" "$unit" >"$TMP/units/${unit##*/}"
done

verify() {
	systemd-analyze verify --man=no --recursive-errors=no "$TMP/units/$1" >"$TMP/verify" 2>&1 &&
		[ ! -s "$TMP/verify" ]
}

for unit in ccm-node@one.service ccm-node-early@one.service ccm-exporter.service; do
	verify "$unit" || fail "$unit: $(cat "$TMP/verify")"
	# The check finds what is wrong.
	file=$TMP/units/${unit/one/}
	sed -i 's/^Restart=/Rstart=/' "$file"
	! verify "$unit" || fail "$unit: a key that does not exist is not found"
done

# systemd spares it when it ends the initramfs, and the program takes that name.
grep -q '^ExecStart=@[^ ]* @' "$TMP/units/ccm-node-early@.service" || fail "not a name with @"
(exec -a @ccm-node "$TMP/bin/ccm-node" --check-config "$ROOT/config/node-a.json")
log passed
