# The connection file of a kernel that runs: of the session L_ENC, else one that
# a Jupyter wrote under an ID that begins with L_ID.
l_file() {
	[ -f "$1" ] && [ -O "$1" ] || return 0
	[ -z "$L_FOUND" ] || [ "$L_FOUND" -ef "$1" ] || fail usage "the ID of more than one kernel begins so" "more of the ID"
	L_FOUND=$1
}

L_FOUND=
if session_alive "$L_ENC" && [ -f "$S_DIR/laptop-for" ]; then
	nbr_read "$S_DIR/run" && l_file "$nbr_v/kernel.json"
elif [ -n "$L_ID" ]; then
	L_DATA=${JUPYTER_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/jupyter}
	[ "$(uname -s)" != Darwin ] || [ -n "${JUPYTER_DATA_DIR-}" ] || L_DATA=$HOME/Library/Jupyter
	for l_d in "$NBR_RUN"/s?????? "${JUPYTER_RUNTIME_DIR:-$L_DATA/runtime}"; do
		for l_f in "$l_d/kernel-$L_ID"*.json; do l_file "$l_f"; done
	done
fi
[ -n "$L_FOUND" ] || fail not-found "no such kernel runs there, or it has no connection file" "nbremote kernel list"
put file "$L_FOUND"
putfile text "$L_FOUND" 65536
