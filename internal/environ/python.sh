nbr_try() {
	[ -z "$NBR_PYTHON" ] && [ -x "$1" ] && "$1" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' </dev/null >/dev/null 2>&1 && NBR_PYTHON=$1
	return 0
}
nbr_env() { nbr_try "$3/bin/python3"; }
nbr_path() {
	ENV_P=$PATH
	PATH=$1
	for ENV_T in jupyter-lab jupyter; do
		ENV_E=$(command -v "$ENV_T") || continue
		PATH=$ENV_P
		ENV_E=$(readlink -f "$ENV_E" 2>/dev/null)
		PATH=$1
		nbr_try "${ENV_E%/*}/python3"
	done
	for ENV_T in 3 3.14 3.13 3.12 3.11 3.10 3.9 3.8; do
		ENV_E=$(command -v "python$ENV_T") && nbr_try "$ENV_E"
	done
	PATH=$ENV_P
	unset ENV_P
}
# Jupyter's first. The relay is ours and needs no package.
nbr_seek() {
	NBR_PYTHON= ENV_HOME=$HOME
	nbr_path "$PATH"
	[ -n "$NBR_PYTHON" ] && return
	env_condas nbr_env
	nbr_try "$HOME/.venv/bin/python3"
	nbr_try "$NBR_DATA/jupyter/bin/python3"
	env_in nbr_env uv "" "${UV_TOOL_DIR:-$HOME/.local/share/uv/tools}"
	env_in nbr_env pipx "" "$HOME/.local/share/pipx/venvs"
	env_venvs nbr_env
	env_pyenv nbr_env ""
	[ -z "$NBR_PYTHON" ] && env_login_path "$1" && nbr_path "$ENV_PATH"
	rm -f "$1"
	[ -n "$NBR_PYTHON" ] || NBR_PYTHON=$NBR_OLD
}
