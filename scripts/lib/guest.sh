# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Parts of a guest for QEMU, of this system's Debian packages; to be sourced. Wants the variables dir
# (where the guest's files are kept) and work (scratch, on the same file system), and a function skip
# that ends with a reason.

: "${dir:?}" "${work:?}"

# The newest kernel that the package lists know, unpacked into $dir/kernel; without the network, one
# that is here already.
fetch_kernel() {
	local package stamp
	package=$(apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	stamp="$package with ext4"
	if [ -f "$dir/kernel/package" ] &&
		{ [ -z "$package" ] || [ "$stamp" = "$(cat "$dir/kernel/package")" ]; }; then
		return
	fi
	[ -n "$package" ] || skip "no kernel package in the package lists: apt-get update"
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package" >apt.log 2>&1) ||
		skip "cannot download $package: $(tail -n 1 "$work/apt.log")"
	dpkg-deb -x "$work"/linux-image-*.deb "$work/deb"
	mkdir "$work/kernel"
	mv "$work"/deb/boot/vmlinuz-* "$work/kernel/vmlinuz"
	mv "$work"/deb/lib "$work/kernel/lib"
	# Only what may be asked for.
	find "$work/kernel/lib/modules" -path '*/kernel/*' -type d \
		\( -path '*/drivers/gpu' -o -path '*/drivers/media' -o -path '*/sound' \
		-o -path '*/drivers/net/wireless' -o -path '*/drivers/net/ethernet' \
		-o -path '*/drivers/staging' -o -path '*/drivers/scsi' \
		-o -path '*/drivers/usb' -o -path '*/drivers/iio' -o -path '*/drivers/hwmon' \) \
		-prune -exec rm -rf {} +
	find "$work/kernel/lib/modules" -path '*/kernel/fs/*' -name '*.ko' \
		! -path '*/fs/ext4/*' ! -path '*/fs/jbd2/*' ! -name mbcache.ko -delete
	depmod -b "$work/kernel" "$(ls "$work/kernel/lib/modules")"
	echo "$stamp" >"$work/kernel/package"
	rm -rf "$dir/kernel"
	mv "$work/kernel" "$dir/kernel"
}

# copy ROOT FILE...: a program with the libraries that it needs, to where it is here.
copy() {
	local into=$1 file
	shift
	for file; do
		install -D "$(readlink -f "$file")" "$into$file"
		copy_libraries "$into" "$file"
	done
}

# copy_libraries ROOT FILE: what it needs, without itself.
copy_libraries() {
	local lib
	{ ldd "$2" 2>/dev/null || true; } | grep -o '/[^ )]*' | sort -u |
		while read -r lib; do
			[ -e "$1$lib" ] || install -D "$(readlink -f "$lib")" "$1$lib"
		done
}

# copy_busybox ROOT
copy_busybox() {
	local name
	mkdir -p "$1/bin"
	cp "$(type -P busybox)" "$1/bin/busybox"
	for name in $("$1/bin/busybox" --list | grep -vx busybox); do
		ln -sf busybox "$1/bin/$name"
	done
}

# copy_modules ROOT NAME...: they and what they need; ROOT/modules lists them in the order in which they
# are to be loaded.
copy_modules() {
	local into=$1 version name
	shift
	version=$(ls "$dir/kernel/lib/modules")
	for name; do
		modprobe -d "$dir/kernel" -S "$version" --show-depends "$name"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$work/modules"
	while read -r name; do
		install -D "$name" "$into/modules.d/${name##*/}"
		echo "/modules.d/${name##*/}"
	done <"$work/modules" >"$into/modules"
}

# pack_initramfs ROOT FILE
pack_initramfs() {
	(cd "$1" && find . | "$1/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$2"
}
