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

# j_whole FILE: the runtime file is written to its last line.
j_whole() {
	J_L=
	while IFS= read -r J_X || [ -n "$J_X" ]; do J_L=$J_X; done <"$1"
	case $J_L in *'}') return 0 ;; *) return 1 ;; esac
}

# j_runtime_file DIRECTORY: sets J_F to the runtime file of the one server there.
j_runtime_file() {
	for J_F in "$1"/jpserver-*.json "$1"/nbserver-*.json; do
		[ -s "$J_F" ] && j_whole "$J_F" && return 0
	done
	return 1
}
