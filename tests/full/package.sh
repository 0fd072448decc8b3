#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian package: built by an ordinary user in a clean Debian 12 that has what Build-Depends names,
# looked over by lintian, installed into another one that has nothing else. There the programs run, and
# two nodes bring up a session over shared memory. Purged, it leaves no file and no folder. The examples
# are built by the libraries' packages alone.
# The packages stay in $BUILD/packages.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib/clean_root.sh"

need_root_and_debian
make_base
packages=$BUILD/packages

log "build"
new_root build
install_in_root dpkg-dev fakeroot lintian
copy_tree user ccm
in_root root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends build-dep /home/user/ccm \
	>"$TMP/build-dep.log" 2>&1 || {
	show "$TMP/build-dep.log"
	fail "Build-Depends cannot be installed"
}
FOLDER=ccm in_root user dpkg-buildpackage -us -uc -b >"$TMP/build.log" 2>&1 || {
	show "$TMP/build.log" 60
	fail "dpkg-buildpackage"
}
[ "${NOCHECK:-}" ] || grep -qE '^Ok: +[1-9]' "$TMP/build.log" || fail "the build has run no test"
rm -rf "$packages"
mkdir -p "$packages"
cp "$ROOT_DIR"/home/user/*.deb "$ROOT_DIR"/home/user/*.changes "$packages"

log "lintian"
status=0
in_root user sh -c 'lintian --fail-on error --show-overrides *.changes' >"$TMP/lintian.log" 2>&1 || status=$?
sed 's/^/  | /' "$TMP/lintian.log"
[ "$status" -eq 0 ] || fail "lintian: status $status"
rm -rf --one-file-system "$ROOT_DIR"

# listing FILE: everything but what packages' databases, caches and logs consist of.
listing() {
	(cd "$ROOT_DIR" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/cache -o -path ./var/log -o \
		-path ./var/lib/apt -o -path ./etc/ld.so.cache -o -path ./tmp -o -path ./home \) -prune -o -print | sort) >"$1"
}

# run PATTERN COMMAND...: in the root as an ordinary user; it succeeds, and its output matches.
run() {
	local pattern=$1
	shift
	in_root user "$@" >"$TMP/out" 2>&1 || {
		show "$TMP/out"
		fail "$*: status $?"
	}
	grep -qE -- "$pattern" "$TMP/out" || {
		show "$TMP/out"
		fail "$*: does not say $pattern"
	}
}

log "install"
new_root use
# What ccm depends on stays: the difference is that of ccm alone.
mkdir "$ROOT_DIR/root/packages"
cp "$packages"/*.deb "$ROOT_DIR/root/packages"
rm -f "$ROOT_DIR"/root/packages/*-dbgsym_*
mapfile -t names < <(for file in "$ROOT_DIR"/root/packages/*.deb; do dpkg-deb -f "$file" Package; done)
# shellcheck disable=SC2016 # for the inner shell
in_root root sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install /root/packages/*.deb &&
	dpkg --purge '"${names[*]}" >"$TMP/install.log" 2>&1 || {
	show "$TMP/install.log"
	fail "cannot install the package"
}
listing "$TMP/before"
in_root root sh -c 'dpkg -i /root/packages/*.deb' >"$TMP/install.log" 2>&1 || {
	show "$TMP/install.log"
	fail "cannot install the package again"
}

version=$(dpkg-deb -f "$packages"/ccm_*.deb Version)
for program in ccm-node ccm-bench ccmctl ccm-exporter; do
	run "^$program $version\$" "$program" --version
	run . "$program" --help
	[ -s "$ROOT_DIR/usr/share/bash-completion/completions/$program" ] || fail "$program has no completion"
done
for program in "$ROOT_DIR"/usr/bin/*ccm*; do
	[ -s "$(ls "$ROOT_DIR/usr/share/man"/man?/"${program##*/}".?.gz)" ] || fail "$program has no manual page"
done
run 'ok$' ccm-node --check-config /usr/share/doc/ccm/examples/node-a.json

log "two nodes"
cat >"$ROOT_DIR/home/user/pair" <<'PAIR'
set -eu
examples=/usr/share/doc/ccm/examples
for one in a:server b:client; do
	side=${one%:*}
	# Other work may take the CPU for a good part of a second.
	python3 - "$examples/node-$side.json" "$HOME/$side.json" <<'EDIT'
import json, sys
config = json.load(open(sys.argv[1]))
config["timing"].update(dead_after_us=2000000, retry_us=100000)
json.dump(config, open(sys.argv[2], "w"))
EDIT
	ccm-node --no-huge -m 128 --no-pci -l 0 --file-prefix="$side" \
		--vdev="net_memif0,role=${one#*:},socket=$HOME/memif.sock,socket-abstract=no" \
		-- --config "$HOME/$side.json" >"$HOME/$side.log" 2>&1 &
	eval "$side=\$!"
	# The socket is the server's.
	for i in $(seq 100); do
		[ ! -S "$HOME/memif.sock" ] || break
		sleep 0.1
	done
done
for i in $(seq 100); do
	if ccmctl -p a status && ccmctl -p b status; then
		break
	fi >"$HOME/status" 2>&1
	sleep 0.3
done
ccmctl -p a status
ccmctl nodes
ccm-exporter -p a --once | grep '^ccm_up 1'
kill -TERM "$a" "$b"
wait "$a"
wait "$b"
echo both ended in order
PAIR
# shellcheck disable=SC2016 # for the inner shell
run '^both ended in order$' sh -c 'sh pair || { status=$?; tail -n 20 *.log; exit $status; }'
sed 's/^/  | /' "$TMP/out"

log "purge"
in_root root dpkg --purge "${names[@]}" >"$TMP/purge.log" 2>&1 || {
	show "$TMP/purge.log"
	fail "dpkg --purge"
}
! grep -i warning "$TMP/purge.log" || fail "dpkg --purge warns"
listing "$TMP/after"
diff "$TMP/before" "$TMP/after" || fail "files before (<) and after (>) the package are not the same"
log "a program of somebody else"
install_in_root gcc libc6-dev make pkg-config
in_root root sh -c 'dpkg -i /root/packages/lib*.deb' >"$TMP/install.log" 2>&1 || {
	show "$TMP/install.log"
	fail "cannot install the libraries"
}
in_root user cp -r /usr/share/doc/libccm-dev/examples .
run . make -C examples
run '^the same 4096 bytes on both sides$' examples/loopback/loopback --no-huge -m 64 --no-pci --no-telemetry \
	--no-shconf
log "packages: $(cd "$packages" && du -h -- *.deb | xargs)"
log passed
