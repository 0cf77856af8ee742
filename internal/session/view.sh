# A terminal of its own is shown as it is, and typed to. Its window goes with it.
if [ -f term.py ]; then
	read -r run <run
	python3 -I -S ./term.py "$run/t" log
	exec tmux kill-pane
fi
# Ctrl-C in the window is not for the command.
trap '' INT QUIT TSTP
read -r pid rest <pid
tail --pid="$pid" -n 2000 -F log 2>/dev/null || exec tail -n 2000 -F log
