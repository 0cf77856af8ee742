# Which environments are here. K_DIR, K_WANT: the directory and what was
# asked, as they were written. Nothing here starts Python.

[ -n "${HOME-}" ] && [ -d "$HOME" ] || fail missing "find the home directory: ${HOME:-HOME is not set} does not exist"
K_HOME=$HOME
cd -- "$HOME" 2>/dev/null && K_HOME=$PWD
ENV_HOME=$K_HOME
put home "$K_HOME"
put uid "$(id -u)"

case $K_DIR in
'' | '~') K_DIR=$K_HOME ;;
'~/'*) K_DIR=$K_HOME/${K_DIR#'~/'} ;;
/*) ;;
*) K_DIR=$K_HOME/$K_DIR ;;
esac
if cd -- "$K_DIR" 2>/dev/null; then
	K_DIR=$PWD
	put dir "$K_DIR"
else
	K_DIR=$K_HOME
fi
cd / || :

# k_find PROGRAM [DIRECTORY…]: sets K_TOOL to its path, or to nothing.
k_find() {
	K_TOOL=$(command -v "$1" 2>/dev/null)
	case $K_TOOL in /*) return ;; esac
	K_TOOL=$1
	shift
	for K_F; do
		[ -f "$K_F/$K_TOOL" ] && [ -x "$K_F/$K_TOOL" ] && K_TOOL=$K_F/$K_TOOL && return
	done
	K_TOOL=
}
for K_T in uv poetry pixi hatch pyenv conda mamba micromamba; do
	k_find "$K_T" "$K_HOME/.cargo/bin" "$K_HOME/.$K_T/bin" "${PYENV_ROOT:-/nonexistent}/bin" "$K_HOME/.local/share/pypoetry/venv/bin"
	[ -z "$K_TOOL" ] || { put tool "$K_T"; put tool-path "$K_TOOL"; }
done

# k_is PREFIX: an environment, even one that is broken.
k_is() {
	[ -f "$1/pyvenv.cfg" ] || [ -d "$1/conda-meta" ] && return
	[ -e "$1/bin/python" ] || [ -h "$1/bin/python" ] || [ -e "$1/bin/python3" ] || return
	for K_F in "$1"/lib/python[23].*; do [ -d "$K_F" ] && return; done
	return 1
}

# k_resolve PATH: sets K_R to what it is a link to, in the end.
k_resolve() {
	K_R=$1 K_N=0
	while [ -h "$K_R" ] && [ "$K_N" -lt 8 ]; do
		K_T=$(readlink "$K_R" && echo x) || return
		K_T=${K_T%?x} # a newline at the end of a name is a part of it
		case $K_T in /*) K_R=$K_T ;; *) K_R=${K_R%/*}/$K_T ;; esac
		K_N=$((K_N + 1))
	done
}

# k_config PREFIX: sets what pyvenv.cfg says.
k_config() {
	K_VERSION= K_UV= K_BASE=
	[ -f "$1/pyvenv.cfg" ] && [ -r "$1/pyvenv.cfg" ] || return 0
	K_N=0
	while IFS=' 	=' read -r K_L K_T || [ -n "$K_L" ]; do
		K_N=$((K_N + 1))
		case $K_L in
		version | version_info) K_VERSION=$K_T ;;
		home) K_BASE=$K_T ;;
		uv) K_UV=1 ;;
		esac
		[ "$K_N" -lt 40 ] || break
	done <"$1/pyvenv.cfg"
	case $K_VERSION in [23].[0-9]*) ;; *) K_VERSION= ;; esac
	case $K_VERSION in *[!0-9a-z.+]*) K_VERSION= ;; esac
}

# k_version PREFIX: sets K_VERSION, its first two numbers K_XY, and K_LIB to
# where its packages are. After an upgrade there is a directory for each version.
k_version() {
	for K_F in "$1"/conda-meta/python-[23].*.json; do
		[ -e "$K_F" ] || continue
		K_F=${K_F##*/python-}
		K_VERSION=${K_F%%-*}
	done
	K_XY= K_LIB=
	if [ -n "$K_VERSION" ]; then
		K_T=${K_VERSION#*.}
		K_XY=${K_VERSION%%.*}.${K_T%%[!0-9]*}
		K_LIB=$1/lib/python$K_XY
		[ ! -d "$K_LIB" ] || return 0
	fi
	for K_F in "$1"/lib/python[23].* "$1"/lib/pypy[23].*; do
		[ -d "$K_F" ] || continue
		K_LIB=$K_F
		[ -n "$K_VERSION" ] || K_XY=${K_F##*/py*[ny]}
	done
	K_VERSION=${K_VERSION:-$K_XY}
}

# k_python PREFIX: sets K_BIN, and K_BROKEN to why it cannot run.
k_python() {
	K_BROKEN= K_BIN=
	for K_F in "$1/bin/python" "$1/bin/python3" "$1"/bin/python3.[0-9] "$1"/bin/python3.[0-9][0-9]; do
		[ -f "$K_F" ] && [ -x "$K_F" ] && K_BIN=$K_F && break
		[ -z "$K_BIN" ] && { [ -e "$K_F" ] || [ -h "$K_F" ]; } && K_BIN=$K_F
	done
	K_F=$K_BIN
	if [ -z "$K_F" ]; then
		K_BIN=$1/bin/python K_BROKEN="it has no Python"
	elif [ ! -e "$K_F" ]; then
		k_resolve "$K_F"
		K_BROKEN="its Python, $K_R, is gone"
	elif [ ! -f "$K_F" ] || [ ! -x "$K_F" ]; then
		K_BROKEN="its Python, $K_F, may not be run"
	elif [ -n "$K_BASE" ] && [ -n "$K_XY" ] && [ ! -e "$K_BASE/python$K_XY" ]; then
		k_moved
	fi
}

# What a system's upgrade leaves: a venv whose packages are for another Python.
k_moved() {
	if [ ! -d "$K_BASE" ]; then
		[ -h "$K_F" ] || K_BROKEN="its Python, in $K_BASE, is gone"
		return
	fi
	k_resolve "$K_F"
	case ${K_R##*/} in
	"python$K_XY") ;;
	python[0-9].[0-9]*) K_BROKEN="it was made for Python $K_XY, and $K_F is ${K_R##*/} now" ;;
	esac
}

# k_packages DIRECTORY…: sets K_KERNEL and K_PIP.
k_packages() {
	K_KERNEL= K_PIP=
	for K_D; do
		[ -d "$K_D" ] || continue
		[ -d "$K_D/pip" ] && K_PIP=1
		for K_F in "$K_D"/ipykernel-[0-9]*-info; do
			[ -e "$K_F" ] && K_KERNEL=${K_F##*/}
		done
	done
}

# k_manager KIND PREFIX: sets K_TOOL to a conda near its root, else to one seen before.
K_CONDA=
k_manager() {
	K_TOOL=
	[ "$1" = conda ] || return 0
	for K_D in "$2" "${2%/envs/*}"; do
		for K_F in "$K_D/bin/conda" "$K_D/condabin/conda" "$K_D/bin/mamba" "$K_D/condabin/mamba" "$K_D/bin/micromamba"; do
			[ -f "$K_F" ] && [ -x "$K_F" ] && K_TOOL=$K_F && K_CONDA=$K_F && return
		done
	done
	K_TOOL=$K_CONDA
}

# k_put KIND NAME PREFIX PROJECT: what was seen, as long as there is room.
K_COUNT=0 K_SIZE=0 K_CUT= K_ASKED=
k_put() {
	K_SIZE=$((K_SIZE + ${#2} + 2 * ${#3} + ${#4} + ${#ENV_REAL} + ${#K_BIN} + ${#K_BROKEN} + ${#K_VERSION} + ${#K_BASE} + 500))
	[ "$K_SIZE" -le 850000 ] || [ -n "$K_ASKED" ] && [ "$K_SIZE" -le 900000 ] || { K_CUT=1; return; }
	put env "$3"
	put kind "$1"
	put name "$2"
	[ "$ENV_REAL" = "$3" ] || put real "$ENV_REAL"
	put python "$K_BIN"
	[ -z "$4" ] || put project "$4"
	[ -z "$K_VERSION" ] || put version "$K_VERSION"
	[ -z "$K_KERNEL" ] || put ipykernel "$K_KERNEL"
	[ -z "$K_PIP" ] || put pip 1
	[ -z "$K_UV" ] || put uv 1
	[ -z "$K_TOOL" ] || put manager "$K_TOOL"
	[ -z "$K_BROKEN" ] || put broken "$K_BROKEN"
	[ -z "$K_ASKED" ] || put asked 1
}

# k_tell KIND NAME PREFIX PROJECT
k_tell() {
	k_config "$3"
	k_version "$3"
	k_python "$3"
	k_packages "$K_LIB/site-packages" "$K_LIB/dist-packages"
	k_manager "$1" "$3"
	k_put "$@"
}

# k_look KIND NAME PREFIX [PROJECT]: one of the list, once. What was asked for
# is told even where the list is too long.
k_look() {
	k_is "$3" && env_real "$3" && [ -z "$ENV_OLD" ] || return 0
	K_KIND=$1 K_NAME=$2
	k_sort "$3"
	# A conda environment may be one of R.
	[ "$K_KIND" != conda ] || [ -e "$3/bin/python" ] || [ -h "$3/bin/python" ] || return 0
	if [ "$K_COUNT" -ge 400 ] && [ "$K_NAME" != "$K_WANT" ]; then
		K_CUT=1
		return
	fi
	K_COUNT=$((K_COUNT + 1))
	env_seen
	k_tell "$K_KIND" "$K_NAME" "$3" "${4-}"
}

# k_sort PREFIX: what a folder of venvs holds need not be one.
k_sort() {
	[ "$K_NAME" != "conda base" ] || K_NAME=base
	[ "$K_KIND" = venv ] || return 0
	if [ -d "$1/conda-meta" ]; then
		K_KIND=conda
	elif [ ! -f "$1/pyvenv.cfg" ] && [ ! -f "$1/bin/activate" ]; then
		K_KIND=python
	fi
}

# k_own DIR PREFIX: an environment that lies in its project.
k_own() {
	k_is "$2" || return 0
	env_kind "$1" "$2"
	k_own_name "$1" "$2"
	k_look "$ENV_KIND" "$K_NAME" "$2" "$1"
}
k_own_name() {
	env_base "$1"
	K_NAME=$ENV_BASE
	case $2 in */.pixi/envs/default) ;; */.pixi/envs/*) K_NAME=$K_NAME-${2##*/} ;; esac
}
k_pixi() { for K_E in "$1"/.pixi/envs/*/; do k_own "$1" "${K_E%/}"; done; }
k_here() { k_own "$K_DIR" "$3"; }
k_project() {
	k_own "$3" "$3/.venv"
	k_pixi "$3"
}

# k_poetry KIND NAME-HASH-pyX.Y PREFIX
k_poetry() {
	case $2 in
	*-????????-py[23].*) k_look poetry "${2%-????????-py*}" "$3" ;;
	*) k_look "$@" ;;
	esac
}

# hatch keeps PROJECT/HASH/PROJECT and PROJECT/HASH/NAME.
k_hatch() {
	K_I=0
	for K_E in "$1"/env/virtual/*/*/*/; do
		K_E=${K_E%/}
		K_I=$((K_I + 1))
		[ "$K_I" -le 1000 ] || { K_CUT=1; break; }
		K_T=${K_E%/*/*}
		K_T=${K_T##*/}
		[ "$K_T" = "${K_E##*/}" ] || K_T=$K_T-${K_E##*/}
		k_look hatch "$K_T" "$K_E"
	done
}

# k_pyenv: virtualenvs are links beside the versions, or below one.
k_pyenv() {
	k_look "$@"
	env_in k_look pyenv "" "$3/envs"
}

# k_bare PYTHON NAME: an interpreter outside of all environments.
k_bare() {
	k_resolve "$1"
	cd -P -- "${K_R%/*}" 2>/dev/null || return 1
	ENV_REAL=$PWD/${K_R##*/} K_P=${PWD%/bin}
	cd / || :
	K_BIN=$1 K_VERSION= K_UV= K_BASE= K_BROKEN= K_TOOL= K_XY=
	case ${K_R##*/} in
	python[23].[0-9]*) K_XY=${K_R##*/python} ;;
	*) for K_F in "$K_P"/lib/python[23].*; do [ -d "$K_F" ] && K_XY=${K_F##*/python}; done ;;
	esac
	K_VERSION=$K_XY
	k_packages "$K_P/lib/python$K_XY/site-packages" "$K_P/lib/python$K_XY/dist-packages" "$K_P/lib64/python$K_XY/site-packages" \
		"$K_P/lib/python3/dist-packages" "$K_P/local/lib/python$K_XY/dist-packages" "$K_HOME/.local/lib/python$K_XY/site-packages"
	k_put python "$2" "${K_P:-/}" ""
}

# The first python3 on PATH that is the system's.
k_system() {
	set -f
	IFS=:
	set -- $PATH
	set +f
	unset IFS
	for K_D; do
		case $K_D in */shims) continue ;; /*) ;; *) continue ;; esac
		[ -f "$K_D/python3" ] && [ -x "$K_D/python3" ] && [ ! -f "${K_D%/*}/pyvenv.cfg" ] || continue
		k_resolve "$K_D/python3"
		case $K_R in */uv/python/*) continue ;; esac
		env_real "${K_R%/*}/.." && [ -z "$ENV_OLD" ] && k_bare "$K_D/python3" python3 && return
	done
}

if [ "$K_DIR" != "$K_HOME" ]; then
	env_project k_here "$K_DIR"
	k_pixi "$K_DIR"
fi
[ -z "${VIRTUAL_ENV-}" ] || { env_base "$VIRTUAL_ENV"; k_look venv "$ENV_BASE" "$VIRTUAL_ENV"; }
env_condas k_look
env_in k_project "" "" "$K_HOME"
k_look venv .venv "$K_HOME/.venv"
env_venvs k_look
env_in k_poetry poetry "" "${POETRY_VIRTUALENVS_PATH:-${POETRY_CACHE_DIR:-${XDG_CACHE_HOME:-$K_HOME/.cache}/pypoetry}/virtualenvs}"
env_in k_poetry poetry "" "$K_HOME/Library/Caches/pypoetry/virtualenvs"
k_hatch "${HATCH_DATA_DIR:-${XDG_DATA_HOME:-$K_HOME/.local/share}/hatch}"
k_hatch "$K_HOME/Library/Application Support/hatch"
env_pyenv k_pyenv ""
k_system
