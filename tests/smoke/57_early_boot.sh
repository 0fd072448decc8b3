#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/demo-early-boot, and each of its claims checked from what it has seen: a node that is up
# before the root file system is mounted, that stays the same over switch_root, and one that is stuck.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_node
need_tool jq
status=0
BUILD=$BUILD "$ROOT/scripts/demo-early-boot" --json "$TMP/seen.json" >"$TMP/story" 2>&1 || status=$?
[ "$status" -ne 77 ] || skip "$(tail -n 1 "$TMP/story")"
[ "$status" -eq 0 ] || fail "status $status: $(cat "$TMP/story")"
seen=$(cat "$TMP/seen.json")

# said PATTERN: the guest's clock when it said so.
said=$(cat <<'END'
def said(f; p): first(f.said[] | select(.text | test(p)) | .guest_s);
END
)
check() {
	json_is "$seen" "$said $1" || fail "not seen: $1 in $(cat "$TMP/seen.json")"
}
check 'said(.healthy; "^ready ") <= said(.healthy; "^mount$")'
check 'said(.healthy; "^root rootfs") <= said(.healthy; "^mount$")'
check 'said(.healthy; "^root /dev/vda ext4") >= said(.healthy; "^mounted")'
check 'first(.healthy.seen[] | select(.state == "up")).here_s
	< first(.healthy.said[] | select(.text == "mount")).here_s'
check '.healthy.stages == ["initramfs", "root", "running"]'
check '.healthy.seen[-1] | .state == "up" and .verdict == "up" and .sessions == 1'
check '[.healthy.seen[] | select(.state == "up") | [.nonce, .partner_nonce]] | unique | length == 1'
check '.healthy.pid_ready == .healthy.pid_running and .healthy.name == "@ccm-node"'
check '.healthy.mismatches == 0'
check '.stuck.seen[-1] | .state == "up" and .verdict == "stuck" and .boot_name == "root"'
check '.stuck.status == 1 and (.stuck.screen | test("stuck") and test("root"))'
check '[.stuck.said[].text] | index("waits for its disk") != null and index("mount") == null'
assert_eq "claims that do not hold" 0 "$(grep -c '^   NO ' "$TMP/story" || true)"
sed -n '/^   yes/p' "$TMP/story"
log passed
