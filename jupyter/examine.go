package jupyter

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed examine.sh
var examineText string

//go:embed examine.py
var examinePython string

// Examined is a host as it is when something is wrong with it.
type Examined struct {
	*Host
	Now         time.Time // its clock when it was asked
	Packages    string    // what installs programs there: apt-get, dnf, …; "" = not known
	TmuxVersion string    // "tmux 3.3a"
	KillUser    string    // KillUserProcesses of logind: yes, no, "" = no logind

	Place     string   // for sockets and locks, "" = there is none
	PlaceType string   // its file system: tmpfs, nfs, …
	NoPlace   []string // those that will not do, each with why

	Said        string        // what the login shell prints before a command of ours
	ShellSilent bool          // it did not run a command, in ShellTook if that is known
	ShellTook   time.Duration // until it ran one; 0 = not known
	BareTook    time.Duration // a bare sh at the same time; 0 = not known, or less than measured

	RelayPython   string // of an environment, where there is no python3 that will do; "" = it is python3, or there is none
	PythonVersion string // of that one, "" = it did not say
	PythonSaid    string // what it said instead
	Relay         bool   // the relay can run on it

	Write  string // "ok", or why nothing can be written in the home: ENOSPC, …; "" = not known
	Inodes int    // of the home's file system, used, in per cent; -1 = not known
	Cards  bool   // there are devices of NVIDIA
	SMI    string // what nvidia-smi -L prints; "" = there is none
}

const shellMark = "nbr-shell-answers\n"

// Examine looks at a host and changes nothing of it: what is needed in between
// is in a temporary directory that is gone at the end.
func Examine(ctx context.Context, r remote.Runner) (*Examined, error) {
	text := remote.Prelude + remote.Places + session.Lib + remote.Compact(commonText) +
		"J_PATH= J_ENV= E_CHECK=" + remote.Quote(examinePython) + "\n" + environ.Python3 +
		remote.Compact(examineText+environ.Python) + probeLib + remote.Compact(machineText) + "e_begin\n" + remote.Compact(byHandText+probeText) + "e_end\n"
	out, err := r.Run(ctx, text)
	if err != nil {
		return nil, err
	}
	host, err := parseProbe(out)
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("read what the host answers: %w", err)
	}
	e := &Examined{Host: host, Inodes: -1}
	done := false
	for _, f := range fields {
		e.field(f.Name, string(f.Value))
		done = done || f.Name == "examined"
	}
	if !done {
		return nil, errBrokeOff
	}
	return e, nil
}

func (e *Examined) field(name, value string) {
	switch name {
	case "now":
		e.Now = epoch(value)
	case "packages":
		e.Packages = value
	case "tmux-version":
		e.TmuxVersion = value
	case "kill-user":
		e.KillUser = strings.TrimSpace(value)
	case "place":
		e.Place = value
	case "place-type":
		e.PlaceType = value
	case "no-place":
		e.NoPlace = append(e.NoPlace, value)
	case "shell-silent":
		e.ShellSilent, e.ShellTook = true, hundredths(value)
	case "shell-took":
		e.ShellTook = max(e.ShellTook, hundredths(value))
	case "bare-took":
		e.BareTook = hundredths(value)
	case "shell-said":
		e.Said, _, _ = strings.Cut(value, shellMark)
	case "relay-python":
		e.python(value)
	case "not-writable":
		e.Write = "EACCES"
	case "inodes":
		e.Inodes = usedInodes(value)
	case "card":
		e.Cards = true
	case "smi":
		e.SMI = value
	}
}

func hundredths(text string) time.Duration {
	n, _ := strconv.Atoi(text)
	return time.Duration(min(max(n, 0), 100000)) * 10 * time.Millisecond
}

// python reads what examine.py printed, or what came instead.
func (e *Examined) python(said string) {
	for line := range strings.Lines(said) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "at":
			e.RelayPython = rest
		case "version":
			e.PythonVersion = rest
		case "relay":
			e.Relay = true
		case "write":
			e.Write = rest
		default:
			e.PythonSaid += line
		}
	}
}

// usedInodes reads df -Pi.
func usedInodes(df string) int {
	lines := strings.Split(strings.TrimSpace(df), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	for _, f := range fields {
		if percent, ok := strings.CutSuffix(f, "%"); ok {
			if n, err := strconv.Atoi(percent); err == nil {
				return n
			}
		}
	}
	return -1
}
