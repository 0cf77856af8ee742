ENV_SEEN=// ENV_CUT=

env_base() {
	ENV_BASE=${1%/}
	ENV_BASE=${ENV_BASE##*/}
}

# Between two slashes, because no path that was resolved has these.
env_real() {
	ENV_OLD=
	cd -P -- "$1" 2>/dev/null || return 1
	ENV_REAL=$PWD
	cd / || :
	case $ENV_SEEN in *"//$ENV_REAL//"*) ENV_OLD=1 ;; esac
}

env_seen() { ENV_SEEN=$ENV_SEEN$ENV_REAL//; }

env_in() {
	ENV_N=0
	for ENV_E in "$4"/*/; do
		[ -d "$ENV_E" ] || continue
		ENV_N=$((ENV_N + 1))
		[ "$ENV_N" -le 1000 ] || { ENV_CUT=1; break; }
		env_base "$ENV_E"
		"$1" "$2" "$3$ENV_BASE" "${ENV_E%/}"
	done
}

env_project() {
	for ENV_B in .venv venv env; do
		[ "$2/$ENV_B" = "$ENV_HOME/.venv" ] || "$1" project "$ENV_B" "$2/$ENV_B"
	done
}

env_kind() {
	ENV_KIND=venv
	case $2 in */.pixi/envs/*) ENV_KIND=pixi ;; *)
		if [ -f "$1/uv.lock" ]; then
			ENV_KIND=uv
		elif [ -f "$1/poetry.lock" ]; then
			ENV_KIND=poetry
		elif [ -f "$1/pyproject.toml" ]; then
			case $(grep -hsE '^(\[tool\.(uv|poetry)[].]|uv *=)' "$1/pyproject.toml" "$2/pyvenv.cfg") in
			*'[tool.uv'*) ENV_KIND=uv ;;
			*'[tool.poetry'*) ENV_KIND=poetry ;;
			*uv*) ENV_KIND=uv ;;
			esac
		fi
		;;
	esac
}

env_roots() {
	for ENV_R in miniconda3 anaconda3 miniforge3 mambaforge micromamba miniconda anaconda conda; do
		[ -d "$ENV_HOME/$ENV_R/conda-meta" ] && "$1" "$ENV_HOME/$ENV_R"
	done
	for ENV_R in conda miniconda3 anaconda3 miniforge3 mambaforge; do
		[ -d "/opt/$ENV_R/conda-meta" ] && "$1" "/opt/$ENV_R"
	done
	ENV_C=$1
	set -f
	IFS=:
	set -- $PATH
	set +f
	unset IFS
	for ENV_R; do
		case $ENV_R in /*/condabin | /*/bin)
			[ -x "$ENV_R/conda" ] && [ -d "${ENV_R%/*}/conda-meta" ] && "$ENV_C" "${ENV_R%/*}"
			;;
		esac
	done
}

env_condas() {
	ENV_CALL=$1
	env_roots env_conda
	[ -r "$ENV_HOME/.conda/environments.txt" ] && {
		ENV_R=0
		while IFS= read -r ENV_E && [ "$ENV_R" -lt 1000 ]; do
			ENV_R=$((ENV_R + 1))
			[ -d "$ENV_E/bin" ] && env_conda "$ENV_E"
		done <"$ENV_HOME/.conda/environments.txt"
	}
	for ENV_R in "$ENV_HOME/.conda" "$ENV_HOME/micromamba" "$ENV_HOME/.local/share/mamba" ${MAMBA_ROOT_PREFIX:+"$MAMBA_ROOT_PREFIX"}; do
		env_in env_conda_in conda "" "$ENV_R/envs"
	done
}

env_conda() {
	[ -d "$1/conda-meta" ] || return 0
	if [ -d "$1/condabin" ] || [ -d "$1/envs" ]; then
		"$ENV_CALL" conda "conda base" "$1"
		env_in env_conda_in conda "" "$1/envs"
	else
		env_base "$1"
		"$ENV_CALL" conda "$ENV_BASE" "$1"
	fi
}

env_conda_in() { [ -d "$3/conda-meta" ] && "$ENV_CALL" "$@"; }

env_venvs() {
	for ENV_R in "$ENV_HOME/.virtualenvs" "$ENV_HOME" "$ENV_HOME/venvs" "$ENV_HOME/envs" "$ENV_HOME/.venvs" ${WORKON_HOME:+"$WORKON_HOME"}; do
		env_in "$1" venv "" "$ENV_R"
	done
}

env_pyenv() { env_in "$1" pyenv "$2" "${PYENV_ROOT:-$ENV_HOME/.pyenv}/versions"; }
