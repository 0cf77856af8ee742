# j_listeners: who listens on TCP here: lines ADDRESS:PORT UID, in hex as the
# kernel writes them. Nothing on a machine without /proc.
j_listeners() {
	put tcp "$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ J_L _ J_S _ _ _ J_U _; do
		[ "$J_S" = 0A ] && printf '%s %s\n' "$J_L" "$J_U"
	done | head -n 2000)"
}

# j_clock: sets J_NOW, hundredths of seconds that only grow.
j_clock() {
	if [ -r /proc/uptime ]; then
		read -r J_NOW _ </proc/uptime
		J_NOW=${J_NOW%.*}${J_NOW#*.}
	else
		J_NOW=$(date +%s)00
	fi
}

# j_runtime_file DIRECTORY: sets J_RUNTIME to what the runtime file of the one
# server there holds; status 1 until it is written to its last line.
j_runtime_file() {
	for J_F in "$1"/jpserver-*.json "$1"/nbserver-*.json; do
		[ -s "$J_F" ] || continue
		J_RUNTIME= J_L=
		while IFS= read -r J_X || [ -n "$J_X" ]; do
			J_L=$J_X
			J_RUNTIME=$J_RUNTIME$J_X
		done <"$J_F"
		case $J_L in *'}') return 0 ;; esac
	done
	return 1
}
