# Jupyters of this account whose runtime file is not where it would be looked
# for: their own environment names the place, else what they printed, into a log
# or a tmux pane, has the address and the token.

# j_environ NAME: its value in the environment of the process J_N.
j_environ() { tr '\0' '\n' <"/proc/$J_N/environ" 2>/dev/null | sed -n "s/^$1=//p" | head -n 1; }

# j_lines: of what Jupyter printed the lines that tell where it is.
j_lines() { grep -aE 'is running at|://' | grep -av 'referer=' | tail -n 100; }

j_soon() {
	if command -v timeout >/dev/null 2>&1; then timeout 3 "$@"; else "$@"; fi
}

# j_printed FILE: what went into it.
j_printed() {
	if [ -f "$1" ]; then
		{ head -c 262144 "$1"; tail -c 262144 "$1"; } 2>/dev/null | j_lines
		return
	fi
	J_T=$(readlink "$1" 2>/dev/null) || return 0
	case $J_T in /dev/*[!/0-9a-z]*) return 0 ;; /dev/pts/* | /dev/tty*) ;; *) return 0 ;; esac
	command -v tmux >/dev/null 2>&1 || return 0
	J_T=$(j_soon tmux list-panes -a -F '#{pane_tty} #{pane_id}' 2>/dev/null | sed -n "s|^$J_T ||p" | head -n 1)
	[ -z "$J_T" ] || j_soon tmux capture-pane -p -J -S - -t "$J_T" 2>/dev/null | j_lines
}

# j_found: tells of the process J_N, if it is a Jupyter that was not told of.
j_found() {
	case " $J_KNOWN " in *" $J_N "*) return 0 ;; esac
	tr '\0' '\n' <"/proc/$J_N/cmdline" 2>/dev/null | grep -qE '(^|/)jupyter-(lab|notebook|server)$|^(jupyterlab|notebook|jupyter_server)$' || return 0
	[ "$(j_environ HOME)" = "$HOME" ] && [ -z "$(j_environ NBREMOTE_CONFIG_DIR)" ] || return 0 # a session's
	J_D=$(j_environ JUPYTER_RUNTIME_DIR)
	J_RUNTIME= J_S=
	for J_D in "$J_D" "$(j_environ JUPYTER_DATA_DIR)/runtime" "$(j_environ XDG_DATA_HOME)/jupyter/runtime"; do
		for J_X in "$J_D/jpserver-$J_N.json" "$J_D/nbserver-$J_N.json"; do
			[ ! -f "$J_X" ] || J_RUNTIME=$J_X
		done
	done
	for J_X in 1 2; do
		[ -n "$J_RUNTIME$J_S" ] || J_S=$(j_printed "/proc/$J_N/fd/$J_X")
	done
	[ -n "$J_RUNTIME$J_S" ] && [ "$J_COUNT" -lt 20 ] || return 0
	J_COUNT=$((J_COUNT + 1)) J_TCP=1
	j_config
	put foreign "$J_N"
	IFS= read -r J_L <"/proc/$J_N/stat" && put stat "$J_L"
	if [ -n "$J_RUNTIME" ]; then
		putfile runtime "$J_RUNTIME" 65536
	else
		put foreign-dir "$(readlink "/proc/$J_N/cwd")"
		put said "$J_S"
	fi
}

# j_unlisted looks at each process of this account.
j_unlisted() {
	[ -d /proc/self/fd ] || return 0
	J_S=
	for J_X in /proc/[0-9]*; do
		[ ! -O "$J_X" ] || J_S="$J_S $J_X/cmdline"
	done
	for J_X in $(grep -lsaE 'jupyter|notebook' /dev/null $J_S); do
		J_N=${J_X#/proc/}
		J_N=${J_N%/cmdline}
		j_found </dev/null
	done
}
