# What a host is like, for doctor: nothing of it is changed. machine.sh follows,
# e_begin, probe.sh, e_end. What is needed in between is in a directory that is
# gone at the end.

J_TENTHS=40
J_PLACE=
for E_D in /dev/shm /tmp "${TMPDIR:-/tmp}"; do
	J_PLACE=$(mktemp -d "$E_D/nbr-look.XXXXXX" 2>/dev/null) && break
done
[ -n "$J_PLACE" ] || J_PLACE=/nonexistent J_TENTHS=0

e_clean() {
	[ -z "$E_SHELL" ] || [ -z "$E_SETSID" ] || kill -s KILL -- "-$E_SHELL" 2>/dev/null
	rm -rf "$J_PLACE"
}

e_begin() {
	put now "$(date +%s)"
	E_SHELL= E_SETSID= E_PY= E_CARD=
	trap e_clean EXIT
	for E_P in apt-get dnf yum zypper apk pacman brew; do
		command -v "$E_P" >/dev/null 2>&1 && put packages "$E_P" && break
	done
	if command -v tmux >/dev/null 2>&1; then
		put tmux-version "$(tmux -V 2>/dev/null | head -n 1)"
	fi
	e_kill_user
	e_places
	e_shell
	j_beside python e_python
	E_PY=$!
	if command -v nvidia-smi >/dev/null 2>&1; then
		j_beside card sh -c 'exec nvidia-smi -L 2>&1'
		E_CARD=$!
	fi
	for E_F in /dev/nvidia[0-9]*; do [ ! -e "$E_F" ] || put card 1; done
	j_beside inodes df -Pi "$HOME"
	E_INODES=$!
	[ -w "$HOME" ] || put not-writable 1
}

# Can the relay run on the Python that it would choose?
e_python() {
	NBR_PYTHON=$NBR_PY
	[ -n "$NBR_PYTHON" ] || nbr_seek "$J_TMP.path"
	[ -n "$NBR_PYTHON" ] || return 0
	[ "$NBR_PYTHON" = "$NBR_OLD" ] || echo "at $NBR_PYTHON"
	exec "$NBR_PYTHON" -I -S -c "$E_CHECK" "$HOME" 2>&1
}

# Does a logout end what runs? The last setting wins; one that is commented out
# in the main file is the default that logind was built with.
e_kill_user() {
	[ -d /run/systemd/system ] || return 0
	E_F=/etc/systemd/logind.conf
	[ -r "$E_F" ] || E_F=/usr/lib/systemd/logind.conf
	E_K=$(sed -n 's/^#KillUserProcesses=//p' "$E_F" 2>/dev/null | tail -n 1)
	E_V=$(cat "$E_F" /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null |
		sed -n 's/^KillUserProcesses=//p' | tail -n 1)
	put kill-user "${E_V:-$E_K}"
}

# e_place DIRECTORY: tells of it, unless it is no place for sockets and locks.
e_place() {
	E_X=$1
	[ -d "$E_X" ] || E_X=${E_X%/*}
	if [ ! -d "$E_X" ]; then
		E_W="is not there"
	elif [ ! -w "$E_X" ] || [ ! -x "$E_X" ]; then
		E_W="cannot be written"
	elif [ "${#1}" -gt "$2" ]; then
		E_W="has too long a name"
	elif E_FREE=$(df -Pk "$E_X" 2>/dev/null | tail -n 1 | { read -r _ _ _ E_A _; echo "$E_A"; }) && [ "${E_FREE:-0}" -lt 64 ] 2>/dev/null; then
		E_W="is full"
	else
		put place "$1"
		put place-type "$(stat -f -c %T "$E_X" 2>/dev/null)"
		return 0
	fi
	put no-place "$1 $E_W"
	return 1
}

e_places() {
	[ -n "$NBR_RUN" ] && e_place "$NBR_RUN" 46 && return
	[ -n "$NBR_LINGER" ] && e_place "/run/user/$NBR_UID" 37 && return
	for E_D in /dev/shm /tmp "$HOME/.cache"; do e_place "$E_D" 33 && return; done
	return 0
}

# The login shell as sshd runs it: what does it print of its own, and how much
# longer than a bare sh does it take? Both are slow on a machine that is busy.
e_shell() {
	[ -x "${SHELL-}" ] && echo 'echo nbr-shell-answers; cat /proc/uptime 2>/dev/null' 2>/dev/null >"$J_TMP.in" || return 0
	E_SETSID=$(command -v setsid)
	j_clock
	E_BEGAN=$J_NOW
	sh -c 'exec /bin/sh -s' <"$J_TMP.in" >"$J_TMP.bare" 2>/dev/null 3<&- &
	(
		cd
		nbr_restore
		SHLVL=0 SSH_CLIENT=${SSH_CLIENT:-127.0.0.1 22 22}
		export SHLVL SSH_CLIENT
		exec $E_SETSID "$SHELL" -c 'exec /bin/sh -s' <"$J_TMP.in" 3<&-
	) >"$J_TMP.shell" 2>/dev/null &
	E_SHELL=$!
}

e_answers() { case $(head -c 65536 "$J_TMP.shell" | tr -d '\000') in *nbr-shell-answers*) ;; *) false ;; esac; }

# e_took NAME: sets E_TOOK to hundredths of seconds, "" while it is not known.
e_took() {
	E_TOOK=$(sed -n '/nbr-shell-answers$/{n;p;}' "$J_TMP.$1" 2>/dev/null | tail -n 1)
	E_TOOK=${E_TOOK%% *}
	case $E_TOOK in '' | *[!0-9.]*) E_TOOK= ;; *.*) E_TOOK=$((${E_TOOK%.*}${E_TOOK#*.} - E_BEGAN)) ;; *) E_TOOK= ;; esac
}

# Six seconds, and up to ten where a bare sh takes long too.
e_shell_end() {
	while ! e_answers; do
		kill -0 "$E_SHELL" 2>/dev/null || { e_answers || put shell-silent 1; break; }
		e_took bare
		J_N=$((${E_TOOK:-100} * 10))
		[ "$J_N" -ge 600 ] || J_N=600
		[ "$J_N" -le 1000 ] || J_N=1000
		j_clock
		[ "$((J_NOW - E_BEGAN))" -lt "$J_N" ] || { put shell-silent "$((J_NOW - E_BEGAN))"; break; }
		nap
	done
	e_took bare
	put bare-took "$E_TOOK"
	e_took shell
	put shell-took "$E_TOOK"
	putfile shell-said "$J_TMP.shell" 65536
}

e_end() {
	[ -z "$E_SHELL" ] || e_shell_end
	J_N=0
	{ j_waited python "$E_PY" && putfile relay-python "$J_TMP.python" 4096; } ||
		[ "$J_TENTHS" -gt 0 ] || put relay-python "$(e_python)"
	[ -z "$E_CARD" ] || { j_waited card "$E_CARD" && putfile smi "$J_TMP.card" 4096 || put smi "nvidia-smi gives no answer"; }
	j_waited inodes "$E_INODES" && putfile inodes "$J_TMP.inodes" 4096
	[ "$J_TENTHS" -gt 0 ] || put disk "$(df -Pk "$HOME" 2>/dev/null)"
	put examined 1
}
