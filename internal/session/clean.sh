# What nbremote has left on a machine: told, or with C_DO removed. All of it is
# named from inside our own directory, so that nobody can put another in its way.
c_size() {
	C_KB=$(du -skx -- "$1" 2>/dev/null | { read -r c_n c_x; echo "${c_n:-0}"; })
	C_KB=${C_KB:-0}
}

c_private() { case $(ls -ld -- "$1" 2>/dev/null) in drwx--[-S]---*) nbr_made "$1" ;; *) false ;; esac }

# c_old PATH MINUTES: nothing was done with it for so long.
c_old() { [ -n "$(find "$1" -prune -mmin "+$2" 2>/dev/null)" ]; }

# c_left KIND PATH: something that nobody needs any more.
c_left() {
	c_size "$2"
	if [ -n "$C_DO" ]; then
		rm -rf -- "$2" 2>/dev/null
		[ ! -e "$2" ] && [ ! -h "$2" ] || return 0
	fi
	put left "$1"
	put kb "$C_KB"
}

c_begin() {
	[ -e "$NBR_DATA" ] || [ -h "$NBR_DATA" ] || { put none 1; exit 0; }
	c_data=$NBR_DATA
	c_private "$NBR_DATA" && cd -P -- "$NBR_DATA" 2>/dev/null && [ -O . ] && c_private . || { put strange "$c_data"; exit 0; }
	NBR_DATA=.
	C_MINE=./sessions/$NBR_HOST C_REFS=' '
}

# Every session of this machine, dead or alive; what is no session of ours is named.
c_sessions() {
	[ -e ./sessions ] || [ -h ./sessions ] || return 0
	nbr_made ./sessions || { put strange "$c_data/sessions"; return 0; }
	for c_d in ./sessions/*; do
		[ "${c_d##*/}" != "$NBR_HOST" ] || continue
		c_elsewhere "$c_d"
	done
	[ -e "$C_MINE" ] || [ -h "$C_MINE" ] || return 0
	nbr_made "$C_MINE" || { put strange "$c_data/sessions/$NBR_HOST"; return 0; }
	for c_d in "$C_MINE"/* "$C_MINE"/.[!.]*; do
		[ -e "$c_d" ] || [ -h "$c_d" ] || continue
		c_session "$c_d" "${c_d##*/}"
	done
}

c_session() {
	case $2 in
	[!a-z0-9]* | *[!a-z0-9-]*) put strange "$c_data/${1#./}"; return 0 ;;
	esac
	nbr_made "$1" || { put strange "$c_data/${1#./}"; return 0; }
	! nbr_read "$1/run" || C_REFS="$C_REFS$nbr_v "
	if [ ! -f "$1/name" ]; then
		! c_old "$1" 60 || c_left half "$1"
		return 0
	fi
	[ -z "$C_DO" ] || return 0
	c_live=
	! session_alive "$2" || c_live=1
	c_size "$1"
	putfile session "$1/name" 4096
	put enc "$2"
	put running "$c_live"
	put kb "$C_KB"
	for c_f in started ended exit; do ! nbr_read "$1/$c_f" || put "$c_f" "$nbr_v"; done
	putfile spec "$1/spec" 65536
}

# Whether sessions of another machine live is known there alone.
c_elsewhere() {
	nbr_made "$1" || { [ ! -e "$1" ] && [ ! -h "$1" ] || put strange "$c_data/${1#./}"; return 0; }
	c_size "$1"
	put other "${1##*/}"
	put kb "$C_KB"
	for c_e in "$1"/*/name; do
		[ ! -f "$c_e" ] || [ -f "${c_e%/name}/ended" ] || { put perhaps 1; break; }
	done
}

# A start writes to what is locked here. Where there is no place for a lock,
# there is none for a start either.
c_forget() {
	session_dir "$1"
	nbr_made "$S_DIR" || return 0
	c_size "$S_DIR"
	if [ -n "$NBR_RUN" ]; then session_lock "$1" 2 || return 0; fi
	if session_forget "$1" && [ ! -e "$S_DIR" ]; then
		put gone "$1"
		put kb "$C_KB"
		[ -z "$NBR_RUN" ] || rm -f "$nbr_lock"
	fi
	[ -z "$NBR_RUN" ] || session_unlock
}

# Is that a directory for sockets as we make them?
c_place() {
	case $1 in
	"/run/user/$NBR_UID/nbremote" | /dev/shm/nbr.???????? | /tmp/nbr.???????? | "$HOME/.cache"/nbr.????????) ;;
	*) return 1 ;;
	esac
	case ${1##*/} in nbremote | nbr.????????) [ "$1" != "$NBR_RUN" ] && c_private "$1" ;; *) false ;; esac
}

# Records of earlier boots, and where those have left something. Machines that
# have no number of their own cannot be told apart.
c_records() {
	nbr_made ./run || return 0
	C_PLACES=$(cat ./run/* 2>/dev/null | tr -d '\000')
	for c_r in ./run/.new.*; do
		[ -f "$c_r" ] && [ ! -h "$c_r" ] && c_old "$c_r" 60 && c_left record "$c_r"
	done
	c_r=${NBR_HOST##*-}
	[ "$NBR_BOOT" != 0 ] && [ "${#c_r}" -eq 8 ] || return 0
	for c_r in "./run/$NBR_HOST".*.*; do
		[ -f "$c_r" ] && [ ! -h "$c_r" ] || continue
		case $c_r in "./run/$NBR_HOST.$NBR_BOOT".*) continue ;; esac
		c_p=$(head -c 200 <"$c_r" | tr -d '\000')
		! c_place "$c_p" || c_left place "$c_p"
		c_left record "$c_r"
	done
}

# What was made for a session, or to look around, by who was killed meanwhile.
c_abandoned() {
	[ -z "$NBR_RUN" ] || for c_d in "$NBR_RUN"/s??????; do
		nbr_made "$c_d" && c_old "$c_d" 60 || continue
		case $C_REFS in *" $c_d "*) ;; *) c_left place "$c_d" ;; esac
	done
	for c_d in /dev/shm/nbr-look.?????? /tmp/nbr-look.??????; do
		c_private "$c_d" && c_old "$c_d" 1440 && c_left place "$c_d"
	done
	for c_d in /dev/shm/nbr.???????? /tmp/nbr.???????? "$HOME/.cache"/nbr.????????; do
		c_place "$c_d" && c_old "$c_d" 1440 && [ -z "$(ls -A "$c_d")" ] || continue
		case $C_PLACES in *"$c_d"*) ;; *) c_left place "$c_d" ;; esac
	done
	nbr_made ./spool || return 0
	for c_f in ./spool/* ./spool/.nfs*; do
		# A relay keeps what waits for seven days.
		[ -f "$c_f" ] && [ ! -h "$c_f" ] && c_old "$c_f" 11520 && c_left spool "$c_f"
	done
	return 0
}

# Sets C_PY to the Python that a relay runs by, else the one on PATH: where there
# is none, a relay runs by that of an environment. It and whoever starts one are
# in its directory.
c_python() {
	for c_p in /proc/[0-9]*; do
		[ -O "$c_p" ] && [ "$c_p/cwd" -ef "$NBR_RUN/link" ] && C_PY=$(readlink "$c_p/exe" 2>/dev/null) || continue
		case ${C_PY##*/} in python*) return ;; esac
	done
	C_PY=$(command -v python3)
}

# What dead relays left, where no Python can look: nobody is in the directory.
c_dead_relays() {
	[ -e /proc/self/cwd ] || return 0
	for c_f in "$NBR_RUN"/link/relay-????????????.py; do
		[ -f "$c_f" ] && [ ! -h "$c_f" ] || continue
		[ -z "$C_DO" ] || rm -f -- "${c_f%py}sock" "${c_f%py}log"
		c_left relay "$c_f"
	done
}

c_relays() {
	[ -n "$NBR_RUN" ] && c_private "$NBR_RUN/link" || return 0
	c_python || { c_dead_relays; return; }
	"$C_PY" -I -S -c "$C_RELAYS" "$NBR_RUN/link" "$C_DO" 2>/dev/null | while read -r c_w c_n; do
		case $c_w in
		live) put relay "$c_n" ;;
		dead) put left relay && put kb "$c_n" ;;
		esac
	done
}

# The directories themselves, where nothing is in them any more. Other machines
# of the same home have records of their own.
c_leave() {
	if [ -n "$NBR_RUN" ]; then
		nbr_leave
	else
		rmdir "$C_MINE" ./sessions 2>/dev/null
		[ ! -d ./run ] || rmdir ./run 2>/dev/null
		[ -d ./run ] || [ ! -d ./spool ] || rmdir ./spool 2>/dev/null
	fi
	cd / && rmdir "$c_data" 2>/dev/null
	return 0
}

c_look() {
	c_begin
	c_sessions
	c_records
	c_abandoned
	c_relays
}

# c_remove ENC…: these sessions, and what is left of all that is over.
c_remove() {
	c_begin
	[ -z "$NBR_RUN" ] && (nbr_recorded) >/dev/null 2>&1 && nbr_looked
	[ -z "$NBR_RUN" ] || nbr_recorded
	for c_enc in "$@"; do c_forget "$c_enc"; done
	c_sessions
	c_records
	c_abandoned
	c_relays
	c_leave
}
