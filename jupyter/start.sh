# One Jupyter in the session J_ENC. The lock is held until it listens: of many
# who come at once the first starts it, the others find it.

# j_own_token: sets J_TOKEN to the session's own, so that an address saved
# somewhere stays good: unless it was made for somebody or something else, is
# below 256 bits, or lay where others could read or write it.
j_own_token() {
	J_F=$S_DIR/jupyter-token
	[ -z "$J_RENEW" ] && nbr_read "$S_DIR/jupyter-for" && [ "$nbr_v" = "$J_FOR" ] || return 0
	[ -O "$J_F" ] && nbr_read "$J_F" || return 0
	case $(ls -ld -- "$J_F") in -rw-------*) ;; *) return 0 ;; esac
	case $nbr_v in *[!0-9A-Za-z_-]*) return 0 ;; esac
	[ "${#nbr_v}" -lt 43 ] || J_TOKEN=$nbr_v
}

j_clock
J_BEGAN=$J_NOW
J_END=$((J_NOW + J_WAIT * 100))
session_lock "$J_ENC" "$J_WAIT" || { put state locked; exit 0; }
if session_alive "$J_ENC"; then
	[ -r "$S_DIR/jupyter-run" ] || { put state other; exit 0; }
	put reused 1
	IFS= read -r J_RUN <"$S_DIR/jupyter-run" || :
else
	session_make "$J_ENC" "$J_NAME"
	session_run "$J_ENC"
	j_own_token
	J_RUN=$S_RUN
	rm -f "$J_RUN"/jpserver-* "$J_RUN"/nbserver-* "$J_RUN/s"
	own_dir "$J_RUN/c" &&
		write_file "$J_RUN/c/jupyter_server_config.py" "$J_CONFIG" &&
		write_file "$J_RUN/c/jupyter_notebook_config.py" "$J_CONFIG" &&
		rm -f "$S_DIR/jupyter-for" &&
		write_file "$S_DIR/jupyter-token" "$J_TOKEN" &&
		write_file "$S_DIR/jupyter-for" "$J_FOR" &&
		write_file "$S_DIR/jupyter-run" "$J_RUN
" &&
		write_file "$S_DIR/spec" "$J_SPEC" &&
		write_file "$S_DIR/run.sh" "$J_SCRIPT" ||
		fail missing "write the session's files in $S_DIR and $J_RUN" "df -h ~ $NBR_RUN"
	j_clock
	J_BEGAN=$J_NOW
	session_start "$J_ENC"
fi

# j_bound: does what wrote J_RUNTIME listen? Jupyter says that it does a little
# before; whatever else it does then comes in between.
j_bound() {
	case $J_RUNTIME in
	*'"sock": "/'*)
		[ -S "$J_RUN/s" ] || return
		J_X=$(grep " $J_RUN/s\$" /proc/net/unix 2>/dev/null) || return 0
		case $J_X in *" 00010000 "*) ;; *) false ;; esac # __SO_ACCEPTCON
		;;
	*'"port": '[1-9]*)
		[ -r /proc/net/tcp ] || return 0
		J_X=${J_RUNTIME#*'"port": '}
		J_X=$(printf %04X "${J_X%%[!0-9]*}")
		grep -q "^ *[0-9]*: [0-9A-F]*:$J_X [0-9A-F]*:[0-9A-F]* 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null
		;;
	esac
}

J_STATE=
until [ -n "$J_STATE" ]; do
	if j_runtime_file "$J_RUN" && j_bound; then
		J_STATE=up
	elif [ -z "$S_PID" ] || ! kill -0 "$S_PID" 2>/dev/null; then
		session_alive "$J_ENC" || J_STATE=ended
	elif [ "$J_NOW" -ge "$J_END" ]; then
		J_STATE=late
	else
		sleep 0.03 2>/dev/null || sleep 1
	fi
	j_clock
done
put state "$J_STATE"
put dir "$S_DIR"
put took "$((J_NOW - J_BEGAN))"
put uid "$NBR_UID"
if [ "$J_STATE" = up ]; then
	session_alive "$J_ENC"
	put pid "$S_PID"
	put started "$S_STARTED"
	putfile spec "$S_DIR/spec" 65536
	put runtime "$J_RUNTIME"
	[ -S "$J_RUN/s" ] || j_listeners
	session_view "$J_ENC" && put tmux 1
else
	[ "$J_STATE" = late ] || { session_ended "$J_ENC" && put exit "$S_EXIT"; }
	puttail log "$S_DIR/log" 16384
fi
put done 1
