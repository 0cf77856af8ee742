package cli

import (
	"context"
	"errors"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/internal/session"
)

var pythonName = regexp.MustCompile(`^(python|pypy)[0-9.]*$`)

// takeValue are the options of python that the next argument belongs to.
var takeValue = []string{"-W", "-X", "--check-hash-based-pycs"}

// debugged is the command that runs a Python program under debugpy: argv is
// python x.py, python -m x, or x.py.
func debugged(argv []string) ([]string, error) {
	wrong := func() ([]string, error) {
		return nil, usage("run --debug: "+quoted(commandLine(argv))+" is no Python program", "nbremote run --debug HOST -- python train.py, or python -m MODULE")
	}
	python, rest := []string{"python3"}, argv
	if pythonName.MatchString(path.Base(argv[0])) {
		python, rest = argv[:1:1], argv[1:]
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") && !strings.HasPrefix(rest[0], "-m") {
			n := 1
			if slices.Contains(takeValue, rest[0]) {
				n = 2
			}
			if len(rest) <= n || rest[0] == "-" || strings.HasPrefix(rest[0], "-c") {
				return wrong()
			}
			python, rest = append(python, rest[:n]...), rest[n:]
		}
	} else if !strings.HasSuffix(argv[0], ".py") {
		return wrong()
	}
	if len(rest) == 0 || rest[0] == "-m" && len(rest) == 1 {
		return wrong()
	}
	if module, ok := strings.CutPrefix(rest[0], "-m"); ok && module != "" {
		rest = append([]string{"-m", module}, rest[1:]...)
	}
	// Else the debugger does not see all of Python from 3.11 on; others do not mind.
	python = append(python, "-X", "frozen_modules=off", session.OwnProgram)
	return append(python, rest...), nil
}

// runsDebugged makes the wish one under debugpy.
func (c *runCmd) runsDebugged(a *app, line *line, w where, wish *session.Script) error {
	argv, err := debugged(wish.Argv)
	if err != nil {
		return err
	}
	wish.Argv, wish.Own = argv, session.Debug
	return c.needs(a, line, w, wish, "debugpy")
}

// attachable waits until debugpy listens there, has a port here lead to it, and
// says so. nil: it has ended before.
func (c *runCmd) attachable(ctx context.Context, a *app, line *line, w where, name string) (*holder.Tunnel, error) {
	far, err := debugPort(ctx, line, name)
	if err != nil || far == 0 {
		return nil, err
	}
	spec := holder.TunnelSpec{
		Kind: holder.Forward, Network: holder.Elsewhere, Port: far, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(far)),
		Again: "nbremote forward " + shellWord(w.Host) + " " + strconv.Itoa(far), Script: name,
	}
	t, err := line.AddTunnel(ctx, spec)
	if err != nil && ctx.Err() == nil {
		a.ui.Note(err.Error() + "; the debugger gets another port here")
		spec.Port = 0
		t, err = line.AddTunnel(ctx, spec)
	}
	if err != nil {
		return nil, err
	}
	full := w.Host + "/" + name
	a.ui.Note(full + " waits for a debugger at " + t.Local() + ". VS Code: Run > Start Debugging, with what this writes: nbremote ide vscode --debug " + shellWord(w.String()) + " --write")
	a.ui.Ready(full, t.Local(), "")
	return &t, nil
}

// debugPort asks again where a cut ended the question.
func debugPort(ctx context.Context, line *line, name string) (int, error) {
	for {
		port, err := session.DebugPort(ctx, line, name)
		var said *remote.ScriptError
		if err == nil || errors.As(err, &said) || errors.Is(err, holder.ErrNone) || ctx.Err() != nil {
			return port, err
		}
		select {
		case <-time.After(resumeEvery):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// whileWatched is attachable while the script's output is shown. The port goes
// with the script's end, which is seen here first, most often.
func (c *runCmd) whileWatched(a *app, line *line, w where, name string) (end func(over bool)) {
	ctx, cancel := context.WithCancel(a.ctx)
	done := make(chan *holder.Tunnel, 1)
	go func() {
		t, err := c.attachable(ctx, a, line, w, name)
		if err != nil && ctx.Err() == nil {
			a.ui.Note("debug " + w.Host + "/" + name + ": " + err.Error())
		}
		done <- t
	}()
	return func(over bool) {
		cancel()
		if t := <-done; t != nil && over && !t.Reused {
			closing, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), time.Second)
			defer cancel()
			line.RemoveTunnel(closing, *t)
		}
	}
}
