# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion in bash for ccm-node and ccm-bench: EAL's arguments before "--", the program's own behind it.
# Needs bash alone.

_ccm_node_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_ccm_node_words() {
	mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

_ccm_node() {
	local program=${COMP_WORDS[0]##*/} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i dashes=0 own alone levels='error warning notice info debug'
	# What people use most of EAL's.
	local eal='-l --lcores --main-lcore -m -a --allow -b --block --vdev= --file-prefix= --no-huge --no-pci
		--in-memory --huge-dir --huge-unlink --socket-mem --iova-mode= --log-level= --'
	local ops='read write send atomic'
	COMPREPLY=()
	case "$program" in
	ccm-bench)
		own='--config --op --floor-peer --like -s --size -a --all -n --iters -D --duration -t --tx-depth
			--point --restart --lcore-mode --client --json --hgrm --csv --log-level -h --help --version'
		alone='-h --help --version'
		;;
	*)
		own='--config --check-config --print-config --no-exercise --pcap --log-level --help --version'
		alone='--check-config --print-config --help --version'
		;;
	esac
	# Bash splits --option=value into three words.
	if [[ $cur = = ]]; then
		cur=
	elif [[ $prev = = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} = -- ]]; then
			dashes=1
			break
		fi
	done
	case "$prev" in
	--config | --check-config | --print-config | --pcap | --json | --hgrm | --csv)
		_ccm_node_files "$cur"
		return
		;;
	esac
	if ((!dashes)); then
		case "$prev" in
		--huge-dir)
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -d -- "$cur")
			;;
		--iova-mode) _ccm_node_words "$cur" 'pa va' ;;
		--vdev)
			compopt -o nospace 2>/dev/null
			_ccm_node_words "$cur" 'net_memif0, net_af_packet0, net_pcap0, net_tap0,'
			;;
		-l | --lcores | --main-lcore | -m | -a | --allow | -b | --block | --file-prefix | --socket-mem | \
			--log-level) ;;
		*)
			_ccm_node_words "$cur" "$eal $alone"
			[[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace 2>/dev/null
			;;
		esac
		return
	fi
	case "$prev" in
	--log-level) _ccm_node_words "$cur" "$levels" ;;
	--op) _ccm_node_words "$cur" "$ops handshake failover floor" ;;
	--like) _ccm_node_words "$cur" "$ops frame" ;;
	--lcore-mode) _ccm_node_words "$cur" 'same cross' ;;
	-s | --size | -n | --iters | -D | --duration | -t | --tx-depth | --point | --client) ;;
	*) _ccm_node_words "$cur" "$own" ;;
	esac
}

complete -F _ccm_node ccm-node ccm-bench
