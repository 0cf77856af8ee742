env_activate() {
	case $1 in
	path | uv | pipx) # a tool, not an environment to work in: what runs in it is elsewhere
		case :$PATH: in *:"$3/bin":*) ;; *) PATH=$PATH:$3/bin ;; esac
		;;
	conda | pixi)
		unset VIRTUAL_ENV PYTHONHOME
		export CONDA_PREFIX="$3" CONDA_DEFAULT_ENV="$2" CONDA_SHLVL=1
		PATH=$3/bin:$PATH
		;;
	python)
		unset PYTHONHOME VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
		PATH=$3/bin:$PATH
		;;
	*)
		unset PYTHONHOME CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
		export VIRTUAL_ENV="$3"
		PATH=$3/bin:$PATH
		;;
	esac
	export PATH
}

# What conda packages want done at activation is often written for bash;
# without it they are left alone.
env_hooks() {
	ENV_HOOKS='for f in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$f"; done; exec "$@"'
	[ -n "${CONDA_PREFIX-}" ] && command -v bash >/dev/null 2>&1 || return 1
	for ENV_F in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do [ -f "$ENV_F" ] && return; done
	return 1
}
