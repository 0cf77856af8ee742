# Ctrl-C in the window is not for the command.
trap '' INT QUIT TSTP
read -r pid rest <pid
tail --pid="$pid" -n 2000 -F log 2>/dev/null || exec tail -n 2000 -F log
