#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# As somebody new would: the commands of the README in a Debian 12 that has nothing but its base system.
# An ordinary user, who cannot install packages, is told the one command that root has to run, and after
# it the demo works. Root runs the demo and the tests without anything else. Some hundred MB of packages
# are fetched the first time.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib/clean_root.sh"

need_root_and_debian
make_base

# worked WHAT: the demo, whose output is in $TMP/demo.log, has shown all that the README says.
worked() {
	local text
	for text in 'READ 1' 'WRITE 1' 'READ 2' 'WRITE 2'; do
		grep -qF "$text" "$TMP/demo.log" || {
			show "$TMP/demo.log"
			fail "$1: the demo does not show $text"
		}
	done
}

log "an ordinary user"
new_root ordinary
copy_tree user ccm
status=0
FOLDER=ccm in_root user scripts/demo >"$TMP/demo.log" 2>"$TMP/demo.err" || status=$?
[ "$status" -eq 3 ] || {
	show "$TMP/demo.log"
	show "$TMP/demo.err"
	fail "scripts/demo without its packages: status $status, expected 3"
}
if [ "$(wc -l <"$TMP/demo.log")" -ne 1 ] || ! grep -q '^sudo apt-get install ' "$TMP/demo.log"; then
	show "$TMP/demo.log"
	fail "scripts/demo does not print one command"
fi
read -ra command <"$TMP/demo.log"
in_root root env DEBIAN_FRONTEND=noninteractive "${command[@]:1}" >"$TMP/install.log" 2>&1 || {
	show "$TMP/install.log"
	fail "the command that scripts/demo prints fails: ${command[*]}"
}
FOLDER=ccm in_root user scripts/demo >"$TMP/demo.log" 2>&1 || {
	show "$TMP/demo.log"
	fail "scripts/demo as an ordinary user"
}
worked "an ordinary user"
rm -rf --one-file-system "$ROOT_DIR"

log "root"
new_root administrator
copy_tree root ccm
FOLDER=ccm in_root root scripts/demo >"$TMP/demo.log" 2>&1 || {
	show "$TMP/demo.log"
	fail "scripts/demo as root"
}
worked root
status=0
FOLDER=ccm in_root root scripts/test >"$TMP/test.log" 2>&1 || status=$?
show "$TMP/test.log" 400
[ "$status" -eq 0 ] || {
	rm -rf "$BUILD/clean-root-logs"
	cp -a "$ROOT_DIR/root/ccm/build/test-logs" "$BUILD/clean-root-logs" || true
	fail "scripts/test: status $status; its logs are in $BUILD/clean-root-logs"
}
tail -n 1 "$TMP/test.log" | grep -qE '^[1-9][0-9]* passed, 0 failed' || fail "scripts/test: last line"
log passed
