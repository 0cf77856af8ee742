NBR_PATH=$PATH NBR_LC=${LC_ALL-} NBR_LC_SET=${LC_ALL+1} NBR_UMASK=$(umask) NBR_T=0 NBR_LOOK=
unset CDPATH TMUX TMUX_PANE
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/homebrew/bin:${HOME-}/.local/bin:${HOME-}/bin
export LC_ALL PATH
umask 077

# ${#2} counts bytes because LC_ALL is C.
put() { printf '%s %s\n%s\n' "$1" "${#2}" "$2"; }

putfile() {
	[ -f "$2" ] && [ -r "$2" ] || return 0
	nbr_n=$(($(wc -c <"$2")))
	[ "$nbr_n" -le "$3" ] || nbr_n=$3
	nbr_part "$1" "$2" 1 "$nbr_n"
}

puttail() {
	[ -f "$2" ] && [ -r "$2" ] || return 0
	nbr_n=$(($(wc -c <"$2"))) nbr_from=1
	[ "$nbr_n" -le "$3" ] || { nbr_from=$((nbr_n - $3 + 1)); nbr_n=$3; }
	nbr_part "$1" "$2" "$nbr_from" "$nbr_n"
}

# The length was said already: a file cut short meanwhile is filled up.
nbr_part() {
	printf '%s %s\n' "$1" "$4"
	[ "$4" -eq 0 ] || { tail -c "+$3" <"$2"; head -c "$4" /dev/zero; } 2>/dev/null | head -c "$4"
	printf '\n'
}

fail() {
	put nbremote.class "$1"
	put nbremote.fail "$2"
	[ -z "${3-}" ] || put nbremote.hint "$3"
	exit 97
}
