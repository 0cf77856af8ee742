# The JupyterLab that nbremote installed in the home, and whether it is in use.
# The argument of grep is on its stdin: else it would find itself.
j_used() {
	J_REAL=$(cd -P -- "$J_V" 2>/dev/null && pwd -P)
	if [ -r /proc/self/cmdline ]; then
		printf '%s/\n%s/\n' "$J_V" "${J_REAL:-$J_V}" | grep -lsFf - /proc/[0-9]*/cmdline 2>/dev/null | head -n 1
	else
		ps -A -o args= 2>/dev/null | J_V=$J_V awk 'index($0, ENVIRON["J_V"] "/")' | head -n 1
	fi
}

J_V=$NBR_DATA/jupyter
[ -e "$J_V" ] || [ -h "$J_V" ] || exit 0
case $(ls -ld -- "$NBR_DATA") in drwx--[-S]---*) ;; *) put strange "$NBR_DATA"; exit 0 ;; esac
nbr_made "$NBR_DATA" && nbr_made "$J_V" || { put strange "$J_V"; exit 0; }
J_KB=$(du -skx -- "$J_V" 2>/dev/null | { read -r j_n j_x; echo "$j_n"; })
put kb "$J_KB"
[ ! -e "$J_V/.complete" ] || put whole 1
[ -z "$(j_used)" ] || put used 1
for J_S in "$NBR_DATA"/sessions/*; do
	[ "${J_S##*/}" != "$NBR_HOST" ] && [ -d "$J_S" ] || continue
	for J_F in "$J_S"/*/name; do
		[ ! -f "$J_F" ] || [ -f "${J_F%/name}/ended" ] || { put elsewhere "${J_S##*/}"; break; }
	done
done
[ -n "$J_REMOVE" ] || exit 0
[ -z "$(j_used)" ] || exit 0
if [ -n "$NBR_RUN" ]; then
	session_lock z-install 0 || { put used 1; exit 0; }
fi
cd -P -- "$NBR_DATA" && [ -O . ] && nbr_made ./jupyter || exit 0
rm -f ./jupyter/.complete # what lacks it is taken for nothing
rm -rf ./jupyter
[ -e ./jupyter ] || put removed 1
[ -z "$NBR_RUN" ] || rm -f "$nbr_lock"
cd / && rmdir "$NBR_DATA" 2>/dev/null
:
