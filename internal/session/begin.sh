# r_begin ENC NAME…: starts R_TEXT in the first of these sessions that is free.
# R_DIR: the directory as it was written. Also R_SPEC, R_PUMP, R_OWN, R_DETACH.

# r_here HOW PATH: a file that is on the other computer; with need, one that
# may be. Is it here too?
r_here() {
	case $2 in /*) R_F=$2 ;; '~/'*) R_F=$HOME/${2#'~/'} ;; *) R_F=$R_AT/${2#./} ;; esac
	[ ! -e "$R_F" ] && [ ! -h "$R_F" ] || return 0
	r_short "$R_F"
	case $1 in
	need) fail not-found "find $R_SHORT: no such file" ;;
	must) fail only-here "$R_SHORT" ;;
	esac
	put absent "$R_SHORT"
}

# The address of a Jupyter that has ended is saved somewhere: its name is not
# free either.
r_free() {
	R_WHY="it runs"
	session_alive "$1" && return 1
	R_WHY="it is a Jupyter's"
	[ ! -e "$S_DIR/jupyter-run" ]
}

r_begin() {
	while :; do
		session_lock "$1" 10 || fail other "start $2: somebody else has been starting it for 10 s" "nbremote ls"
		r_free "$1" && break
		session_unlock
		[ $# -gt 2 ] || fail taken "$R_WHY"
		shift 2
	done
	if session_ended "$1" && [ -f "$S_DIR/log" ]; then
		put was-exit "$S_EXIT"
		put was-ended "$S_ENDED"
	fi
	session_make "$1" "$2"
	write_file "$S_DIR/spec" "$R_SPEC" && write_file "$S_DIR/run.sh" "$R_TEXT" && write_file "$S_DIR/pump.py" "$R_PUMP" ||
		nbr_cannot "$S_DIR" "No space left"
	[ -z "$R_OWN" ] || write_file "$S_DIR/own.py" "$R_OWN" || nbr_cannot "$S_DIR" "No space left"
	r_python
	rm -f "$S_DIR/term.py"
	if [ -n "$R_TERM" ]; then
		[ -n "$R_PY" ] || fail missing "give it a terminal: that needs Python 3 there" "without --tty"
		write_file "$S_DIR/term.py" "$R_TERM" || nbr_cannot "$S_DIR" "No space left"
		session_run "$1"
		rm -f "$S_RUN/t"
		put python "$R_PY"
		put sockets "$S_RUN"
	fi
	export R_AT R_PY
	! session_kills || put kills 1
	session_begin "$1"
	session_unlock
	put name "$2"
	put dir "$S_DIR"
	r_short "$R_AT"
	put place "$R_SHORT"
	[ -n "$R_PY" ] || put one 1
	NBR_T=0
	while [ -n "$R_TERM" ] && [ ! -S "$S_RUN/t" ] && session_alive "$1" && [ "$NBR_T" -lt 100 ]; do nap; done
	if [ -n "$R_DETACH" ]; then
		session_view "$1"
		put done 1
	else
		W_VIEW=1
		session_watch "$1" 0 0 "" ""
	fi
}
