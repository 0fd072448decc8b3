# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Clean Debian 12 roots: made by debootstrap once, kept in $BUILD/clean-root, and copied for each use.
# Where the packages come from is read from this machine's apt when it is wanted.

ROOT_SUITE=bookworm
ROOT_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
BUILD=$(cd "${BUILD:-$ROOT_SOURCE/build}" && pwd)
ROOT_CACHE=$BUILD/clean-root
TMP=$(mktemp -d "$BUILD/clean-root-XXXXXX")
chmod 755 "$TMP"

# shellcheck disable=SC2317 # called by the trap
root_cleanup() {
	local status=$?
	trap '' INT TERM HUP
	# What is mounted in a root is mounted in a name space that has ended by now.
	rm -rf --one-file-system -- "$TMP"
	exit "$status"
}
trap root_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

log() {
	printf '%s\n' "$*"
}

skip() {
	log "skip: $*"
	exit 77
}

fail() {
	log "FAIL: $*"
	exit 1
}

# show FILE [LINES]: the end of an output, indented.
show() {
	tail -n "${2:-40}" -- "$1" | sed 's/^/  | /'
}

need_root_and_debian() {
	local tool
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	for tool in debootstrap apt-get unshare chroot; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
	unshare --mount --pid --fork true 2>/dev/null || skip "cannot make name spaces"
}

# Debian's own package sources of this machine, by a format of apt-get indextargets.
root_sources() {
	apt-get indextargets --format "$1" 'Created-By: Packages' 'Origin: Debian' | grep -- "$ROOT_SUITE" |
		sort -u
}

# The base that all roots are copies of. It has package lists, as an installed system has.
make_base() {
	local mirror base=$ROOT_CACHE/base
	mkdir -p "$ROOT_CACHE/archives/partial"
	# One at a time: apt locks the packages that have been fetched.
	exec 9>"$ROOT_CACHE/lock"
	flock 9
	[ ! -e "$base" ] || return 0
	# shellcheck disable=SC2016 # apt's variables
	mirror=$(root_sources '$(CODENAME) $(REPO_URI)' | sed -n "s/^$ROOT_SUITE //p" | head -n 1)
	[ -n "$mirror" ] || skip "apt knows no mirror of Debian $ROOT_SUITE"
	rm -rf --one-file-system "$base.new"
	debootstrap --variant=minbase "$ROOT_SUITE" "$base.new" "$mirror" >"$TMP/debootstrap.log" 2>&1 || {
		show "$TMP/debootstrap.log" 5
		rm -rf --one-file-system "$base.new"
		skip "debootstrap failed; is there a network?"
	}
	# shellcheck disable=SC2016 # apt's variables
	root_sources 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' >"$base.new/etc/apt/sources.list"
	# How this machine's apt gets through to it.
	apt-config dump | grep -E '^Acquire::(https?|ftp|Check-[A-Za-z-]*)(::| )' >"$base.new/etc/apt/apt.conf.d/10machine" ||
		true
	mv "$base.new" "$base"
}

# new_root NAME: a copy of the base, with an ordinary user; its path in the variable ROOT_DIR.
new_root() {
	ROOT_DIR=$TMP/$1
	cp -a --reflink=auto "$ROOT_CACHE/base" "$ROOT_DIR"
	cp -L /etc/resolv.conf /etc/hosts "$ROOT_DIR/etc/"
	in_root root useradd -m -s /bin/bash user || fail "cannot make a user"
	in_root root apt-get -q update >"$TMP/update.log" 2>&1 || {
		show "$TMP/update.log" 5
		skip "apt-get update failed; is there a network?"
	}
}

# in_root USER COMMAND...: in ROOT_DIR, in the user's home folder or below (variable FOLDER), with name
# spaces for mounts and processes: nothing that it starts or mounts stays. Packages are fetched once.
in_root() {
	local home=/root user=$1
	shift
	[ "$user" = root ] || home=/home/$user
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --pid --fork --kill-child bash -euc '
		root=$1 cache=$2 user=$3 home=$4 folder=$5
		shift 5
		# "ip netns exec" wants / to be a mount point, as it is anywhere but in a chroot.
		mount --bind "$root" "$root"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mount --rbind /sys "$root/sys"
		mount -t tmpfs -o mode=755 tmpfs "$root/run"
		mkdir -m 1777 "$root/run/lock"
		mount -t proc proc "$root/proc"
		mount --bind "$cache/archives" "$root/var/cache/apt/archives"
		id=$(chroot "$root" id -u "$user"):$(chroot "$root" id -g "$user")
		exec chroot --userspec="$id" --groups="" "$root" env -i HOME="$home" USER="$user" LANG=C.UTF-8 TERM=dumb \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			bash -c "cd \"\$1\" && shift && exec \"\$@\"" bash "$folder" "$@"
	' bash "$ROOT_DIR" "$ROOT_CACHE" "$user" "$home" "$home/${FOLDER:-}" "$@" </dev/null
}

# install_in_root PACKAGE...
install_in_root() {
	in_root root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o APT::Keep-Downloaded-Packages=true \
		--no-install-recommends install "$@" >"$TMP/install.log" 2>&1 || {
		show "$TMP/install.log"
		fail "cannot install $*"
	}
}

# copy_tree USER FOLDER: the sources as they are here, but nothing that is ignored, into the user's home.
copy_tree() {
	local user=$1 home=/root
	[ "$user" = root ] || home=/home/$user
	mkdir -p "$ROOT_DIR$home/$2"
	(
		cd "$ROOT_SOURCE" || exit
		if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$ROOT_SOURCE" ]; then
			git ls-files -co --exclude-standard -z
		else
			find . \( -name .git -o -path './build*' -o -name __pycache__ \) -prune -o -type f -print0
		fi | tar -c --null --ignore-failed-read -T -
	) | tar -x -C "$ROOT_DIR$home/$2"
	in_root root chown -R "$user:" "$home/$2"
}
