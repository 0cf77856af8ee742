# A window for one who attaches: with the prefix key that the user is used to,
# and a line that says how to leave.
command -v tmux >/dev/null 2>&1 || fail missing "there is no tmux"
session_view "$enc" && nbr_window "$enc" || fail missing "tmux does not work there"
prefix=$(tmux show-options -gv prefix </dev/null 2>/dev/null)
case $prefix in C-[a-z] | M-[a-z] | C-M-[a-z] | 'C-\' | C-] | C-Space | 'F'[1-9]) ;; *) prefix=C-b ;; esac
said="Its log. "
[ ! -f "$S_DIR/term.py" ] || said=
key=$prefix
case $key in C-*) key=Ctrl-${key#C-} ;; M-*) key=Alt-${key#M-} ;; esac
nbr_tmux set-option -t "$nbr_id" prefix "$prefix" \; \
	set-option -t "$nbr_id" status on \; set-option -t "$nbr_id" status-left-length 150 \; \
	set-option -t "$nbr_id" status-left " $said$key d leaves: it runs on. $key [ scrolls. " \; \
	set-option -t "$nbr_id" status-right '' \; \
	set-window-option -t "$nbr_id" window-status-format '' \; \
	set-window-option -t "$nbr_id" window-status-current-format '' >/dev/null
# Keys that were kept while the line was down come at once, and are no paste.
nbr_tmux set-option -t "$nbr_id" assume-paste-time 0 >/dev/null
[ ! -f "$S_DIR/term.py" ] || put typed 1
put tmux "$(command -v tmux)"
put sock "$NBR_RUN/tmux.sock"
put id "$nbr_id"
put prefix "$prefix"
