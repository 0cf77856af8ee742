# What has become of kernelspecs, from files alone: no Python is started.
c_runs() {
	case $1 in
	*/*) [ -f "$1" ] && [ -x "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

c_version() {
	c_v=
	if [ -f "$1/pyvenv.cfg" ]; then
		c_v=$(sed -n 's/^version\(_info\)\{0,1\} *= *\([0-9][0-9.]*\).*/\2/p' "$1/pyvenv.cfg" | head -n 1)
		c_v=${c_v%.}
	fi
	for c_f in "$1"/conda-meta/python-[23].*.json; do
		[ -z "$c_v" ] && [ -f "$c_f" ] || continue
		c_v=${c_f##*/python-}
		c_v=${c_v%%-*}
	done
	for c_f in "$1"/lib/python3.*/; do
		[ -z "$c_v" ] && [ -d "$c_f" ] || continue
		c_v=${c_f%/}
		c_v=${c_v##*/python}
	done
}

# c_i: its version; c_s: there was a folder to look in.
c_packages() {
	c_i= c_s=
	for c_f in "$1"/lib*/python3*/site-packages "$1"/lib*/python3*/dist-packages; do
		[ -d "$c_f" ] || continue
		c_s=1
		c_look "$c_f"
		[ -z "$c_i" ] || return 0
		for c_p in "$c_f"/*.pth; do
			[ -f "$c_p" ] || continue
			while IFS= read -r c_l || [ -n "$c_l" ]; do
				case $c_l in /*) c_look "$c_l" ;; import*) c_s= ;; esac
			done <"$c_p"
		done
		[ -z "$c_i" ] || return 0
	done
}

c_look() {
	for c_g in "$1"/ipykernel-*-info; do
		[ -d "$c_g" ] || [ -f "$c_g" ] || continue
		c_i=${c_g##*/ipykernel-}
		c_i=${c_i%.*-info}
		c_i=${c_i%%-*}
	done
}

# NUMBER ARGV0 INTERPRETER PREFIX PYTHONIC
c_one() {
	put spec "$1"
	c_runs "$2" || put noargv0 "$2"
	[ -n "$3" ] || return 0
	c_runs "$3" || { put nopython "$3"; return 0; }
	[ -n "$4" ] || return 0
	if [ -d "$4/conda-meta" ]; then put kind conda; elif [ -f "$4/pyvenv.cfg" ]; then put kind venv; fi
	c_version "$4"
	put python "$c_v"
	[ -n "$5" ] || return 0
	c_packages "$4"
	put ipykernel "$c_i"
	[ -z "$c_i" ] && [ -n "$c_s" ] || return 0
	# With the system's packages, or without being an environment, it may lie elsewhere.
	if [ -d "$4/conda-meta" ]; then
		put noipykernel 1
	elif [ -f "$4/pyvenv.cfg" ]; then
		grep -qi '^include-system-site-packages *= *true' "$4/pyvenv.cfg" || put noipykernel 1
	fi
}
