# What is on this host. J_PATH, J_ENV: what was asked. The slow things run
# beside the rest, into files; nothing here starts Python.

J_TMP=$NBR_RUN/probe.$$
trap 'rm -f "$J_TMP".*' EXIT
# j_beside NAME CMD…: its output into a file; ends with TERM.
j_beside() {
	J_B=$J_TMP.$1
	shift
	{
		"$@" >"$J_B" &
		J_X=$!
		trap 'kill -KILL "$J_X"; exit' TERM
		wait "$J_X"
		: >"$J_B.done"
	} </dev/null >/dev/null 2>&1 &
}
J_SMI=
if command -v nvidia-smi >/dev/null 2>&1; then
	j_beside gpu nvidia-smi --query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits
	J_SMI=$!
	j_beside apps nvidia-smi --query-compute-apps=gpu_uuid,pid --format=csv,noheader,nounits
	J_APPS=$!
fi
j_beside disk df -Pk "$HOME"
J_DF=$!

J_HOME=$HOME
cd -- "$HOME" 2>/dev/null && J_HOME=$PWD
put home "$J_HOME"
put uid "$NBR_UID"
put linger "$NBR_LINGER"
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
J_SEEN=:
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

# j_look KIND NAME PREFIX [asked]: an install, once. An environment asked for
# is told even without Jupyter.
j_look() {
	j_programs "$3/bin" || [ -n "${4-}" ] || return 1
	[ -x "$3/bin/python" ] || [ -x "$3/bin/python3" ] || [ -n "$J_P" ] || return 1
	cd -P -- "$3" 2>/dev/null || return 1
	J_REAL=$PWD
	cd / || :
	case $J_SEEN in *":$J_REAL:"*)
		[ -z "${4-}" ] || put asked-prefix "$J_REAL"
		return 0
		;;
	esac
	[ "$J_COUNT" -lt 64 ] || return 1
	J_COUNT=$((J_COUNT + 1))
	J_SEEN=$J_SEEN$J_REAL:
	j_dists "$3"
	put install "$J_REAL"
	put kind "$1"
	put name "$2"
	put programs "$J_P"
	put dists "$J_D"
	[ -z "${4-}" ] || put asked-prefix "$J_REAL"
	if [ -x "$3/bin/python" ]; then put at-python "$3/bin/python"; else put at-python "$3/bin/python3"; fi
}

# j_conda PREFIX: a root and what is below its envs.
j_conda() {
	[ -d "$1/conda-meta" ] || return 0
	if [ -d "$1/condabin" ] || [ -d "$1/envs" ]; then
		j_look conda "conda base" "$1"
		for J_E in "$1"/envs/*/; do
			[ -d "$J_E/conda-meta" ] && j_base "$J_E" && j_look conda "$J_BASE" "${J_E%/}"
		done
	else
		j_base "$1"
		j_look conda "$J_BASE" "$1"
	fi
}

j_base() { # PATH: sets J_BASE, its last part
	J_BASE=${1%/}
	J_BASE=${J_BASE##*/}
}

j_asked() {
	case $J_ENV in
	'') return ;;
	'~/'*) J_A=$J_HOME/${J_ENV#'~/'} ;;
	/*) J_A=$J_ENV ;;
	*)
		for J_A in "$J_DIR" "$J_HOME" "$J_HOME/.virtualenvs" "$J_HOME/venvs" "$J_HOME/envs" "$J_HOME/.venvs" ${WORKON_HOME:+"$WORKON_HOME"}; do
			J_A=$J_A/$J_ENV
			[ -x "$J_A/bin/python" ] && j_look venv "$J_ENV" "$J_A" asked && return
		done
		for J_R in $J_ROOTS "$J_HOME/.conda"; do
			J_A=$J_R/envs/$J_ENV
			[ -x "$J_A/bin/python" ] && j_look conda "$J_ENV" "$J_A" asked && return
		done
		return
		;;
	esac
	case $J_A in */bin/python*) J_A=${J_A%/bin/python*} ;; */bin/jupyter*) J_A=${J_A%/bin/jupyter*} ;; esac
	j_base "$J_A"
	j_look venv "$J_BASE" "$J_A" asked
}

# Conda roots below the home have no blanks in their last part; the home may.
J_ROOTS=
IFS='
'
for J_R in miniconda3 anaconda3 miniforge3 mambaforge micromamba miniconda anaconda conda; do
	[ -d "$J_HOME/$J_R/conda-meta" ] && J_ROOTS="$J_ROOTS$J_HOME/$J_R
"
done
for J_R in /opt/conda /opt/miniconda3 /opt/anaconda3 /opt/miniforge3 /opt/mambaforge; do
	[ -d "$J_R/conda-meta" ] && J_ROOTS="$J_ROOTS$J_R
"
done
set -f
J_PATHS=$PATH
IFS=:
for J_B in $J_PATHS; do
	case $J_B in /*) ;; *) continue ;; esac
	[ -x "$J_B/conda" ] || continue
	case $J_B in */condabin | */bin) ;; *) continue ;; esac
	[ -d "${J_B%/*}/conda-meta" ] && J_ROOTS="$J_ROOTS${J_B%/*}
"
done
set +f
IFS='
'

j_asked
for J_E in .venv venv env; do
	[ "$J_DIR" = "$J_HOME" ] && [ "$J_E" = .venv ] && continue
	j_look project "$J_E" "$J_DIR/$J_E"
done
[ -d "$J_DIR/.pixi/envs/default" ] && j_look project pixi "$J_DIR/.pixi/envs/default"
[ -n "${VIRTUAL_ENV-}" ] && j_base "$VIRTUAL_ENV" && j_look venv "$J_BASE" "$VIRTUAL_ENV"
for J_R in $J_ROOTS; do j_conda "$J_R"; done
[ -r "$J_HOME/.conda/environments.txt" ] && {
	J_N=0
	while IFS= read -r J_E && [ "$J_N" -lt 64 ]; do
		J_N=$((J_N + 1))
		[ -d "$J_E/bin" ] && j_conda "$J_E"
	done <"$J_HOME/.conda/environments.txt"
}
for J_E in "$J_HOME"/.conda/envs/*/; do [ -d "$J_E" ] && j_conda "${J_E%/}"; done
j_look venv "~/.venv" "$J_HOME/.venv"
[ -e "$NBR_DATA/jupyter/.complete" ] && j_look ours "~/.local/share/nbremote/jupyter" "$NBR_DATA/jupyter"
for J_E in "${UV_TOOL_DIR:-$J_HOME/.local/share/uv/tools}"/*/; do
	[ -d "$J_E" ] && j_programs "$J_E/bin" && j_base "$J_E" && j_look uv "uv tool $J_BASE" "${J_E%/}"
done
for J_E in "$J_HOME"/.local/share/pipx/venvs/*/ "$J_HOME"/.local/pipx/venvs/*/; do
	[ -d "$J_E" ] && j_programs "$J_E/bin" && j_base "$J_E" && j_look pipx "pipx $J_BASE" "${J_E%/}"
done
for J_E in "$J_HOME"/.virtualenvs/*/ "$J_HOME"/*/ "$J_HOME"/venvs/*/ "$J_HOME"/envs/*/ "$J_HOME"/.venvs/*/; do
	[ -x "$J_E/bin/python" ] && [ ! -d "$J_E/conda-meta" ] && j_programs "$J_E/bin" && j_base "$J_E" && j_look venv "$J_BASE" "${J_E%/}"
done
for J_E in "$J_HOME"/.pyenv/versions/*/; do
	[ -d "$J_E" ] && j_programs "$J_E/bin" && j_base "$J_E" && j_look pyenv "pyenv $J_BASE" "${J_E%/}"
done

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

# A shell that ssh starts does not read all that a login reads. Where nothing
# was found, the login shell is asked for its PATH, three seconds long.
j_login_path() {
	J_T='printf "\nnbr-path:%s:nbr-end\n" "$PATH"'
	case ${SHELL-} in
	*/bash) J_T="[ ! -r ~/.bashrc ] || . ~/.bashrc; $J_T" ;; # read by a login only if its profile does
	*/zsh | */fish | */sh | */dash | */ksh) ;;
	*) return ;;
	esac
	command -v setsid >/dev/null 2>&1 || return
	setsid "$SHELL" -lic "$J_T" </dev/null >"$J_TMP.path" 2>/dev/null &
	J_LOGIN=$!
	J_N=0
	while kill -0 "$J_LOGIN" 2>/dev/null && [ "$J_N" -lt 30 ]; do
		nap
		J_N=$((J_N + 1))
	done
	kill -s KILL -- "-$J_LOGIN" 2>/dev/null
	while IFS= read -r J_L; do
		case $J_L in nbr-path:*:nbr-end)
			J_L=${J_L#nbr-path:}
			j_path "${J_L%:nbr-end}"
			;;
		esac
	done <"$J_TMP.path"
}
[ "$J_COUNT" -gt 0 ] || j_login_path

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
J_CONFIG=
j_config() { # the file that seems to set the sign-in
	[ -z "$J_CONFIG" ] || return 0
	J_CONFIG=$(grep -lsE '(token|password)["'\'']?[[:space:]]*[=:]' "$J_HOME"/.jupyter/jupyter_*config.py "$J_HOME"/.jupyter/jupyter_*config.json 2>/dev/null | head -n 1)
	put config-file "$J_CONFIG"
	J_CONFIG=$J_CONFIG.
}
J_COUNT=0
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
	j_config
	put foreign "$J_N"
	[ -r "/proc/$J_N/stat" ] && IFS= read -r J_L <"/proc/$J_N/stat" && put stat "$J_L"
	putfile runtime "$J_F" 65536
	J_TCP=1
done
[ -z "$J_TCP" ] || j_listeners

# ---- the machine ----
[ -r /proc/uptime ] && read -r J_L _ </proc/uptime && put uptime "$J_L"
[ -r /proc/meminfo ] && while read -r J_L J_N _; do
	case $J_L in MemTotal: | MemAvailable:) put "${J_L%:}" "$J_N" ;; esac
	[ "$J_L" = MemAvailable: ] && break
done </proc/meminfo
J_N=0
j_waited() { # NAME PID: whether it is done; all together wait 0.3 s
	until [ -e "$J_TMP.$1.done" ]; do
		[ "$J_N" -lt 3 ] || { kill "$2" 2>/dev/null; return 1; }
		nap
		J_N=$((J_N + 1))
	done
}
j_waited disk "$J_DF" && putfile disk "$J_TMP.disk" 4096
if [ -n "$J_SMI" ]; then
	j_waited gpu "$J_SMI" && putfile gpus "$J_TMP.gpu" 65536
	j_waited apps "$J_APPS" && {
		putfile gpu-apps "$J_TMP.apps" 65536
		J_L=
		while IFS=', ' read -r J_T J_X _; do
			case $J_X in '' | *[!0-9]*) continue ;; esac
			[ -O "/proc/$J_X" ] && J_L="$J_L$J_X
"
		done <"$J_TMP.apps"
		put my-pids "$J_L"
	}
fi
put done 1
