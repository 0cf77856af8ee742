package session

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
)

//go:embed begin.sh
var beginText string

//go:embed place.sh
var placeText string

// Place defines r_place, which sets R_AT to the directory that R_DIR means, and
// r_python, which sets R_PY.
var Place = remote.Compact(placeText)

//go:embed pump.py
var pumpText string

//go:embed tty.py
var ttyText string

//go:embed term.py
var termText string

// Script is a command of the user's, to be run in a session of its own.
type Script struct {
	Names   []string // of the session: the first that is free is taken
	Dir     string   // as it was written: relative to the home; "" = the home
	Argv    []string // bytes, as they are
	Command string   // the same, for people
	Own     string   // a Python program of ours: Argv names it by OwnProgram
	Setenv  []string // KEY=VALUE
	Env     *Env     // nil: that of the project in Dir, if there is one
	Here    []Here
	TTY     bool // at a terminal of its own, and not with two pipes
	Detach  bool // do not follow it
	Owner   string
}

// Env is a Python environment: its Python is the first on PATH.
type Env struct{ Kind, Name, Prefix string }

// Here is an argument that names a file of the computer where it was typed.
type Here struct {
	Path string
	Must bool // it has to be on the host too
	Need bool // it has to be there, and need not be here
}

// OwnProgram stands for the path of Script.Own in Argv; no argument of a user's
// can be it.
const OwnProgram = "\x00"

// Begun is what became of the wish to start one.
type Begun struct {
	Name   string
	Dir    string   // of the session's own files, on the host
	Place  string   // that it runs in, with ~
	Absent []string // of Script.Here
	Kills  bool     // a logout there ends it
	One    bool     // no Python there: stdout and stderr are one
	Python string   // for Terminal
	Run    string   // likewise
	Before *End     // of an earlier run, whose log is kept as log.1
}

func (b *Begun) set(name, value string) {
	switch name {
	case "name":
		b.Name = value
	case "dir":
		b.Dir = value
	case "place":
		b.Place = value
	case "absent":
		b.Absent = append(b.Absent, value)
	case "python":
		b.Python = value
	case "sockets":
		b.Run = value
	case "kills":
		b.Kills = true
	case "one":
		b.One = true
	case "was-exit":
		b.Before = &End{}
		_, err := fmt.Sscan(value, &b.Before.Exit)
		b.Before.Known = err == nil
	case "was-ended":
		var at int64
		if _, err := fmt.Sscan(value, &at); err == nil && b.Before != nil {
			b.Before.Ended = time.Unix(at, 0)
		}
	}
}

// Begin starts a script and follows it, in one stream. A name that is not free
// is a *TakenError, a file that is here alone an *OnlyHereError; both come from
// Next.
func Begin(ctx context.Context, s remote.Streamer, wish Script) (*Watch, error) {
	text, err := wish.script()
	if err != nil {
		return nil, err
	}
	w := &Watch{Name: wish.Names[0], names: wish.Names, apart: true}
	return w, w.open(ctx, s, text)
}

// TakenError is a name that another session has.
type TakenError struct{ Name, Why string }

func (e *TakenError) Error() string { return "the name " + e.Name + " is taken: " + e.Why }

// OnlyHereError is a file that the host does not have.
type OnlyHereError struct{ Path string }

func (e *OnlyHereError) Error() string { return "no " + e.Path + " there, but one here" }

// Class says that something was not found.
func (e *OnlyHereError) Class() string { return "not-found" }

const kindScript = "script"

// ScriptSpec is what a script's session remembers of the wish.
type ScriptSpec struct {
	Kind    string `json:"kind"`
	Command string `json:"command"`
	Dir     string `json:"dir"`
	Owner   string `json:"owner,omitempty"`
}

// ParseScript reads the file spec of a session; false: it is no script's.
func ParseScript(spec []byte) (ScriptSpec, bool) {
	var s ScriptSpec
	ok := json.Unmarshal(spec, &s) == nil && s.Kind == kindScript
	return s, ok
}

const maxCommand = 1000

// File is the file spec of a session: what it shows as Command is cut if it is
// long.
func (s ScriptSpec) File() ([]byte, error) {
	s.Kind, s.Command = kindScript, strings.ToValidUTF8(s.Command[:min(len(s.Command), maxCommand)], "?")
	return json.Marshal(s)
}

func (s *Script) script() (string, error) {
	spec, err := ScriptSpec{Command: s.Command, Dir: s.Dir, Owner: s.Owner}.File()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(remote.Compact(watchText) + Place + remote.Compact(beginText))
	detach, pump, term := "", pumpText, ""
	if s.Detach {
		detach = "1"
	}
	if s.TTY {
		pump, term = pumpText+ttyText, termText
	}
	for _, v := range [][2]string{
		{"R_DIR", s.Dir}, {"R_SPEC", string(spec)}, {"R_TEXT", s.runText()}, {"R_PUMP", pump + "\n\nmain()\n"}, {"R_TERM", term}, {"R_DETACH", detach}, {"R_OWN", s.Own},
	} {
		b.WriteString(v[0] + "=" + remote.Quote(v[1]) + "\n")
	}
	b.WriteString(s.place())
	b.WriteString("r_begin")
	for _, name := range s.Names {
		b.WriteString(" " + Encode(name) + " " + remote.Quote(name))
	}
	return script(b.String()), nil
}

// place has the shell find the directory and the files of Here.
func (s *Script) place() string {
	var b strings.Builder
	b.WriteString("r_place\n")
	for _, h := range s.Here {
		how := "may"
		switch {
		case h.Must:
			how = "must"
		case h.Need:
			how = "need"
		}
		b.WriteString("r_here " + how + " " + remote.Quote(h.Path) + "\n")
	}
	return b.String()
}

// runText is the session's run.sh: the directory, the environment as if it were
// activated, and the command.
func (s *Script) runText() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(remote.Basics + remote.Compact(environ.Activate) + remote.Compact(environ.Login))
	line(`R_HERE=$PWD R_D=$R_AT R_P=$R_PY R_DOOR=`)
	line(`unset R_AT R_PY`)
	if s.TTY {
		line(`IFS= read -r R_DOOR <run`)
		line(`R_DOOR=$R_DOOR/t`)
	}
	b.WriteString(s.enter())
	line(`if env_hooks; then set -- bash -c "$ENV_HOOKS" nbremote "$@"; fi`)
	line(`[ -n "$R_P" ] || exec "$@"`)
	line(`exec "$R_P" -I -S -X utf8 "$R_HERE/pump.py" "$R_HERE" "${LC_CTYPE+1}" "$R_DOOR" "$@"`)
	return b.String()
}

// enter has the shell in the directory R_D, in the environment, and with the
// command as its arguments; a login shell may be asked for PATH, by a file of R_HERE.
func (s *Script) enter() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`cd -- "$R_D" || exit 255`)
	line(`unset OLDPWD`)
	if e := s.Env; e != nil {
		line(`env_activate %s %s %s`, remote.Quote(e.Kind), remote.Quote(e.Name), remote.Quote(e.Prefix))
	} else {
		line(`[ "$R_D" = "$HOME" ] || for R_E in .venv:venv venv:venv env:venv .pixi/envs/default:pixi; do`)
		line(`[ ! -x "$PWD/${R_E%%:*}/bin/python" ] || { env_activate "${R_E##*:}" "${R_E%%:*}" "$PWD/${R_E%%:*}"; break; }`)
		line(`done`)
	}
	line(`export PYTHONUNBUFFERED=1`)
	for _, kv := range s.Setenv {
		key, value, _ := strings.Cut(kv, "=")
		line(`export %s=%s`, key, remote.Quote(value))
	}
	b.WriteString("set --")
	for _, arg := range s.Argv {
		if arg == OwnProgram {
			b.WriteString(` "$R_HERE/own.py"`)
			continue
		}
		b.WriteString(" " + remote.Quote(arg))
	}
	b.WriteString("\n")
	// What a shell at a terminal would find may not be found here.
	line(`case $1 in */*) ;; *) command -v "$1" >/dev/null 2>&1 || ! env_login_path "$R_HERE/path" || PATH=$ENV_PATH ;; esac`)
	line(`rm -f "$R_HERE/path"`)
	return b.String()
}

// Terminal is the command that shows, at a terminal, that of a script which has
// one; Ctrl-\ leaves it running, with the status Left.
func (b *Begun) Terminal() string {
	return "exec " + remote.Quote(b.Python) + " -I -S " + remote.Quote(b.Dir+"/term.py") + " " + remote.Quote(b.Run+"/t") + " " + remote.Quote(b.Dir+"/log") + " 1\n"
}

// Left is what Terminal ends with when the script was left running.
const Left = 91
