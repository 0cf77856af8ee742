session_dir() { S_DIR=$NBR_DATA/sessions/$NBR_HOST/$1; }

# Reads the first line of a file into nbr_v.
nbr_read() {
	nbr_v=
	[ -f "$1" ] && { IFS= read -r nbr_v <"$1" || [ -n "$nbr_v" ]; }
}

session_alive() {
	session_dir "$1"
	S_PID= S_STARTED=
	nbr_read "$S_DIR/child" && ident_alive "$nbr_v" && S_PID=$P_PID
	[ -n "$S_PID" ] || { nbr_read "$S_DIR/pid" && ident_alive "$nbr_v" && S_PID=$P_PID; }
	[ -n "$S_PID" ] || return 1
	nbr_read "$S_DIR/started" && S_STARTED=$nbr_v
	return 0
}

session_ended() {
	S_EXIT= S_ENDED=
	session_alive "$1" && return 1
	[ -f "$S_DIR/pid" ] || return 1
	nbr_read "$S_DIR/exit" && S_EXIT=$nbr_v
	nbr_read "$S_DIR/ended" && S_ENDED=$nbr_v
	return 0
}

nbr_tmux() { tmux -u -S "$NBR_RUN/tmux.sock" -f /dev/null "$@" </dev/null 2>/dev/null 3<&- 8>&- 9>&-; }

# Sets nbr_names to the names of the windows, each on a line.
nbr_windows() {
	nbr_names=
	command -v tmux >/dev/null 2>&1 || return
	# A cleaner of /tmp may have removed the socket: the server makes another.
	[ -S "$NBR_RUN/tmux.sock" ] || { nbr_read "$NBR_RUN/tmux.pid" && ident_kill USR1 "$nbr_v" && nap; } || return
	nbr_names="
$(nbr_tmux list-sessions -F '#{session_id} #{session_name}')
"
}

session_each() {
	for nbr_e in "$NBR_DATA/sessions/$NBR_HOST"/[a-z0-9]*; do
		[ -f "$nbr_e/name" ] || continue
		S_DIR=$nbr_e
		"$1" "${nbr_e##*/}"
	done
}

nbr_info() {
	nbr_run=
	session_alive "$1" && nbr_run=1
	putfile session "$S_DIR/name" 4096
	put enc "$1"
	put dir "$S_DIR"
	put running "$nbr_run"
	put pid "$S_PID"
	for nbr_f in started ended exit signal how; do ! nbr_read "$S_DIR/$nbr_f" || put "$nbr_f" "$nbr_v"; done
	case $nbr_names in *" $1
"*) put tmux 1 ;; esac
	putfile spec "$S_DIR/spec" 65536
}

session_list() {
	nbr_windows
	session_each nbr_info
}
