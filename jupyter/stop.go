package jupyter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nbremote/internal/remote"
	"nbremote/internal/session"
)

// Stop ends a session's Jupyter and its kernels: TERM, and KILL after ten
// seconds. One that was started by hand is not ours to end: a *UsageError.
func Stop(ctx context.Context, r remote.Runner, name string) error {
	if err := startedByHand(name); err != nil {
		return err
	}
	return session.Stop(ctx, r, name)
}

func startedByHand(name string) error {
	if before, _, ok := strings.Cut(name, byHand); ok && before != "" {
		return &UsageError{What: "end " + name + ": it was started by hand", Try: "end it where it was started (Ctrl-C there)"}
	}
	return nil
}

const recordText = `session_dir "$J_ENC"
[ -r "$S_DIR/jupyter-token" ] || fail not-found "find the session's Jupyter: none was started" "nbremote ls"
putfile name "$S_DIR/name" 4096
putfile spec "$S_DIR/spec" 65536
putfile token "$S_DIR/jupyter-token" 4096
J_R=
[ ! -r "$S_DIR/jupyter-run" ] || IFS= read -r J_R <"$S_DIR/jupyter-run" || :
! j_runtime_file "$J_R" || put runtime "$J_RUNTIME"
`

// Restart ends a session's Jupyter and starts it as it was started: the same
// socket or, if nobody has taken it meanwhile, the same port; and the same
// token, unless there is a new one.
func Restart(ctx context.Context, r remote.Runner, name string, timeout time.Duration, newToken string) (*Server, error) {
	if err := startedByHand(name); err != nil {
		return nil, err
	}
	wish, port, err := record(ctx, r, name)
	if err != nil {
		return nil, err
	}
	wish.StartTimeout = timeout
	if newToken != "" {
		wish.Token, wish.Renew = newToken, true
	}
	if err := session.Stop(ctx, r, name); err != nil {
		return nil, err
	}
	s, err := start(ctx, r, wish, port)
	if err == nil && newToken != "" && s.Token != newToken {
		return nil, fmt.Errorf("give %s a new token: somebody else started it meanwhile, with the old one; again", name)
	}
	return s, err
}

// record is the wish that a session was started with, and its port.
func record(ctx context.Context, r remote.Runner, name string) (Wish, int, error) {
	out, err := r.Run(ctx, script(recordText, "J_ENC", session.Encode(name)))
	if err != nil {
		return Wish{}, 0, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return Wish{}, 0, fmt.Errorf("read the session's own description: %w", err)
	}
	var kept spec
	w, port := Wish{Session: name}, 0
	for _, f := range fields {
		switch f.Name {
		case "spec":
			err = json.Unmarshal(f.Value, &kept)
		case "token":
			w.Token = string(f.Value)
		case "runtime":
			if s, err := parseRuntime(f.Value); err == nil {
				port = s.Port
			}
		}
	}
	if err != nil || kept.Kind != kindJupyter {
		return Wish{}, 0, fmt.Errorf("read the session's own description: it is none of a Jupyter")
	}
	w.Dir, w.File, w.UI, w.Owner, w.TCP = kept.Dir, kept.File, kept.UI, kept.Owner, kept.TCP
	w.Relay = kept.Relay
	w.Setenv, w.Args, w.Install = kept.Setenv, kept.Args, kept.Install
	w.Install.programs = kept.Program
	return w, port, nil
}

const thereText = `put uid "$(id -u)"
if [ -n "$J_SOCK" ]; then
	[ ! -S "$J_SOCK" ] || put there 1
	[ ! -O "$J_SOCK" ] || put mine 1
else
	j_listeners
fi
`

// SockThere asks the host whether the server's address is there: sshd answers
// the same to a socket that is missing and to one that it may not forward to.
// A socket or a port that is somebody else's is a *StrangerError, which is
// worth asking before the token is sent to a port again.
func SockThere(ctx context.Context, r remote.Runner, s *Server) (bool, error) {
	text := remote.Prelude + remote.Compact(commonText) + "J_SOCK=" + remote.Quote(s.Sock) + "\n" + thereText
	out, err := r.Run(ctx, text)
	if err != nil {
		return false, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return false, fmt.Errorf("read what the host answers: %w", err)
	}
	got := map[string]string{}
	for _, f := range fields {
		got[f.Name] = string(f.Value)
	}
	switch {
	case s.Sock == "":
		return portThere(s, got["tcp"], got["uid"])
	case got["there"] == "":
		return false, nil
	case got["mine"] == "":
		return false, &StrangerError{Where: s.Where(), Reason: "the socket is another user's"}
	}
	return true, nil
}

func portThere(s *Server, listeners, uid string) (bool, error) {
	err := stranger(s, listeners, number(uid))
	if gone, ok := err.(*StrangerError); ok && gone.Reason == nobodyListens {
		return false, nil
	}
	return err == nil, err
}
