package session

import (
	_ "embed"

	"nbremote/internal/remote"
)

//go:embed ident.sh
var identText string

//go:embed look.sh
var lookText string

//go:embed lib.sh
var libText string

//go:embed wrap.sh
var wrapText string

//go:embed view.sh
var viewText string

// Lib follows remote.Prelude and remote.Dirs in a script and defines these sh
// functions. ENC is Encode(name).
//
//	session_lock ENC SECONDS     take the session's lock on this machine; status 1: not got in time
//	session_unlock               give it back, as the end of the script does
//	session_dir ENC              set S_DIR
//	session_make ENC NAME        make S_DIR; fails when home is full or read-only
//	session_run ENC              set S_RUN, a short directory for sockets, at most 57 bytes
//	session_alive ENC            does it run? sets S_PID and S_STARTED
//	session_begin ENC            run S_DIR/run.sh without making the window; needs the lock
//	session_start ENC            run S_DIR/run.sh; needs the lock and a session that does not run
//	session_ended ENC            did it end? sets S_EXIT and S_ENDED
//	session_view ENC             make the tmux window if it is missing; status 1: no tmux
//	session_stop ENC [SECONDS]   TERM, KILL after 10 s; status 1: it still runs
//	session_forget ENC           remove the directories of one that does not run
//	session_list                 fields of every session of this machine
//	session_kills                does a logout end what is left running?
//	session_each FUNCTION        call FUNCTION ENC for each, with S_DIR set
//	proc_ident PID               set P_IDENT, what tells this process from every other
//	ident_alive IDENT            does that process run? sets P_PID
//	ident_kill SIGNAL IDENT      signal it, if it is still that process
//	write_file PATH TEXT         write atomically
//
// The command's parent, wrap.sh, is the leader of a process session of its
// own and holds the log; the tmux window only shows it. So neither the end of
// tmux nor that of the connection ends a session.
var Lib = look + remote.Compact(libText) +
	printer("nbr_wrap_text", remote.Basics+remote.Compact(identText)+remote.Compact(wrapText)) +
	printer("nbr_view_text", remote.Compact(viewText))

// look is what of Lib a script needs that only looks: short enough to cross the
// line at once.
var look = remote.Compact(identText) + remote.Compact(lookText)

// looking is a script that leaves nothing on the host.
func looking(body string) string { return remote.Prelude + remote.Places + look + body + "\n" }

// printer makes a sh function that prints text; a here-document would need
// room in /tmp.
func printer(name, text string) string {
	return name + "() {\nprintf %s " + remote.Quote(text) + "\n}\n"
}
