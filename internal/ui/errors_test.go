package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

type classed struct{ text, class, cause, hint string }

func (c *classed) Error() string { return c.text }
func (c *classed) Class() string { return c.class }
func (c *classed) Cause() string { return c.cause }
func (c *classed) Hint() string  { return c.hint }

func TestExitCode(t *testing.T) {
	stdout := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{&classed{class: "usage"}, 2},
		{&classed{class: "not-found"}, 3},
		{&classed{class: "sign-in"}, 4},
		{&classed{class: "connect"}, 5},
		{&classed{class: "host-key"}, 6},
		{&classed{class: "missing"}, 7},
		{&classed{class: "start"}, 8},
		{&classed{class: "line"}, 9},
		{&classed{class: "refused"}, 1},
		{&classed{class: "other"}, 1},
		{&classed{class: "timeout"}, 124},
		{&classed{class: "unheard of"}, 1},
		{fmt.Errorf("connect: %w", &classed{class: "connect"}), 5},
		{errors.Join(errors.New("x"), &classed{class: "missing"}), 7},
		{fmt.Errorf("outer: %w", &hollow{&classed{class: "start"}}), 8},
		{&SignalError{syscall.SIGHUP}, 129},
		{&SignalError{os.Interrupt}, 130},
		{&SignalError{syscall.SIGQUIT}, 131},
		{&SignalError{syscall.SIGPIPE}, 141},
		{&SignalError{syscall.SIGTERM}, 143},
		{fmt.Errorf("open: %w", &SignalError{syscall.SIGTERM}), 143},
		{fmt.Errorf("open: %w", context.Canceled), 130},
		{context.DeadlineExceeded, 124},
		{fmt.Errorf("print: %w", stdout), 141},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, 1},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

// hollow has no class of its own and wraps an error that has one.
type hollow struct{ inner error }

func (h *hollow) Error() string { return "hollow" }
func (h *hollow) Class() string { return "" }
func (h *hollow) Unwrap() error { return h.inner }

func TestError(t *testing.T) {
	for _, c := range []struct {
		err  error
		log  string
		want string
	}{
		{
			fmt.Errorf("sign in to gpu1 as me: %w", &classed{text: "refused", class: "sign-in", cause: "offered id_ed25519, id_rsa", hint: "ssh-copy-id gpu1"}), "/s/log",
			"nbremote: error: sign in to gpu1 as me: refused\n  cause: offered id_ed25519, id_rsa\n  try:   ssh-copy-id gpu1\n  log: /s/log\n",
		},
		{errors.Join(errors.New("a"), errors.New("b")), "", "nbremote: error: a; b\n"},
		{&classed{text: "start: No module", cause: "No module"}, "", "nbremote: error: start: No module\n"},
		{&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, "", ""},
		{nil, "", ""},
		{&SignalError{os.Interrupt}, "", "nbremote: error: interrupted\n"},
	} {
		var out bytes.Buffer
		New(Options{Stderr: &out}).Error(c.err, c.log)
		same(t, out.String(), c.want)
	}
}

func TestError_JSON(t *testing.T) {
	var out bytes.Buffer
	u := New(Options{Stderr: &out, JSON: true})
	u.Error(fmt.Errorf("a: %w", &classed{text: "b", class: "line", cause: "c", hint: "d"}), "l")
	u.Error(errors.New(strings.Repeat("x", 5000)), "")
	lines := strings.Split(out.String(), "\n")
	same(t, lines[0], `{"event":"error","error":"a: b","class":"line","exit":9,"cause":"c","hint":"d","log":"l"}`)
	if len(lines[1]) > maxLine+100 || !strings.Contains(lines[1], `"class":"other","exit":1`) {
		t.Errorf("%d bytes: …%s", len(lines[1]), lines[1][4000:])
	}
}
