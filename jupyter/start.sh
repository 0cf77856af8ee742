# One Jupyter in the session J_ENC. The lock is held until it listens: of many
# who come at once the first starts it, the others find it.

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
	J_RUN=$S_RUN
	rm -f "$J_RUN"/jpserver-* "$J_RUN"/nbserver-* "$J_RUN/s"
	own_dir "$J_RUN/c" &&
		write_file "$J_RUN/c/jupyter_server_config.py" "$J_CONFIG" &&
		write_file "$J_RUN/c/jupyter_notebook_config.py" "$J_CONFIG" &&
		write_file "$S_DIR/jupyter-token" "$J_TOKEN" &&
		write_file "$S_DIR/jupyter-run" "$J_RUN
" &&
		write_file "$S_DIR/spec" "$J_SPEC" &&
		write_file "$S_DIR/run.sh" "$J_SCRIPT" ||
		fail missing "write the session's files in $S_DIR and $J_RUN" "df -h ~ $NBR_RUN"
	j_clock
	J_BEGAN=$J_NOW
	session_start "$J_ENC"
fi

J_STATE=
until [ -n "$J_STATE" ]; do
	if j_runtime_file "$J_RUN"; then
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
