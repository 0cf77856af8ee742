# Every kernel.json in the folders that a Jupyter here looks into, first come
# first; what two folders share is given twice.
l_count=0 l_bytes=0
l_folder() {
	case $1 in /*) [ -d "$1" ] || return 0 ;; *) return 0 ;; esac
	for l_d in "$1"/* "$1"/.[!.]*; do
		[ -f "$l_d/kernel.json" ] && [ -r "$l_d/kernel.json" ] || continue
		case ${l_d##*/} in nbremote-trial-*) continue ;; esac
		l_n=$(($(wc -c <"$l_d/kernel.json")))
		[ "$l_n" -le 65536 ] || l_n=0
		l_count=$((l_count + 1)) l_bytes=$((l_bytes + l_n + ${#l_d} + 64))
		[ "$l_count" -le 500 ] && [ "$l_bytes" -le 900000 ] || { put cut 1; return 0; }
		put dir "$l_d"
		if [ "$l_n" -gt 0 ]; then putfile spec "$l_d/kernel.json" 65536; else put long 1; fi
	done
}

# Splits at colons without setting off patterns.
l_rest=${JUPYTER_PATH-}:
while [ -n "$l_rest" ]; do
	l_one=${l_rest%%:*} l_rest=${l_rest#*:}
	l_folder "$l_one/kernels"
done
if [ -n "${JUPYTER_DATA_DIR-}" ]; then
	l_folder "$JUPYTER_DATA_DIR/kernels"
elif [ "$(uname -s)" = Darwin ]; then
	l_folder "$HOME/Library/Jupyter/kernels"
else
	l_folder "${XDG_DATA_HOME:-$HOME/.local/share}/jupyter/kernels"
fi
l_more
l_folder /usr/local/share/jupyter/kernels
l_folder /usr/share/jupyter/kernels
l_folder "$HOME/.ipython/kernels"
