# A home that is full lets directories be made but nothing be written.
session_make() {
	for nbr_d in "$NBR_DATA/sessions" "$NBR_DATA/sessions/$NBR_HOST" "$NBR_DATA/sessions/$NBR_HOST/$1"; do
		own_dir "$nbr_d" || nbr_cannot "$nbr_d" "$nbr_err"
	done
	session_dir "$1"
	nbr_full
	rm -f "$S_DIR/.full"
	[ "${#nbr_v}" -eq 1024 ] && write_file "$S_DIR/name" "$2" || nbr_cannot "$S_DIR" "${nbr_err:-No space left}"
}

# What the shell itself writes costs no process, and does not say why not.
nbr_full() {
	{ printf %1024s x >"$S_DIR/.full"; } 2>/dev/null
	nbr_read "$S_DIR/.full"
	[ "${#nbr_v}" -ne 1024 ] || return 0
	nbr_err=$( (head -c 1024 /dev/zero | tr '\0' x >"$S_DIR/.full") 2>&1)
	nbr_read "$S_DIR/.full"
	return 0
}

session_run() {
	session_dir "$1"
	nbr_read "$S_DIR/run" && S_RUN=$nbr_v && case $S_RUN in "$NBR_RUN"/s??????) nbr_made "$S_RUN" && return ;; esac
	S_RUN=$(mktemp -d "$NBR_RUN/sXXXXXX" 2>/dev/null) && write_file "$S_DIR/run" "$S_RUN" && return
	fail missing "make a directory in $NBR_RUN: is it full?" "df -h $NBR_RUN ~"
}

# flock goes with the process. Without it the lock is a link whose target is
# its owner, so there is no moment when it has none.
session_lock() {
	NBR_T=0
	! command -v flock >/dev/null 2>&1 || { nbr_lock_file "$@"; return; }
	nbr_self
	proc_ident "$P_SELF" || return 1
	nbr_me=$P_IDENT nbr_lock=$NBR_RUN/$1.lock
	until ln -s "$nbr_me" "$nbr_lock.by" 2>/dev/null; do
		nbr_break "$nbr_lock.by" && continue
		[ "$NBR_T" -lt $(($2 * 10)) ] && [ -d "$NBR_RUN" ] || return 1
		nap
	done
}

# Two locks: a share of the place, so that it is not taken away (nbr_leave),
# and the session's own. Whoever waited for a file that was removed meanwhile
# begins again.
nbr_lock_file() {
	while :; do
		nbr_recorded
		nbr_lock=$NBR_RUN/$1.lock
		{ true >>"$NBR_RUN/.place" && true >>"$nbr_lock"; } 2>/dev/null || { [ -d "$NBR_RUN" ] && return 1; continue; }
		exec 8>>"$NBR_RUN/.place" 9>>"$nbr_lock"
		flock -s 8 8>&8 && nbr_flock "$2" || break
		nbr_same "$NBR_RUN/.place" 8 && nbr_same "$nbr_lock" 9 && nbr_is_recorded && return
	done
	session_unlock
	return 1
}

nbr_same() { [ ! -e "/proc/self/fd/$2" ] || [ "$1" -ef "/proc/self/fd/$2" ]; }

# 9>&9: a ksh does not hand the descriptor down unasked. busybox knows no -w.
nbr_flock() {
	flock -w "$1" 9 9>&9 2>/dev/null && return
	case $(flock --help 2>&1) in *-w*) return 1 ;; esac
	until flock -n 9 9>&9; do
		[ "$NBR_T" -lt $(($1 * 10)) ] || return 1
		nap
	done
}

# Removes a lock whose owner is provably dead. Only the owner of the lock's own
# lock does: between seeing a dead owner and removing the lock, another might
# have done so and a third have taken it.
nbr_break() {
	nbr_who=$(readlink "$1" 2>/dev/null)
	[ -n "$nbr_who" ] && ! ident_alive "$nbr_who" || return 1
	case $1 in *.break.break.break) return 1 ;; esac
	ln -s "$nbr_me" "$1.break" 2>/dev/null || { nbr_break "$1.break"; return 1; }
	[ "$(readlink "$1" 2>/dev/null)" != "$nbr_who" ] || rm -f "$1"
	rm -f "$1.break"
}

session_unlock() {
	exec 8>&- 9>&-
	[ -z "${nbr_me-}" ] || [ "$(readlink "$nbr_lock.by" 2>/dev/null)" != "$nbr_me" ] || rm -f "$nbr_lock.by"
}

# How to begin a process session: setsid, else perl (macOS has no setsid),
# else not at all. With linger, in a scope that logging out does not end.
nbr_launcher() {
	nbr_how=nohup nbr_with=
	if command -v setsid >/dev/null 2>&1; then
		nbr_how=setsid nbr_with=setsid
	elif command -v perl >/dev/null 2>&1; then
		nbr_how=perl nbr_with='perl -MPOSIX -e setsid();exec(@ARGV)'
	fi
	if [ -n "$NBR_LINGER" ] && command -v systemd-run >/dev/null 2>&1 &&
		systemd-run --user --scope -q -- true >/dev/null 2>&1; then
		nbr_how="scope $nbr_how" nbr_with="systemd-run --user --scope -q -- $nbr_with"
	fi
}

# Sets nbr_said to the wrapper's first line. A command in the background (&)
# would ignore INT for ever, and no sh can undo that: kernels could not be
# interrupted. So it runs in the foreground of a shell that the other side of
# the pipe ends. It keeps the lock (fd 9) until it is written down as running.
nbr_launch() {
	nbr_launcher
	nbr_said=$(
		cd "$S_DIR" || exit
		export NBR_PATH NBR_LC NBR_LC_SET NBR_UMASK NBR_BOOT NBR_HOST
		sh -c '"$@" 2>/dev/null | { read -r said; echo "$said"; kill -9 $$; }' sh $nbr_with sh ./wrap.sh 2>/dev/null 3<&-
	) 2>/dev/null
}

session_start() {
	session_begin "$1"
	session_view "$1"
	session_alive "$1"
	return 0
}

# session_start without its window, which takes longer than the rest.
session_begin() {
	session_dir "$1"
	# For who finds it on another machine with this home.
	write_file "$S_DIR/node" "$NBR_NODE"
	rm -f "$S_DIR/pid" "$S_DIR/child" "$S_DIR/started" "$S_DIR/ended" "$S_DIR/exit" "$S_DIR/how" "$S_DIR/signal" "$S_DIR/index" "$S_DIR/trouble" "$S_DIR/term" "$S_DIR/debug"
	[ ! -f "$S_DIR/log" ] || mv -f "$S_DIR/log" "$S_DIR/log.1"
	write_file "$S_DIR/wrap.sh" "$(nbr_wrap_text)" && write_file "$S_DIR/view.sh" "$(nbr_view_text)" ||
		nbr_cannot "$S_DIR" "No space left"
	nbr_launch
	[ "$nbr_said" = ok ] || fail start "start a process on the host: ${nbr_said:-it ended at once}"
	write_file "$S_DIR/how" "$nbr_how"
}

# Sets nbr_id to tmux's own number of a window: a name would be matched by its
# beginning, and old versions know no "=".
nbr_window() {
	nbr_windows
	nbr_id=
	case $nbr_names in *" $1
"*) ;; *) return 1 ;; esac
	nbr_id=${nbr_names%%" $1
"*}
	nbr_id=${nbr_id##*"
"}
}

# With its last window tmux ends, and takes its socket along while it does.
nbr_close() {
	nbr_window "$1" || return 0
	nbr_tmux kill-session -t "$nbr_id"
	NBR_T=0
	while [ "$NBR_T" -lt 20 ] && ! nbr_tmux list-sessions >/dev/null &&
		nbr_read "$NBR_RUN/tmux.pid" && ident_alive "$nbr_v"; do nap; done
}

# The window only shows the log, so it may come and go. Again when tmux was
# just ending for somebody else.
session_view() {
	session_dir "$1"
	command -v tmux >/dev/null 2>&1 || return 1
	nbr_read "$S_DIR/pid" || return 1
	nbr_shown=$nbr_v
	if nbr_window "$1"; then
		nbr_read "$S_DIR/view" && [ "$nbr_v" = "$nbr_id $nbr_shown" ] && return
		nbr_close "$1"
	fi
	for nbr_i in 1 2 3 4 5; do
		nbr_open "$1"
		nbr_window "$1" && write_file "$S_DIR/view" "$nbr_id $nbr_shown" && return
		nap
	done
	return 1
}

# Its command line holds nothing of the user's: the directory is that of the
# tmux client.
nbr_open() {
	(cd "$S_DIR" && nbr_tmux start-server \; set-option -g status off \; set-option -g history-limit 20000 \; \
		set-window-option -g remain-on-exit on \; new-session -d -s "$1" -x 250 -y 50 /bin/sh ./view.sh) >/dev/null
	nbr_tmux set-option -s set-clipboard off >/dev/null
	proc_ident "$(nbr_tmux display-message -p '#{pid}')" && write_file "$NBR_RUN/tmux.pid" "$P_IDENT"
}

# The process group goes with its leader, and its number is the group's as long
# as one member lives; without a process session there is only the command.
nbr_signal() {
	# A terminal's command has a process session of its own.
	! nbr_read "$S_DIR/term" || ! ident_alive "$nbr_v" || kill -s "$1" -- "-$P_PID" 2>/dev/null
	if nbr_read "$S_DIR/pid" && ident_alive "$nbr_v" && [ "$P_GROUP" = "$P_PID" ]; then
		kill -s "$1" -- "-$P_PID" 2>/dev/null
		return
	fi
	nbr_leader=${nbr_v%% *}
	if nbr_read "$S_DIR/child" && ident_alive "$nbr_v"; then
		if [ "$P_GROUP" = "$nbr_leader" ]; then kill -s "$1" -- "-$P_GROUP"; else kill -s "$1" "$P_PID"; fi 2>/dev/null
	fi
	[ "$1" != KILL ] || { nbr_read "$S_DIR/pid" && ident_kill KILL "$nbr_v"; }
}

session_stop() {
	session_dir "$1"
	nbr_left=$((${2:-10} * 10)) nbr_sig=TERM NBR_T=0
	! session_alive "$1" || nbr_signal TERM
	while session_alive "$1"; do
		if [ "$NBR_T" -ge "$nbr_left" ]; then
			[ "$nbr_sig" = TERM ] || return 1
			nbr_sig=KILL nbr_left=$((NBR_T + 50))
			nbr_signal KILL
		fi
		nap
	done
	if [ -f "$S_DIR/pid" ] && [ ! -f "$S_DIR/exit" ]; then
		[ -f "$S_DIR/ended" ] || write_file "$S_DIR/ended" "$(date +%s)"
		[ "$nbr_sig" = TERM ] || { write_file "$S_DIR/signal" KILL; write_file "$S_DIR/exit" 137; }
	fi
	nbr_close "$1"
	return 0
}

session_forget() {
	session_alive "$1" && return 1
	nbr_close "$1"
	# What is written there is a place of ours only if it is in the place of ours.
	[ -n "$NBR_RUN" ] && nbr_read "$S_DIR/run" && case $nbr_v in
	"$NBR_RUN"/*/*) ;;
	"$NBR_RUN"/s??????) rm -rf "$nbr_v" ;;
	esac
	rm -rf "$S_DIR"
}

# Has another machine with the same home a place there?
nbr_others() {
	for nbr_e in "$NBR_DATA/run"/*; do
		case ${nbr_e##*/} in "$NBR_HOST".* | '*') ;; *) return 0 ;; esac
	done
	return 1
}

# Takes away what was made for sessions on this machine, when there is none and
# nobody is about to make one. What holds anything else stays: rmdir fails.
nbr_leave() {
	command -v flock >/dev/null 2>&1 && nbr_is_recorded || return
	{ exec 8>>"$NBR_RUN/.place"; } 2>/dev/null
	flock -n 8 8>&8 && nbr_same "$NBR_RUN/.place" 8 && nbr_is_recorded || return
	for nbr_e in "$NBR_DATA/sessions/$NBR_HOST"/[a-z0-9]*; do [ ! -e "$nbr_e" ] || return; done
	[ ! -S "$NBR_RUN/tmux.sock" ] || nbr_tmux kill-server
	rm -rf "$NBR_RUN"/*.lock "$NBR_RUN"/*.lock.by "$NBR_RUN"/s?????? "$NBR_RUN"/tmux.*
	set -- "$NBR_RUN"/link/*.sock # a relay is there as long as its socket
	[ -S "$1" ] || { rm -rf "$NBR_RUN/link"; nbr_others || rm -rf "$NBR_DATA/spool"; }
	rmdir "$NBR_DATA/sessions/$NBR_HOST" "$NBR_DATA/sessions" 2>/dev/null
	# The record first: who comes meanwhile makes another place. Until they see
	# that, they may put a lock here.
	if [ "$(ls -A "$NBR_RUN")" = .place ]; then
		rm -f "$NBR_DATA/run/$NBR_HOST".*
		for nbr_i in 1 2 3 4 5; do rm -rf "$NBR_RUN" 2>/dev/null && break; done
	fi
	rmdir "$NBR_DATA/run" "$NBR_DATA" 2>/dev/null
}

# Does a logout end what this user leaves running? logind.conf(5): of many
# settings the last counts, and root is left alone.
session_kills() {
	[ -z "$NBR_LINGER" ] && [ "$NBR_UID" != 0 ] && [ -d /run/systemd/system ] || return 1
	nbr_l=$(cat /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null |
		sed -n 's/^[[:space:]]*KillUserProcesses[[:space:]]*=[[:space:]]*//p' | tail -n 1)
	case $nbr_l in [Yy]* | [Tt]* | 1* | [Oo]n*) ;; *) return 1 ;; esac
}

