#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installed, all of it works: headers that compile alone as C and C++, libraries that export what
# the headers declare and nothing else, programs outside of the tree that find them by pkg-config and
# run, and ccmctl, which finds its modules and talks to an installed node.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tool meson ninja pkg-config nm readelf g++
prefix=$TMP/prefix
{
	meson setup "$TMP/build" "$ROOT" --prefix "$prefix" -Dbuildtype=release -Dtests=false &&
		ninja -C "$TMP/build" && meson install -C "$TMP/build" --no-rebuild
} >"$TMP/install.log" 2>&1 || fail "install: $(tail -n 20 "$TMP/install.log")"
libdir=$(dirname "$(find "$prefix" -name libccm.so -print -quit)")
export PKG_CONFIG_PATH=$libdir/pkgconfig

headers=("$prefix"/include/*/*.h)
assert_eq "public headers" 5 "${#headers[@]}"
for header in "${headers[@]}"; do
	for compiler in "cc -std=c17 -xc" "c++ -std=c++17 -xc++"; do
		# shellcheck disable=SC2086 # several words
		echo "#include \"$header\"" | $compiler -Wall -Wextra -Werror -fsyntax-only - \
			2>"$TMP/header.log" || fail "$header, $compiler: $(head -n 5 "$TMP/header.log")"
	done
done
"$PYTHON" -B "$SMOKE/check_exports.py" "$libdir/librdma_emul.so" "$prefix"/include/rdma_emul/*.h ||
	fail "exports of librdma_emul"
"$PYTHON" -B "$SMOKE/check_exports.py" "$libdir/libccm.so" "$prefix"/include/ccm/*.h ||
	fail "exports of libccm"
for name in ccm rdma_emul; do
	[ "$(readelf -d "$libdir/lib$name.so" | grep -c 'SONAME.*\.so\.0\]')" -eq 1 ] ||
		fail "soname of lib$name"
	assert_eq "version of lib$name" "$("$prefix/bin/ccm-node" --version | sed 's/.* //')" \
		"$(pkg-config --modversion "lib$name")"
done
! grep -rl "$ROOT" "$PKG_CONFIG_PATH" "$prefix/share" "$prefix/include" ||
	fail "a path of the source tree is installed"
for program in "$prefix"/bin/ccm-node "$prefix"/bin/ccm-bench "$libdir"/*.so; do
	! readelf -d "$program" | grep -E 'RPATH|RUNPATH' || fail "$program looks for libraries elsewhere"
done
if command -v doxygen >/dev/null; then
	"$ROOT/scripts/doc-api" "$TMP/api" >"$TMP/api.log" 2>&1 || fail "$(head -n 5 "$TMP/api.log")"
	grep -q remu_qp_post "$TMP"/api/html/rdma__emul_8h.html || fail "reference without remu_qp_post()"
fi
log "headers, their reference, exports and pkg-config files are right"

make_pair memif

# answers: the installed ccmctl hears of the installed node's partner.
answers() {
	"$prefix/bin/ccmctl" -p "${PAIR_PREFIX[A]}" status >"$TMP/status" 2>&1 || true
	grep -q 'partner 2' "$TMP/status"
}

for static in "" 1; do
	rm -rf "$TMP/examples"
	cp -r "$ROOT/examples" "$TMP/examples"
	make -C "$TMP/examples" ${static:+STATIC=1} >"$TMP/make.log" 2>&1 ||
		fail "examples${static:+ (static)}: $(tail -n 5 "$TMP/make.log")"
	needs=$(readelf -d "$TMP/examples/session/session" | grep -cE 'NEEDED.*(libccm|librdma_emul)\.so' || true)
	assert_eq "ccm's shared libraries that the example needs" "$([ -n "$static" ] && echo 0 || echo 2)" \
		"$needs"
	LD_LIBRARY_PATH=${static:-$libdir} timeout 60 "$TMP/examples/loopback/loopback" --no-huge -m 64 \
		--no-pci --no-telemetry --no-shconf >"$TMP/loopback.out" 2>&1 ||
		fail "loopback: $(tail -n 3 "$TMP/loopback.out")"
	grep -qx 'the same 4096 bytes on both sides' "$TMP/loopback.out" || fail "loopback's output"

	cp "$ROOT/config/node-a.json" "$TMP/a.json"
	timeout --foreground 120 "$prefix/bin/ccm-node" --no-huge -m 128 --no-pci --lcores "${PAIR_LCORES[A]}" \
		--file-prefix="${PAIR_PREFIX[A]}" --vdev="${PAIR_VDEV[A]}" \
		-- --config "$TMP/a.json" >"$TMP/node.log" 2>&1 &
	node=$!
	wait_for 20 answers || fail "installed ccmctl: $(cat "$TMP/status")"
	status=0
	LD_LIBRARY_PATH=${static:-$libdir} timeout 60 "$TMP/examples/session/session" --no-huge -m 128 \
		--no-pci --lcores "${PAIR_LCORES[B]}" --file-prefix="${PAIR_PREFIX[B]}" \
		--vdev="${PAIR_VDEV[B]}" >"$TMP/session.out" 2>&1 || status=$?
	assert_eq "exit status of session" 0 "$status"
	grep -qx "the partner's memory says \"hello, partner 1\"" "$TMP/session.out" ||
		fail "session: $(tail -n 5 "$TMP/session.out")"
	kill "$node"
	wait "$node" || fail "the installed node ended with $?: $(tail -n 3 "$TMP/node.log")"
done
"$prefix/bin/ccmctl" --version | grep -q '^ccmctl ' || fail "ccmctl --version"
"$prefix/bin/ccm-exporter" --help >/dev/null || fail "ccm-exporter --help"
log "examples with shared and static libraries, installed node and ccmctl"
log passed
