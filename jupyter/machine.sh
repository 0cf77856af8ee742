# What the machine has left: GPUs, memory, the home's disk. The slow things are
# begun here and run beside the rest, into files; j_machine tells of them.

J_TMP=${J_PLACE:-$NBR_RUN}/probe.$$
trap 'rm -f "$J_TMP".*' EXIT
# j_beside NAME CMD…: its output into a file; ends with TERM.
j_beside() {
	J_B=$J_TMP.$1
	shift
	{
		"$@" >"$J_B" &
		J_X=$!
		trap 'kill -KILL "$J_X"; exit' TERM
		wait "$J_X"
		: >"$J_B.done"
	} </dev/null >/dev/null 2>&1 &
}
J_SMI=
if command -v nvidia-smi >/dev/null 2>&1; then
	j_beside gpu nvidia-smi --query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits
	J_SMI=$!
	j_beside apps nvidia-smi --query-compute-apps=gpu_uuid,pid --format=csv,noheader,nounits
	J_APPS=$!
fi
j_beside disk df -Pk "$HOME"
J_DF=$!

# j_waited NAME PID: whether it is done; all together wait J_TENTHS, or 3.
j_waited() {
	until [ -e "$J_TMP.$1.done" ]; do
		[ "$J_N" -lt "${J_TENTHS:-3}" ] || { kill "$2" 2>/dev/null; return 1; }
		nap
		J_N=$((J_N + 1))
	done
}

j_machine() {
	[ -r /proc/meminfo ] && while read -r J_L J_N _; do
		case $J_L in MemTotal: | MemAvailable:) put "${J_L%:}" "$J_N" ;; esac
		[ "$J_L" = MemAvailable: ] && break
	done </proc/meminfo
	J_N=0
	j_waited disk "$J_DF" && putfile disk "$J_TMP.disk" 4096
	if [ -n "$J_SMI" ]; then
		j_waited gpu "$J_SMI" && putfile gpus "$J_TMP.gpu" 65536
		j_waited apps "$J_APPS" && {
			putfile gpu-apps "$J_TMP.apps" 65536
			J_L=
			while IFS=', ' read -r J_T J_X _; do
				case $J_X in '' | *[!0-9]*) continue ;; esac
				[ -O "/proc/$J_X" ] && J_L="$J_L$J_X
"
			done <"$J_TMP.apps"
			put my-pids "$J_L"
		}
	fi
}
