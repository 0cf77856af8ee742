# session_watch ENC AT INDEX RUN ONCE: tells of a session, in fields, until it
# has ended and all is told, or once. AT is where in its log to begin, "-N" its
# last N lines, "-" what is usual, "" none of it; INDEX is how much of the index is known, "" none
# is wanted; RUN is which run it must still be, "" any. It polls, so that it
# works with every tail and loses nothing to a slow reader; the end of fd 3 says
# that nobody reads any more. With W_VIEW the window is made meanwhile.
session_watch() {
	session_dir "$1"
	w_at=$2 w_ix=$3 w_once=$5 w_said= w_watch= w_tail= w_n=0 w_all=0
	nbr_read "$S_DIR/pid" || [ -f "$S_DIR/log" ] || fail not-found "it has not been started" "nbremote ls"
	w_run=$nbr_v
	case $4 in '' | "$w_run") ;; *) fail gone "it has been removed, or started anew" ;; esac
	put run "$w_run"
	nbr_read "$S_DIR/spec"
	[ "${#nbr_v}" -le 65536 ] || nbr_v=
	put spec "$nbr_v"
	case $w_at in
	-) case $nbr_v in '{"kind":"script"'*) w_at=0 ;; *) w_last 200 ;; esac ;;
	-*) w_last "${2#-}" ;;
	esac
	put at "$w_at"
	w_reader
	while :; do
		w_live=
		session_alive "$1" && w_live=1
		nbr_read "$S_DIR/pid"
		[ "$nbr_v" = "$w_run" ] || fail gone "it has been removed, or started anew"
		w_all=$((w_all + 1))
		[ "$w_all" -ne 15 ] || [ -z "$w_live" ] || [ -z "${W_VIEW-}" ] || session_view "$1"
		w_trouble
		w_more || break
		[ -z "$w_big" ] || continue
		[ -n "$w_live" ] && [ -z "$w_once" ] || break
		[ -z "$w_watch" ] || ident_alive "$w_watch" || break
		w_pause
	done
	[ -z "$w_watch" ] || ident_kill TERM "$w_watch"
	w_end "$1"
}

w_last() {
	w_to=$(($(wc -c <"$S_DIR/log"))) w_at=0
	[ "$w_to" -le 262144 ] || w_at=$((w_to - 262144))
	w_at=$((w_to - $(tail -c "+$((w_at + 1))" <"$S_DIR/log" | head -c "$((w_to - w_at))" | tail -n "$1" | wc -c)))
}

# Has a process of its own wait for the end of fd 3.
w_reader() {
	[ "${NBR_IN-}" = "$$" ] || return 0
	cat <&3 >/dev/null 2>&1 &
	! proc_ident "$!" || w_watch=$P_IDENT
}

# What came since: first what of it is stderr, then the bytes. w_big: there may
# be more at once.
w_more() {
	w_big= w_new=
	[ -n "$w_at" ] || return 0
	w_to=$(($(wc -c <"$S_DIR/log")))
	[ "$w_to" -gt "$w_at" ] || return 0
	w_new=1 w_n=0
	[ "$((w_to - w_at))" -lt 65536 ] || w_big=1
	[ "$((w_to - w_at))" -le 8388608 ] || w_to=$((w_at + 8388608))
	if [ -n "$w_ix" ] && [ -f "$S_DIR/index" ]; then
		w_i=$(($(wc -c <"$S_DIR/index")))
		[ "$w_i" -le "$w_ix" ] || nbr_part index "$S_DIR/index" "$((w_ix + 1))" "$((w_i - w_ix))" || return
		w_ix=$w_i
	fi
	nbr_part log "$S_DIR/log" "$((w_at + 1))" "$((w_to - w_at))" || return
	w_at=$w_to
}

w_trouble() {
	nbr_read "$S_DIR/trouble" || return 0
	[ "$nbr_v" = "$w_said" ] || put trouble "$nbr_v"
	w_said=$nbr_v
}

# Shorter while something has just begun or come. A tail that is told of each
# line by the system ends it with the next one.
w_pause() {
	w_n=$((w_n + 1)) w_for=0.3
	[ "$w_n" -ge 50 ] || w_for=0.1
	if [ "$w_n" -lt 15 ]; then
		sleep 0.02 2>/dev/null || sleep 1
	elif [ -n "$w_at" ] && [ -f "$S_DIR/log" ] && w_tells; then
		timeout "$w_for" tail -s 0.05 -c "+$((w_at + 1))" -f "$S_DIR/log" 2>/dev/null | head -c 1 >/dev/null
	else
		sleep "$w_for" 2>/dev/null || sleep 1
	fi
}

# Whether there is such a tail, and a timeout: it is tried once.
w_tells() {
	if [ -z "$w_tail" ]; then
		w_tail=no
		timeout 0.01 tail -s 0.05 -c +1 -f "$S_DIR/log" >/dev/null 2>&1 || [ "$?" -ne 124 ] || w_tail=yes
	fi
	[ "$w_tail" = yes ]
}

# Who ended it by KILL may just be writing that down.
w_end() {
	NBR_T=0
	while ! session_alive "$1" && [ -f "$S_DIR/pid" ] && [ ! -f "$S_DIR/exit" ] && [ "$NBR_T" -lt 20 ]; do nap; done
	if session_ended "$1"; then
		put exit "$S_EXIT"
		put ended "$S_ENDED"
		! nbr_read "$S_DIR/started" || put started "$nbr_v"
		! nbr_read "$S_DIR/signal" || put signal "$nbr_v"
	fi
	put done 1
}
