// Package session runs named commands on a host so that neither the end of a
// connection nor that of tmux ends them, and tells how they ended. What the
// commands are is for others: they write run.sh and call the functions of Lib.
package session

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"nbremote/internal/remote"
)

// Info is what the host knows about a session.
type Info struct {
	Name    string
	Enc     string // Encode(Name)
	Dir     string // its directory on the host
	Running bool
	PID     int       // of the command; 0 when it does not run
	Started time.Time // by the host's clock; zero: not known
	Ended   time.Time // zero when it runs, or nobody saw its end
	Exit    int       // status, 128+n for signal n; -1: it runs, or was killed with its wrapper, or the machine was
	Signal  string    // that ended it, without SIG, where that is known
	How     string    // what keeps it alive: setsid, perl or nohup, "scope " before it with linger
	Tmux    bool      // a tmux session of the name Enc shows its log
	Spec    []byte    // the file spec
}

// limits of what a host may answer.
const (
	stopTime = 10 // seconds between TERM and KILL
)

func script(body string) string {
	return remote.Prelude + remote.Dirs + Lib + body + "\n"
}

// List tells of every session of this account on that machine, by one script
// that leaves nothing there.
func List(ctx context.Context, r remote.Runner) ([]Info, error) {
	out, err := r.Run(ctx, looking("session_list"))
	if err != nil {
		return nil, fmt.Errorf("list the sessions: %w", err)
	}
	infos, err := parseList(out)
	if err != nil {
		return nil, fmt.Errorf("list the sessions: %w", err)
	}
	return infos, nil
}

// parseList leaves out a directory whose name is not that of its session.
func parseList(b []byte) ([]Info, error) {
	fields, err := remote.ParseFields(b)
	var all []Info
	for _, f := range fields {
		if f.Name == "session" {
			all = append(all, Info{Name: string(f.Value), Exit: -1})
		}
		if len(all) > 0 {
			all[len(all)-1].set(f.Name, f.Value)
		}
	}
	var out []Info
	for _, i := range all {
		if Encode(i.Name) == i.Enc {
			out = append(out, i)
		}
	}
	return out, err
}

func (i *Info) set(name string, value []byte) {
	text := string(bytes.TrimSpace(value))
	number, err := strconv.ParseInt(text, 10, 64)
	known := err == nil && number >= 0
	switch name {
	case "enc":
		i.Enc = text
	case "dir":
		i.Dir = string(value)
	case "running":
		i.Running = text == "1"
	case "pid":
		i.PID = max(0, int(number))
	case "started":
		i.Started = moment(number, known)
	case "ended":
		i.Ended = moment(number, known)
	case "exit":
		if known && number <= 255 {
			i.Exit = int(number)
		}
	case "signal":
		i.Signal = text
	case "how":
		i.How = text
	case "tmux":
		i.Tmux = text == "1"
	case "spec":
		i.Spec = bytes.Clone(value)
	}
}

func moment(seconds int64, known bool) time.Time {
	if !known {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// named fails with class not-found when there is no session of that name.
func named(name string) string {
	return fmt.Sprintf("session_dir %s\n[ -f \"$S_DIR/name\" ] || fail not-found %s \"nbremote ls\"\n",
		Encode(name), remote.Quote("find the session "+strconv.Quote(name)+": there is none"))
}

// Stop ends a session: TERM, 10 s later KILL. One that has ended is no error;
// one that never was is an error of class not-found.
func Stop(ctx context.Context, r remote.Runner, name string) error {
	_, err := r.Run(ctx, script(named(name)+fmt.Sprintf(
		"session_stop %s %d || fail other \"end process $S_PID: it is still there after KILL\"", Encode(name), stopTime)))
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}
