# A kernel for a window on somebody's laptop, in a session of its own.

# A JSON string of a path, whose bytes may be any but control characters.
l_json() {
	case $1 in *[[:cntrl:]]*) fail usage "use the directory $1: its name has control characters" ;; esac
	printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"
}

# Of the sessions ENC NAME…, the one that runs for this window, else the first
# that is free: L_ENC, L_TITLE.
l_choose() {
	L_ENC= L_RUNS=
	while [ $# -gt 1 ]; do
		session_dir "$1"
		if session_alive "$1"; then
			if [ -n "$L_FOR" ] && nbr_read "$S_DIR/laptop-for" && [ "$nbr_v" = "$L_FOR" ]; then
				L_ENC=$1 L_TITLE=$2 L_RUNS=1
				return
			fi
		elif [ ! -e "$S_DIR/name" ] || [ -e "$S_DIR/laptop-for" ]; then
			[ -n "$L_ENC" ] || L_ENC=$1 L_TITLE=$2
			[ -e "$S_DIR/name" ] || return 0
		fi
		shift 2
	done
	[ -n "$L_ENC" ] || fail other "start the kernel: too many of its kind run for other computers" "nbremote ls"
}

l_begin() {
	NBR_T=0
	while :; do
		l_choose "$@"
		if [ -n "$L_RUNS" ]; then
			session_run "$L_ENC"
			put state runs
			break
		fi
		session_lock "$L_ENC" 10 || fail other "start the kernel: somebody else has been starting it for 10 s"
		session_alive "$L_ENC" || { l_start "$L_ENC" "$L_TITLE"; break; }
		session_unlock
	done
	put name "$L_TITLE"
	put sock "$S_RUN/c"
	put done 1
}

l_start() {
	[ -f "$L_SPEC/kernel.json" ] || fail not-found "find the kernel $L_NAME: no kernel.json in $L_SPEC"
	r_place
	r_python
	[ -n "$R_PY" ] || fail missing "keep a kernel for another computer: that needs Python 3 there"
	session_make "$1" "$2"
	session_run "$1"
	rm -f "$S_RUN/c"
	# The key is in a variable of the shell and in a file that is ours alone.
	write_file "$S_RUN/wish" "$L_WISH,\"dir\":$(l_json "$R_AT"),\"spec\":$(l_json "$L_SPEC")}" &&
		write_file "$S_DIR/spec" "$L_KIND" && write_file "$S_DIR/laptop-for" "${L_FOR:-none}" &&
		write_file "$S_DIR/supervise.py" "$L_SUPERVISE" && write_file "$S_DIR/run.sh" "$L_RUN" ||
		fail missing "write the kernel's files in $S_DIR and $S_RUN" "df -h $NBR_RUN ~"
	export R_PY S_RUN
	session_begin "$1"
	NBR_T=0
	until [ -S "$S_RUN/c" ]; do
		session_alive "$1" && [ "$NBR_T" -lt 300 ] || {
			puttail log "$S_DIR/log" 8192
			put state ended
			return
		}
		l_nap
	done
	put state begun
}

l_nap() { if sleep 0.01 2>/dev/null; then NBR_T=$((NBR_T + 1)); else nap; fi; }
