# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion in bash for ccmctl and ccm-exporter. Needs bash alone.

_ccmctl_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_ccmctl_words() {
	mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

# DPDK processes of this machine, by their runtime folders: root's and our own.
_ccmctl_prefixes() {
	local folder socket names=''
	for folder in "${RUNTIME_DIRECTORY:-/var/run}" "${XDG_RUNTIME_DIR:-/tmp}"; do
		for socket in "$folder"/dpdk/*/dpdk_telemetry.v2; do
			[[ ! -S $socket ]] || names+=" $(basename "${socket%/*}")"
		done
	done
	printf '%s\n' "$names"
}

# The option's argument, when the word before takes one; 1 when it takes none.
_ccmctl_argument() {
	case "$1" in
	-p | --file-prefix) _ccmctl_words "$2" "$(_ccmctl_prefixes)" ;;
	--socket | --config | --log | -o | --output) _ccmctl_files "$2" ;;
	--colour | --color) _ccmctl_words "$2" 'auto always never' ;;
	--format) _ccmctl_words "$2" 'openmetrics text' ;;
	--timeout | --device | -n | --lines | -i | --interval | -c | --count | --listen) ;;
	*) return 1 ;;
	esac
}

_ccmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i word command='' arguments=0
	local common='-p --file-prefix --socket --json --timeout --colour --color -h --help'
	local commands='status partners clients ports events timing drops latency boot capture config reload
		watch doctor support-bundle explain nodes'
	COMPREPLY=()
	# Bash splits --option=value into three words.
	if [[ $cur = = ]]; then
		cur=
	elif [[ $prev = = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case "$word" in
		--)
			# What follows is for EAL.
			return
			;;
		-p | --file-prefix | --socket | --timeout | --colour | --color | --config | --log | -o | --output | \
			--device | -n | --lines | -i | --interval | -c | --count)
			((++i))
			[[ ${COMP_WORDS[i]:-} != = ]] || ((++i))
			;;
		-*) ;;
		*)
			if [[ -z $command ]]; then
				command=$word
			else
				((++arguments))
			fi
			;;
		esac
	done
	! _ccmctl_argument "$prev" "$cur" || return
	if [[ -z $command ]]; then
		_ccmctl_words "$cur" "$commands $common --version"
		return
	fi
	if [[ $cur = -* ]]; then
		case "$command" in
		events) common+=' -f --follow -n --lines' ;;
		watch) common+=' -i --interval -c --count' ;;
		doctor) common+=' --config --device --' ;;
		support-bundle) common+=' -o --output --config --log --secrets' ;;
		esac
		_ccmctl_words "$cur" "$common"
	elif [[ $command = boot && $arguments -eq 0 ]]; then
		_ccmctl_words "$cur" set
	elif [[ $command = explain && $arguments -eq 0 ]]; then
		_ccmctl_words "$cur" "$("${COMP_WORDS[0]}" explain --json 2>/dev/null |
			sed -n 's/^ *"word": "\([a-z_0-9]*\)".*/\1/p')"
	fi
}

_ccm_exporter() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	if [[ $cur = = ]]; then
		cur=
	elif [[ $prev = = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	_ccmctl_argument "$prev" "$cur" ||
		_ccmctl_words "$cur" '-p --file-prefix --socket --listen --timeout --once --format -h --help --version'
}

complete -F _ccmctl ccmctl
complete -F _ccm_exporter ccm-exporter
