package cli

import (
	"fmt"
	"os/user"

	"nbremote/jupyter"
)

// In an account that several people use, a session carries the login name of
// the computer that started it. What is another's is not used, ended or started
// anew unless a person says so.

// owner is the login name on this computer, as sessions carry it.
func owner() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// anothers: somebody else started it. One that was started by hand carries no
// name.
func anothers(s *jupyter.Server) bool { return s.Owner != "" && s.Owner != owner() }

// mayEndAnothers asks before somebody else's session is ended. -y says yes for
// one that was named, and not for whichever HOST happens to mean.
func (a *app) mayEndAnothers(w where, s *jupyter.Server, name string) error {
	if !anothers(s) || a.Yes && w.Session == s.Session {
		return nil
	}
	try := "nbremote stop " + shellWord(name) + " -y, if it is to end"
	if a.Yes {
		return usage(name+" was started by another user ("+s.Owner+"); -y without its name does not end it", try)
	}
	answer, err := a.choose(fmt.Sprintf("%s was started by another user (%s). End it all the same?", name, s.Owner), "y/N")
	if err != nil {
		return unanswered(err, fmt.Sprintf("whether to end %s, which %s started", name, s.Owner), try)
	}
	if answer != "y" {
		return &refused{what: "left " + name + " running"}
	}
	return nil
}
