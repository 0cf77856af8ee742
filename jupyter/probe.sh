# What is on this host; machine.sh stands before it. J_PATH, J_ENV: what was
# asked. Nothing here starts Python.

J_HOME=$HOME
cd -- "$HOME" 2>/dev/null && J_HOME=$PWD
put home "$J_HOME"
put uid "$NBR_UID"
put linger "$NBR_LINGER"
! session_kills || put kills 1
put shell "${SHELL-}"
command -v tmux >/dev/null 2>&1 && put tmux "$(command -v tmux)"
command -v python3 >/dev/null 2>&1 && {
	J_PY=$(command -v python3)
	put python "$J_PY"
	for J_F in "${J_PY%/bin/python3}"/lib*/python3*/ensurepip; do
		[ -d "$J_F" ] && put ensurepip 1 && break
	done
}
command -v uv >/dev/null 2>&1 && put uv "$(command -v uv)"

# The directory. Its parts are looked at as they were written: a symlink stays
# in the name of the session.
case $J_PATH in
'' | '~') J_WANT=$J_HOME ;;
'~/'*) J_WANT=$J_HOME/${J_PATH#'~/'} ;;
/*) J_WANT=$J_PATH ;;
*) J_WANT=$J_HOME/$J_PATH ;;
esac
J_FILE=
if [ -f "$J_WANT" ]; then
	J_FILE=${J_WANT##*/}
	J_WANT=${J_WANT%/*}/
fi
if cd -- "$J_WANT" 2>/dev/null; then
	J_DIR=$PWD
	put dir "$J_DIR"
	put file "$J_FILE"
else
	J_DIR=$J_HOME
	put no-dir "$J_WANT"
	[ -d "$J_WANT" ] && put no-dir-why "no permission to enter it"
fi
cd / || :

# ---- environments ----
J_COUNT=0

j_dists() { # PREFIX: names that carry the versions
	J_D=
	for J_F in "$1"/lib/python3*/site-packages "$1"/lib/python3*/dist-packages; do
		[ -d "$J_F" ] || continue
		for J_G in "$J_F"/jupyterlab-[0-9]*-info "$J_F"/jupyter_server-[0-9]*-info "$J_F"/notebook-[0-9]*-info "$J_F"/ipykernel-[0-9]*-info; do
			[ -e "$J_G" ] && J_D="$J_D${J_G##*/}
"
		done
	done
}

j_programs() { # BIN
	J_P=
	[ -x "$1/jupyter-lab" ] && J_P="$J_P jupyter-lab"
	[ -x "$1/jupyter-notebook" ] && J_P="$J_P jupyter-notebook"
	[ -x "$1/jupyter-server" ] && J_P="$J_P jupyter-server"
	[ -n "$J_P" ]
}

j_python() { # PREFIX
	J_I=$1/bin/python
	[ -x "$J_I" ] || J_I=${J_I}3
	[ -x "$J_I" ]
}

# j_look KIND NAME PREFIX [asked]: an install, once. An environment asked for
# is told even without Jupyter.
j_look() {
	j_programs "$3/bin" || [ -n "${4-}" ] || return 1
	j_python "$3" || [ -n "$J_P" ] || return 1
	env_real "$3" || return 1
	if [ -z "$ENV_OLD" ]; then
		[ "$J_COUNT" -lt 64 ] || return 1
		J_COUNT=$((J_COUNT + 1))
		env_seen
		j_dists "$3"
		put install "$ENV_REAL"
		put kind "$1"
		put name "$2"
		put programs "$J_P"
		put dists "$J_D"
		put at-python "$J_I"
	fi
	[ -z "${4-}" ] || put asked-prefix "$ENV_REAL"
}

j_venv() { [ -x "$3/bin/python" ] && [ ! -d "$3/conda-meta" ] && j_look "$@"; }

# A project's environment without Jupyter can still be a kernel.
j_project() {
	j_look "$@" && return
	[ -z "$J_OWN" ] && [ "$J_DIR" != "$J_HOME" ] && j_python "$3" || return 0
	J_OWN=$3
	env_kind "$J_DIR" "$3"
	j_dists "$3"
	put project "$3"
	put project-kind "$ENV_KIND"
	put project-python "$J_I"
	put project-dists "$J_D"
}

# j_asked_at KIND PREFIX
j_asked_at() { [ -x "$2/bin/python" ] && j_look "$1" "$J_ENV" "$2" asked && J_GOT=1; }
j_asked_root() { [ -n "$J_GOT" ] || j_asked_at conda "$1/envs/$J_ENV"; }
j_asked() {
	J_GOT=
	case $J_ENV in
	'') return ;;
	'~/'*) J_A=$J_HOME/${J_ENV#'~/'} ;;
	/*) J_A=$J_ENV ;;
	*)
		for J_A in "$J_DIR" "$J_HOME" "$J_HOME/.virtualenvs" "$J_HOME/venvs" "$J_HOME/envs" "$J_HOME/.venvs" ${WORKON_HOME:+"$WORKON_HOME"}; do
			j_asked_at venv "$J_A/$J_ENV" && return
		done
		env_roots j_asked_root
		j_asked_root "$J_HOME/.conda"
		return
		;;
	esac
	case $J_A in */bin/python*) J_A=${J_A%/bin/python*} ;; */bin/jupyter*) J_A=${J_A%/bin/jupyter*} ;; esac
	env_base "$J_A"
	j_look venv "$ENV_BASE" "$J_A" asked
}

ENV_HOME=$J_HOME
J_OWN=
j_asked
env_project j_project "$J_DIR"
j_project project pixi "$J_DIR/.pixi/envs/default"
[ -n "${VIRTUAL_ENV-}" ] && env_base "$VIRTUAL_ENV" && j_look venv "$ENV_BASE" "$VIRTUAL_ENV"
env_condas j_look
j_look venv "~/.venv" "$J_HOME/.venv"
[ -e "$NBR_DATA/jupyter/.complete" ] && j_look ours "~/.local/share/nbremote/jupyter" "$NBR_DATA/jupyter"
env_in j_look uv "uv tool " "${UV_TOOL_DIR:-$J_HOME/.local/share/uv/tools}"
env_in j_look pipx "pipx " "$J_HOME/.local/share/pipx/venvs"
env_in j_look pipx "pipx " "$J_HOME/.local/pipx/venvs"
env_venvs j_venv
env_pyenv j_look "pyenv "

# What PATH would run: marked where it is one of the above, else told.
j_on_path() {
	j_programs "$1" || return 0
	case $1 in */shims) return 0 ;; esac
	J_L=$1/${J_P##* }
	J_N=0
	while [ -h "$J_L" ] && [ "$J_N" -lt 8 ]; do
		J_T=$(readlink "$J_L") || break
		case $J_T in /*) J_L=$J_T ;; *) J_L=${J_L%/*}/$J_T ;; esac
		J_N=$((J_N + 1))
	done
	J_L=${J_L%/*}
	case $J_L in */bin) J_L=${J_L%/bin} ;; *) return 0 ;; esac
	cd -P -- "$J_L" 2>/dev/null || return 0
	put on-path "$PWD"
	J_L=$PWD
	J_K=path
	[ ! -f pyvenv.cfg ] || J_K=venv
	[ ! -d conda-meta ] || J_K=conda
	cd / || :
	j_look "$J_K" "$J_L" "$J_L"
}
j_path() {
	set -f
	IFS=:
	for J_B in $1; do
		set +f
		case $J_B in /*) j_on_path "$J_B" ;; esac
	done
	set +f
	IFS='
'
}
j_path "$PATH"

# Where nothing was found, the login shell is asked for its PATH.
[ "$J_COUNT" -gt 0 ] || { env_login_path "$J_TMP.path" && j_path "$ENV_PATH"; }

# ---- sessions, and what was started by hand ----
unset IFS
J_TCP=
session_list
j_runtime() {
	session_alive "$1" || return 0
	[ -r "$S_DIR/jupyter-run" ] || return 0
	IFS= read -r J_R <"$S_DIR/jupyter-run" || [ -n "$J_R" ] || return 0
	j_runtime_file "$J_R" || return 0
	put session-enc "$1"
	put runtime "$J_RUNTIME"
	[ -S "$J_R/s" ] || J_TCP=1
}
session_each j_runtime
# What was started on another machine with this home, reached by the same
# address, and not seen to end there.
j_elsewhere() {
	J_COUNT=0 J_AT=
	for J_D in "$NBR_DATA"/sessions/*/[a-z0-9]*; do
		J_M=${J_D%/*}
		J_M=${J_M##*/}
		[ "$J_M" != "$NBR_HOST" ] && [ -f "$J_D/pid" ] && [ ! -f "$J_D/ended" ] && [ ! -f "$J_D/exit" ] && [ -f "$J_D/name" ] || continue
		grep -qsF "\"reached\":\"$J_REACHED\"" "$J_D/spec" || continue
		[ "$J_COUNT" -lt 64 ] || break
		J_COUNT=$((J_COUNT + 1))
		nbr_read "$J_D/node" || nbr_v=${J_M%-*}:22
		putfile elsewhere "$J_D/name" 4096
		put elsewhere-enc "${J_D##*/}"
		put elsewhere-machine "$J_M"
		put elsewhere-node "$nbr_v"
		putfile elsewhere-spec "$J_D/spec" 65536
		# A name that is no longer known is that of a machine that is gone.
		[ "$nbr_v" = "$J_AT" ] || { J_AT=$nbr_v J_GONE=; ! command -v getent >/dev/null 2>&1 || getent hosts "${nbr_v%:*}" >/dev/null 2>&1 </dev/null || J_GONE=1; }
		put elsewhere-gone "$J_GONE"
	done
}
[ -z "$J_REACHED" ] || j_elsewhere
J_CONFIG=
j_config() { # the file that seems to set the sign-in
	[ -z "$J_CONFIG" ] || return 0
	J_CONFIG=$(grep -lsE '(token|password)["'\'']?[[:space:]]*[=:]' "$J_HOME"/.jupyter/jupyter_*config.py "$J_HOME"/.jupyter/jupyter_*config.json 2>/dev/null | head -n 1)
	put config-file "$J_CONFIG"
	J_CONFIG=$J_CONFIG.
}
J_COUNT=0
J_KNOWN=
for J_F in "${JUPYTER_RUNTIME_DIR:-/nonexistent}"/*server-*.json \
	"${JUPYTER_DATA_DIR:-${XDG_DATA_HOME:-$J_HOME/.local/share}/jupyter}"/runtime/*server-*.json \
	"$J_HOME"/Library/Jupyter/runtime/*server-*.json "/run/user/$NBR_UID/jupyter"/*server-*.json; do
	case ${J_F##*/} in jpserver-*.json | nbserver-*.json) ;; *) continue ;; esac
	J_N=${J_F##*server-}
	J_N=${J_N%.json}
	case $J_N in '' | *[!0-9]* | ???????????*) continue ;; esac
	kill -0 "$J_N" 2>/dev/null || continue
	[ -d /proc/self ] && { [ -O "/proc/$J_N" ] && grep -qaE 'jupyter|notebook|python' "/proc/$J_N/cmdline" || continue; }
	[ "$J_COUNT" -lt 20 ] || break
	J_COUNT=$((J_COUNT + 1))
	J_KNOWN="$J_KNOWN $J_N"
	j_config
	put foreign "$J_N"
	[ -r "/proc/$J_N/stat" ] && IFS= read -r J_L <"/proc/$J_N/stat" && put stat "$J_L"
	putfile runtime "$J_F" 65536
	J_TCP=1
done
j_unlisted
[ -z "$J_TCP" ] || j_listeners

[ -r /proc/uptime ] && read -r J_L _ </proc/uptime && put uptime "$J_L"
j_machine
put done 1
