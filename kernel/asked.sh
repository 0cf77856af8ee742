# What K_WANT means where it is a path or a project: behind environments.sh.
# Only here is a tool started, for the project that was named.

K_ASKED=1 K_GOT=

# k_found KIND NAME PREFIX PROJECT
k_found() {
	k_is "$3" && env_real "$3" || return 1
	K_GOT=1
	k_tell "$@"
}

# k_env PREFIX: an environment that was named by its path.
k_env() {
	K_P=
	case $1 in
	*/.pixi/envs/*) K_P=${1%/.pixi/envs/*} ;;
	*/.venv) K_P=${1%/*} ;;
	*/venv | */env) [ ! -f "${1%/*}/pyproject.toml" ] || K_P=${1%/*} ;;
	esac
	if [ -n "$K_P" ] && [ "$K_P" != "$K_HOME" ]; then
		env_kind "$K_P" "$1"
		k_own_name "$K_P" "$1"
		k_found "$ENV_KIND" "$K_NAME" "$1" "$K_P"
	else
		env_base "$1"
		K_KIND=venv K_NAME=$ENV_BASE
		k_sort "$1"
		k_found "$K_KIND" "$K_NAME" "$1" ""
	fi
}

# k_no WHY PATH: what there is instead.
k_no() {
	put no "$1"
	put no-at "$2"
}

# k_run DIR PROGRAM ARG…: sets K_OUT to the first line it prints in 10 s.
k_run() {
	K_OUT= K_SID= K_D=$1
	shift
	K_F=$(mktemp "${TMPDIR:-/tmp}/nbr.XXXXXXXX" 2>/dev/null) || return
	command -v setsid >/dev/null 2>&1 && K_SID=setsid
	(
		K_T=$PATH
		nbr_restore
		PATH=$K_T NO_COLOR=1
		export PATH NO_COLOR
		unset VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV
		cd -- "$K_D" && exec $K_SID sh -c '"$@" | head -c 8192' sh "$@"
	) </dev/null >"$K_F" 2>/dev/null 3<&- &
	K_PID=$! K_N=$NBR_T
	while kill -0 "$K_PID" 2>/dev/null && [ "$((NBR_T - K_N))" -lt 100 ]; do nap; done
	kill -s KILL -- "${K_SID:+-}$K_PID" 2>/dev/null
	wait "$K_PID" 2>/dev/null
	IFS= read -r K_OUT <"$K_F"
	rm -f "$K_F"
}

# k_kept DIR: sets K_KIND to what keeps the environment of a project.
k_kept() {
	env_kind "$1" "$1/.venv"
	K_KIND=$ENV_KIND
	if [ -d "$1/.pixi/envs" ]; then
		K_KIND=pixi
	elif [ "$K_KIND" != venv ]; then
		return
	elif [ -f "$1/pixi.toml" ] || [ -f "$1/pixi.lock" ]; then
		K_KIND=pixi
	elif [ -f "$1/hatch.toml" ]; then
		K_KIND=hatch
	else
		case $(grep -hsE '^\[tool\.(pixi|hatch\.env)' "$1/pyproject.toml") in
		*pixi*) K_KIND=pixi ;;
		*hatch*) K_KIND=hatch ;;
		esac
	fi
}

# k_printed DIR NAME PROGRAM ARG…: the environment that a tool tells.
k_printed() {
	k_find "$3" "$K_HOME/.$3/bin" "$K_HOME/.local/share/pypoetry/venv/bin"
	[ -n "$K_TOOL" ] || return 0
	K_D=$1 K_NAME=$2 K_I=$3
	shift 3
	k_run "$K_D" "$K_TOOL" "$@"
	case $K_OUT in /*) k_found "$K_I" "$K_NAME" "$K_OUT" "$K_P" ;; esac
}

# k_in DIR: the environment of a project.
k_in() {
	K_P=$1
	k_kept "$1"
	K_I=$K_KIND
	case $K_KIND in
	pixi)
		for K_E in "$1"/.pixi/envs/*/; do
			k_own_name "$1" "${K_E%/}"
			k_found pixi "$K_NAME" "${K_E%/}" "$1"
		done
		;;
	uv)
		env_base "$1"
		case ${UV_PROJECT_ENVIRONMENT-} in
		'') ;;
		/*) k_found uv "$ENV_BASE" "$UV_PROJECT_ENVIRONMENT" "$1" ;;
		*) k_found uv "$ENV_BASE" "$1/$UV_PROJECT_ENVIRONMENT" "$1" ;;
		esac
		;;
	esac
	for K_E in .venv venv env; do
		[ -z "$K_GOT" ] || return 0
		env_base "$1"
		env_kind "$1" "$1/$K_E"
		k_found "$ENV_KIND" "$ENV_BASE" "$1/$K_E" "$1"
	done
	[ -z "$K_GOT" ] || return 0
	[ "$K_I" != venv ] || ! grep -qs hatchling "$1/pyproject.toml" || K_I=hatch
	K_KEPT=$K_I
	case $K_I in
	poetry) k_printed "$1" "$ENV_BASE" poetry env info -p ;;
	hatch) k_printed "$1" "$ENV_BASE" hatch env find default ;;
	esac
	[ -n "$K_GOT" ] || k_no "$K_KEPT" "$1"
}

# k_file PATH: an interpreter, or what else is in an environment.
k_file() {
	case $1 in */shims/*) k_no shim "$1"; return ;; esac
	K_P=${1%/*}
	case $K_P in */bin)
		K_P=${K_P%/bin}
		[ -f "$K_P/pyvenv.cfg" ] || [ -d "$K_P/conda-meta" ] || [ -f "$K_P/bin/activate" ] && k_env "$K_P" && return
		;;
	esac
	case ${1##*/} in
	python* | pypy[0-9]*)
		[ -f "$1" ] && [ -x "$1" ] && k_bare "$1" "${1##*/}" && K_GOT=1 && return
		[ -e "$1" ] || { k_no gone "$1"; return; }
		;;
	pyproject.toml | *.lock | pixi.toml | hatch.toml)
		k_in "${1%/*}"
		return
		;;
	esac
	k_no file "$1"
}

# k_path PATH
k_path() {
	if [ -d "$1" ]; then
		cd -- "$1" 2>/dev/null || { k_no closed "$1"; return; }
		K_P=$PWD
		cd / || :
		case $K_P in */bin) ! k_is "${K_P%/bin}" || K_P=${K_P%/bin} ;; esac
		K_E=$K_P
		[ "$K_E" != / ] && k_env "$K_E" || k_in "$K_E"
	elif [ -e "$1" ] || [ -h "$1" ]; then
		cd -- "${1%/*}/" 2>/dev/null || return
		K_P=${PWD%/}/${1##*/}
		cd / || :
		k_file "$K_P"
	fi
}

case $K_WANT in
'~') k_path "$K_HOME" ;;
'~/'*) k_path "$K_HOME/${K_WANT#'~/'}" ;;
/*) k_path "$K_WANT" ;;
*)
	k_path "$K_DIR/$K_WANT"
	[ -n "$K_GOT" ] || [ "$K_DIR" = "$K_HOME" ] || k_path "$K_HOME/$K_WANT"
	;;
esac
