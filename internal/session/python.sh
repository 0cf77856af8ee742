# Which Python would run, and what it lacks. R_ASK: what it is asked.
R_HERE=$(mktemp -d "${TMPDIR:-/tmp}/nbr-look.XXXXXX" 2>/dev/null) || R_HERE=/nonexistent
R_GOT=$(
	nbr_restore
	R_D=$R_AT
	r_enter </dev/null
) 2>/dev/null
rm -rf "$R_HERE"
put python "$R_GOT"
