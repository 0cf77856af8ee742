# Where what is begun runs, and by which Python.

# r_short PATH: sets R_SHORT, with ~ for the home.
r_short() {
	case $1 in "$HOME") R_SHORT='~' ;; "$HOME"/*) R_SHORT="~${1#"$HOME"}" ;; *) R_SHORT=$1 ;; esac
}

# r_place: sets R_AT, the directory that R_DIR means.
r_place() {
	case $R_DIR in
	'' | '~') R_AT=$HOME ;;
	'~/'*) R_AT=$HOME/${R_DIR#'~/'} ;;
	/*) R_AT=$R_DIR ;;
	*) R_AT=$HOME/$R_DIR ;;
	esac
	r_short "$R_AT"
	[ -d "$R_AT" ] || fail not-found "find the directory $R_SHORT: there is none"
	(cd -- "$R_AT") 2>/dev/null || fail not-found "enter the directory $R_SHORT: not allowed"
}

# r_python: sets R_PY, "" where there is none. A shim would set an environment
# that is not the one asked for.
r_python() {
	R_PY=$(command -v python3)
	case $R_PY in */shims/*)
		if [ -x /usr/bin/python3 ]; then R_PY=/usr/bin/python3; else R_PY=$(python3 -I -S -c 'import sys; print(sys.executable)'); fi
		;;
	esac
}
