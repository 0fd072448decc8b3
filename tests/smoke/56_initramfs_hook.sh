#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The hook for initramfs-tools: an initramfs made with it, in a configuration of its own, has what
# ccm-node needs to run there. Run in it by chroot.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATH=$PATH:/usr/sbin:/sbin
need_root
need_node
need_tool mkinitramfs unmkinitramfs cpio
conf=$TMP/conf
mkdir -p "$TMP"/{etc,prefix/{bin,share/ccm}} "$conf"
cp -r "$ROOT"/contrib/initramfs-tools/* "$conf/"
mkdir -p "$conf"/{modules.d,scripts}
: >"$conf/modules"
cp "$BUILD/app/node/ccm-node" "$BUILD/app/early/ccm-early" "$TMP/prefix/bin/"
cp "$ROOT/scripts/lib/initramfs-files" "$TMP/prefix/share/ccm/"
cp "$ROOT/config/node-a.json" "$TMP/etc/one.json"
echo 'EAL=--no-huge -m 128 --no-pci -l 0' >"$TMP/etc/one.env"
cat >"$conf/initramfs.conf" <<-'END'
	MODULES=list
	BUSYBOX=n
	COMPRESS=gzip
END
sed -i "s|^CCM_NODE=.*|CCM_NODE=one CCM_PREFIX=$TMP/prefix CCM_ETC=$TMP/etc|; s/^CCM_MODULES=.*/CCM_MODULES=/" "$conf/conf.d/ccm"

# For a kernel that does not exist, without modules: it is about ours. In a mount namespace, where
# /boot says what that kernel can unpack.
make_image() {
	# shellcheck disable=SC2016 # the inner shell expands them
	timeout 100 unshare --mount bash -c '
		set -e
		mount -t tmpfs boot /boot
		echo CONFIG_RD_GZIP=y >/boot/config-0.0.0
		mkinitramfs -d "$1" -o "$2" 0.0.0' - "$conf" "$TMP/initrd" >"$TMP/mkinitramfs.log" 2>&1
}

make_image || fail "mkinitramfs: $(cat "$TMP/mkinitramfs.log")"
unmkinitramfs "$TMP/initrd" "$TMP/image"
[ -d "$TMP/image/main" ] && image=$TMP/image/main || image=$TMP/image
cmp "$image/etc/ccm/one.json" "$TMP/etc/one.json"
cmp "$image/etc/ccm/initramfs.conf" "$conf/conf.d/ccm"
find "$image" -name 'librte_net_af_packet.so*' | grep -q . || fail "without the driver that is wanted"
! find "$image" -name 'librte_net_*' ! -name '*af_packet*' | grep . || fail "drivers that nobody wants"
[ -x "$image/scripts/init-premount/ccm" ] || fail "no script in the initramfs"
chroot "$image" /usr/bin/ccm-node --check-config /etc/ccm/one.json
mkdir -p "$image"/{proc,sys,run,tmp}
# It starts with its drivers, each loaded once: with none of them there is no such device.
status=0
ip=$(unshare --mount --net bash -c "mount -t proc proc '$image/proc'; mount -t sysfs sys '$image/sys'
	exec timeout 20 chroot '$image' /usr/bin/ccm-node --no-huge -m 128 --no-pci --lcores 0@${CPUS[0]:-0} \
	--file-prefix=hook --vdev=net_af_packet0,iface=lo -- --config /etc/ccm/one.json" 2>&1 & pid=$!
	sleep 5
	kill -TERM -- "$(smoke_descendants $pid | head -n 1)" 2>/dev/null
	wait "$pid") || status=$?
[[ $ip == *"device net_af_packet0 (net_af_packet)"* ]] || fail "in the initramfs (status $status): $ip"

# What is missing is told, and no image is made.
rm "$TMP/etc/one.env"
! make_image || fail "made without the configuration"
grep -q 'E: ccm: no .*one.env' "$TMP/mkinitramfs.log" || fail "not told: $(cat "$TMP/mkinitramfs.log")"
log passed
