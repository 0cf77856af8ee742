# Sets P_STATE, P_GROUP and P_START of a process; status 1 when there is none,
# or only a zombie. The command's name in stat may hold blanks, ")" and newlines.
nbr_proc() {
	P_STATE= P_GROUP= P_START= nbr_s=
	if [ -r /proc/self/stat ]; then
		{ while IFS= read -r nbr_l || [ -n "$nbr_l" ]; do nbr_s=$nbr_l; done <"/proc/$1/stat"; } 2>/dev/null
		[ -n "$nbr_s" ] || return 1
		set -- ${nbr_s##*) }
		[ $# -ge 20 ] || return 1
		P_STATE=$1 P_GROUP=$3
		shift 19
		P_START=$1
	else
		nbr_s=$(ps -o stat= -o pgid= -o lstart= -p "$1" 2>/dev/null)
		set -- $nbr_s
		[ $# -ge 6 ] || return 1
		P_STATE=$1 P_GROUP=$2 P_START=$3.$4.$5.$6.${7-}
	fi
	case $P_STATE in Z* | X*) return 1 ;; esac
}

# $$ is the same in a subshell, so it is not enough.
nbr_self() {
	if [ -r /proc/self/stat ]; then read -r P_SELF nbr_l </proc/self/stat; else P_SELF=$(exec sh -c 'echo "$PPID"'); fi
}

proc_ident() { nbr_proc "$1" && P_IDENT="$1 $P_START $NBR_BOOT $NBR_HOST"; }

ident_alive() {
	P_PID=
	set -- ${1-}
	[ $# -eq 4 ] && [ "$3" = "$NBR_BOOT" ] && [ "$4" = "$NBR_HOST" ] || return 1
	case $1 in '' | 0* | 1 | *[!0-9]*) return 1 ;; esac
	nbr_proc "$1" && [ "$P_START" = "$2" ] && P_PID=$1
}

ident_kill() { ident_alive "$2" && kill -s "$1" "$P_PID" 2>/dev/null; }

write_file() {
	nbr_t=$1.$$.tmp
	{ printf %s "$2" >"$nbr_t"; } 2>/dev/null && { [ -z "$2" ] || [ -s "$nbr_t" ]; } && mv -f "$nbr_t" "$1" 2>/dev/null && return
	rm -f "$nbr_t" 2>/dev/null
	return 1
}

# Does the process group have members besides its leader? The leader's own
# children are this question's.
nbr_group_busy() {
	if [ -r /proc/self/stat ]; then
		for nbr_p in /proc/[0-9]*; do
			nbr_p=${nbr_p#/proc/}
			[ "$nbr_p" != "$1" ] && nbr_proc "$nbr_p" && [ "$P_GROUP" = "$1" ] && return
		done
		return 1
	fi
	ps -A -o pgid= -o pid= -o ppid= -o stat= 2>/dev/null | {
		while read -r nbr_g nbr_p nbr_pp nbr_s; do
			case $nbr_s in Z*) continue ;; esac
			[ "$nbr_g" = "$1" ] && [ "$nbr_p" != "$1" ] && [ "$nbr_pp" != "$1" ] && exit 0
		done
		exit 1
	}
}
