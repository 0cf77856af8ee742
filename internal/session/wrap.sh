# Runs run.sh and writes down how it ended. It leads a process session of its
# own; its directory is that of the session. Whoever starts it waits for a line.
trap '' HUP
# Caught, not ignored: what is ignored stays so in the command.
trap nbr_asked=1 INT QUIT TERM
nbr_asked= NBR_T=0
umask 077
set -C
{ true >log; } 2>/dev/null || { echo "cannot make its log"; exit 1; }
set +C
proc_ident $$ && write_file pid "$P_IDENT" || { echo "cannot write to its directory"; exit 1; }
exec 8>&- 9>&-
write_file started "$(date +%s)"
(
	nbr_self
	proc_ident "$P_SELF" && write_file child "$P_IDENT" || { echo "cannot write to its directory"; exit 1; }
	echo ok
	exec </dev/null >>log 2>&1
	nbr_restore
	exec /bin/sh ./run.sh
)
nbr_status=$?
write_file ended "$(date +%s)"
write_file exit "$nbr_status"
# Asked to end: what the command left behind has as long as the one who asks
# allows, and until then the group's number is surely ours.
while [ -n "$nbr_asked" ] && nbr_group_busy $$; do nap; done
