nbr_made() { [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ]; }

own_dir() {
	nbr_made "$1" || nbr_err=$(mkdir -m 700 -- "$1" 2>&1) || nbr_made "$1" || return 1
	nbr_closed "$1" || { chmod 700 "$1" 2>/dev/null; nbr_closed "$1"; }
}

# S: a directory in a set-group-ID one inherits the bit.
nbr_closed() { case $(ls -ld -- "$1" 2>/dev/null) in drwx--[-S]---*) nbr_made "$1" ;; *) false ;; esac; }

nbr_cannot() {
	case $2 in
	*"No space left"*) nbr_why="home is full" ;;
	*uota*) nbr_why="home is over its quota" ;;
	*"Read-only"*) nbr_why="home is read-only" ;;
	*"File exists"*) nbr_why="it is not a directory of this account alone" ;;
	*": "*) nbr_why=${2##*: } ;;
	*) nbr_why="it is not a directory of this account alone" ;;
	esac
	fail missing "write in $1: $nbr_why" "df -h ~; ls -ld ~ $1"
}

nbr_need() { own_dir "$1" || nbr_cannot "$1" "$nbr_err"; }

nbr_fits() {
	[ "${#1}" -le 46 ] && own_dir "$1" && { true >"$1/.w"; } 2>/dev/null && rm -f "$1/.w"
}

# The first place that fits. Only what lies in a directory of ours has a fixed
# name: anybody may make names in /dev/shm and /tmp.
nbr_place() {
	NBR_RUN=/run/user/$NBR_UID/nbremote
	[ -n "$NBR_LINGER" ] && nbr_made "/run/user/$NBR_UID" && nbr_fits "$NBR_RUN" && return
	for nbr_d in /dev/shm /tmp "$HOME/.cache"; do
		[ -d "$nbr_d" ] || [ "$nbr_d" != "$HOME/.cache" ] || mkdir -p "$nbr_d" 2>/dev/null
		NBR_RUN=$(mktemp -d "$nbr_d/nbr.XXXXXXXX" 2>/dev/null) || continue
		nbr_fits "$NBR_RUN" && return
		rmdir "$NBR_RUN" 2>/dev/null
	done
	fail missing "make a directory for sockets: none of /dev/shm, /tmp and ~/.cache will do" "df -h /dev/shm /tmp ~"
}

# Everybody uses the place in the last record. A record is linked into its
# name, so of many who start at once one makes it; a place that is gone makes
# the next number, so nobody ever replaces a record.
nbr_recorded() {
	nbr_i=1
	while :; do
		nbr_r=$NBR_DATA/run/$NBR_HOST.$NBR_BOOT.$nbr_i
		NBR_RUN=$(cat "$nbr_r" 2>/dev/null)
		if [ -z "$NBR_RUN" ]; then
			nbr_record || nbr_cannot "$NBR_DATA/run" "$nbr_err"
		elif nbr_made "$NBR_RUN" && own_dir "$NBR_RUN"; then
			return
		else
			nbr_i=$((nbr_i + 1))
		fi
	done
}

nbr_record() {
	nbr_place
	nbr_t=$NBR_DATA/run/.new.${NBR_RUN##*/}.$$
	# cat, because the shell itself does not say why it cannot write. Once more,
	# because whoever forgets the last session removes what is empty.
	for nbr_d in 1 2 3; do
		nbr_err=$( (printf %s "$NBR_RUN" | cat >"$nbr_t") 2>&1) && break
		own_dir "$NBR_DATA" && own_dir "$NBR_DATA/run"
	done
	[ ! -s "$nbr_t" ] || nbr_err=$(ln "$nbr_t" "$nbr_r" 2>&1) || [ -e "$nbr_r" ] || nbr_err=$(mv "$nbr_t" "$nbr_r" 2>&1)
	rm -f "$nbr_t"
	nbr_is_recorded || rmdir "$NBR_RUN" 2>/dev/null
	[ -f "$nbr_r" ] && [ -r "$nbr_r" ] && [ -s "$nbr_r" ]
}

# For who only looks: the place in the last record, if it is still there.
nbr_looked() {
	NBR_RUN= nbr_i=1
	while :; do
		nbr_t=$NBR_DATA/run/$NBR_HOST.$NBR_BOOT.$nbr_i nbr_r=
		[ ! -r "$nbr_t" ] || IFS= read -r nbr_r <"$nbr_t" || :
		[ -n "$nbr_r" ] || return 0
		! nbr_made "$nbr_r" || NBR_RUN=$nbr_r
		nbr_i=$((nbr_i + 1))
	done
}

nbr_is_recorded() { [ "$(cat "$nbr_r" 2>/dev/null)" = "$NBR_RUN" ]; }

[ -n "${HOME-}" ] && [ -d "$HOME" ] || fail missing "find the home directory: ${HOME:-HOME is not set} does not exist"
# What the shell itself can read costs no process.
NBR_UID= NBR_LINGER= NBR_BOOT= nbr_id= nbr_err= nbr_h=
[ ! -r /proc/self/status ] || while read -r nbr_d nbr_i nbr_t nbr_r; do
	case $nbr_d in Uid:) NBR_UID=$nbr_t && break ;; esac
done </proc/self/status
case $NBR_UID in '' | *[!0-9]*) NBR_UID=$(id -u) ;; esac
[ ! -d /var/lib/systemd/linger ] || [ ! -e "/var/lib/systemd/linger/$(id -un)" ] || NBR_LINGER=1
for nbr_d in /etc/machine-id /var/lib/dbus/machine-id; do
	[ ! -r "$nbr_d" ] || read -r nbr_id <"$nbr_d" || [ -z "$nbr_id" ] || break
done
[ ! -r /proc/sys/kernel/hostname ] || read -r nbr_h </proc/sys/kernel/hostname
[ -n "$nbr_h" ] || nbr_h=$(uname -n)
case $nbr_h in *[!A-Za-z0-9.-]*) nbr_h=$(echo "$nbr_h" | tr -c 'A-Za-z0-9.\n-' _) ;; esac
# sshd says at which of its ports it was reached.
NBR_NODE=${SSH_CONNECTION-}
NBR_NODE=${NBR_NODE##* }
case $NBR_NODE in '' | *[!0-9]*) NBR_NODE=22 ;; esac
NBR_NODE=$nbr_h:$NBR_NODE
nbr_h=${nbr_h%%.*}-$nbr_id
case $nbr_id in ????????*) NBR_HOST=${nbr_h%"${nbr_id#????????}"} ;; *) NBR_HOST=${nbr_h}0 ;; esac
if [ -r /proc/sys/kernel/random/boot_id ]; then
	read -r NBR_BOOT </proc/sys/kernel/random/boot_id
else
	NBR_BOOT=$(sysctl -n kern.bootsessionuuid 2>/dev/null)
fi
[ -n "$NBR_BOOT" ] || NBR_BOOT=0

NBR_DATA=$HOME/.local/share/nbremote
if [ -n "${NBR_LOOK-}" ]; then
	nbr_looked
else
	nbr_made "$NBR_DATA" || nbr_err=$(mkdir -p "$HOME/.local/share" 2>&1) || nbr_cannot "$HOME/.local/share" "$nbr_err"
	nbr_need "$NBR_DATA"
	nbr_need "$NBR_DATA/run"
	nbr_recorded
fi
