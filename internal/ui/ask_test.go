//go:build unix

package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"nbremote/test/lab"
)

// The questions are asked in a process of their own that has a pty as its
// controlling terminal; children are what it runs.
var children = map[string]func(*UI){
	"ask":    func(u *UI) { report(u.Ask(context.Background(), "Name: ", true)) },
	"secret": func(u *UI) { report(u.Ask(context.Background(), "Passphrase: ", false)) },
	"cancel": func(u *UI) {
		ctx, cancel := context.WithCancel(context.Background())
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		go func() { <-c; cancel() }()
		report(u.Ask(ctx, "Passphrase: ", false))
		answer, err := u.Ask(context.Background(), "Again: ", true)
		report(answer, err)
	},
	"twice": func(u *UI) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { report(u.Ask(ctx, "First: ", true)); close(done) }()
		for asked.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		second, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer stop()
		report(u.Ask(second, "Second: ", true))
		cancel()
		<-done
	},
	"restore": func(u *UI) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		go func() { <-c; RestoreTerminal(); os.Exit(7) }()
		report(u.Ask(context.Background(), "Passphrase: ", false))
	},
	"choose": func(u *UI) {
		i, err := u.Choose(context.Background(), "Which host?", []Choice{{Name: "gpu1"}, {"\x1b[2J2", "the other\none"}, {Name: "1"}, {Name: "twice"}, {Name: "twice"}})
		report(strconv.Itoa(i), err)
	},
	"failing": func(u *UI) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		go u.Ask(context.Background(), "Passphrase: ", false)
		for asked.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		<-c
		u.Note("held")
		u.Error(errors.New("the line broke"), "")
	},
	"steps": func(u *UI) {
		s := u.Start("gpu1", "signing in to a host with a name that is long")
		time.Sleep(showAfter + 50*time.Millisecond)
		shown := func() bool { u.mu.Lock(); defer u.mu.Unlock(); return s.shown || !u.moves }
		for end := time.Now().Add(10 * time.Second); !shown() && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		report(u.Ask(context.Background(), "Passcode: ", true))
		s.Done("signed in")
		u.Error(errors.New("the end"), "")
	},
	"notty": func(u *UI) {
		fmt.Println(u.CanAsk())
		report(u.Ask(context.Background(), "Name: ", true))
	},
}

func report(answer string, err error) {
	var signal *SignalError
	switch {
	case errors.As(err, &signal):
		fmt.Printf("<signal %v>\n", ExitCode(err))
	case err != nil:
		fmt.Printf("<error %d: %v>\n", ExitCode(err), err)
	default:
		fmt.Printf("<%q>\n", answer)
	}
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv("UI_TEST_CHILD")]; child != nil {
		child(New(Options{NoInput: os.Getenv("UI_TEST_NOINPUT") != ""}))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childCommand(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "UI_TEST_CHILD="+name, "LC_ALL=C.UTF-8", "TERM=xterm",
		"GORACE=atexit_sleep_ms=0")
	return cmd
}

// person sits at a pty.
type person struct {
	*testing.T
	cmd  *exec.Cmd
	term *os.File // the master
	tty  *os.File // the slave, to look at its mode
	done chan error

	before unix.Termios // the mode when the program was started

	mu  sync.Mutex
	out bytes.Buffer
}

func sit(t *testing.T, child string) *person {
	t.Helper()
	return sitAt(t, child, func(*unix.Termios) {})
}

// openPTY gives a pty whose master can be closed while it is read.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	blocking, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Close()
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "master"), slave
}

// sitAt sits at a terminal that a program before has changed.
func sitAt(t *testing.T, child string, change func(*unix.Termios)) *person {
	t.Helper()
	master, slave := openPTY(t)
	p := &person{T: t, tty: slave}
	mode := p.mode()
	change(&mode)
	if err := setTermios(int(slave.Fd()), &mode); err != nil {
		t.Fatal(err)
	}
	return sitHere(t, child, master, slave)
}

func sitHere(t *testing.T, child string, master, slave *os.File, env ...string) *person {
	t.Helper()
	p := &person{T: t, cmd: childCommand(t, child), term: master, tty: slave, done: make(chan error, 1)}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.before = p.mode()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { io.Copy(p, master) }()
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		master.Close()
		slave.Close()
	})
	return p
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *person) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.out.String(), "\r\n", "\n")
}

func (p *person) until(what string, ok func() bool) {
	p.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			p.Fatalf("%s: not in 20 s; seen: %q", what, p.seen())
		}
	}
}

func (p *person) sees(text string) {
	p.Helper()
	p.until("see "+text, func() bool { return strings.Contains(p.seen(), text) })
}

func (p *person) types(text string) {
	p.Helper()
	if _, err := io.WriteString(p.term, text); err != nil {
		p.Fatal(err)
	}
}

func (p *person) mode() unix.Termios {
	p.Helper()
	mode, err := unix.IoctlGetTermios(int(p.tty.Fd()), getTermios)
	if err != nil {
		p.Fatal(err)
	}
	return *mode
}

func (p *person) echo() bool { return p.mode().Lflag&unix.ECHO != 0 }

func (p *person) ends() error {
	p.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(20 * time.Second):
		p.Fatalf("does not end; seen: %q", p.seen())
		return nil
	}
}

func (p *person) signals(s syscall.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

func TestAsk(t *testing.T) {
	p := sit(t, "ask")
	p.sees("  Name: ")
	p.types("jöx\x7f!\n")
	p.sees(`<"jö!">`)
	p.ends()
}

func TestAsk_EchoOff(t *testing.T) {
	p := sit(t, "secret")
	p.sees("Passphrase: ")
	if p.echo() {
		t.Error("echo is on at the prompt")
	}
	p.types("s3cret\n")
	p.sees("Passphrase: \n<\"s3cret\">")
	p.ends()
	if strings.Count(p.seen(), "s3cret") != 1 {
		t.Errorf("shown: %q", p.seen())
	}
	if p.mode() != p.before {
		t.Errorf("mode changed: %+v, was %+v", p.mode(), p.before)
	}
}

// A program before has left the terminal raw: Enter works all the same, and
// raw it is again.
func TestAsk_RawBefore(t *testing.T) {
	p := sitAt(t, "ask", func(mode *unix.Termios) {
		mode.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
		mode.Iflag &^= unix.ICRNL
	})
	p.sees("Name: ")
	p.types("me\r")
	p.sees(`<"me">`)
	p.ends()
	if p.mode() != p.before {
		t.Errorf("mode changed: %+v, was %+v", p.mode(), p.before)
	}
}

func TestL4_CancelRestores(t *testing.T) {
	p := sit(t, "cancel")
	p.sees("Passphrase: ")
	p.types("half a sec")
	p.signals(syscall.SIGUSR1)
	p.sees("<error 130: context canceled>")
	p.sees("Again: ")
	// What was typed of the secret is gone, and nobody waits for what comes.
	p.types("later\n")
	p.sees(`<"later">`)
	p.ends()
	if p.mode() != p.before {
		t.Error("mode changed")
	}
	if strings.Contains(p.seen(), "half") {
		t.Errorf("the secret is shown: %q", p.seen())
	}
}

func TestL4_Signals(t *testing.T) {
	for key, want := range map[string]string{"\x03": "<signal 130>", "\x1c": "<signal 131>"} {
		p := sit(t, "secret")
		p.sees("Passphrase: ")
		p.types("half" + key)
		p.sees(want)
		p.ends()
		if p.mode() != p.before {
			t.Errorf("%q: mode changed", key)
		}
	}
	for s, want := range map[syscall.Signal]string{syscall.SIGTERM: "<signal 143>", syscall.SIGHUP: "<signal 129>"} {
		p := sit(t, "secret")
		p.sees("Passphrase: ")
		p.signals(s)
		p.sees(want)
		p.ends()
		if p.mode() != p.before {
			t.Errorf("%v: mode changed", s)
		}
	}
}

// ^Z gives the shell its terminal as it was; after fg the question is there
// again, without echo.
func TestL4_StopAndGoOn(t *testing.T) {
	p := sit(t, "secret")
	p.sees("Passphrase: ")
	p.signals(syscall.SIGTSTP)
	p.until("stop", func() bool {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			lab.Missing(t, "/proc")
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		return fields[0] == "T"
	})
	if !p.echo() {
		t.Error("echo is off while it is stopped")
	}
	p.signals(syscall.SIGCONT)
	p.until("ask again", func() bool { return strings.Count(p.seen(), "Passphrase: ") == 2 })
	if p.echo() {
		t.Error("echo is on after going on")
	}
	p.types("pw\n")
	p.sees(`<"pw">`)
	p.ends()
}

func TestL4_RestoreTerminal(t *testing.T) {
	RestoreTerminal() // nothing is asked: nothing happens
	p := sit(t, "restore")
	p.sees("Passphrase: ")
	p.signals(syscall.SIGUSR1)
	var exit *exec.ExitError
	if err := p.ends(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Error(err)
	}
	if p.mode() != p.before {
		t.Error("mode changed")
	}
}

// The program ends with an error while a question is open elsewhere in it.
func TestL4_ErrorWhileAsking(t *testing.T) {
	p := sit(t, "failing")
	p.sees("Passphrase: ")
	p.signals(syscall.SIGUSR1)
	p.sees("Passphrase: \n  held\nnbremote: error: the line broke\n")
	p.ends()
	if p.mode() != p.before {
		t.Error("mode changed")
	}
}

// Questions wait for each other, and give up waiting with their ctx.
func TestAsk_OneAtATime(t *testing.T) {
	p := sit(t, "twice")
	p.sees("<error 124: context deadline exceeded>")
	p.sees("<error 130: context canceled>")
	p.ends()
	if strings.Contains(p.seen(), "Second") {
		t.Errorf("asked: %q", p.seen())
	}
}

func TestAsk_EndOfInput(t *testing.T) {
	p := sit(t, "ask")
	p.sees("Name: ")
	p.types("\x04")
	p.sees("<error 2: no answer>")
	p.ends()
}

// The terminal is gone: the question ends.
func TestL4_TerminalGone(t *testing.T) {
	p := sit(t, "secret")
	p.sees("Passphrase: ")
	p.tty.Close()
	p.term.Close()
	p.ends()
}

func TestChoose(t *testing.T) {
	for typed, want := range map[string]string{"gpu1\n": `<"0">`, "2\n": `<"1">`, "1\n": `<"2">`, "9\n\ntwice\n": "<error 2: "} {
		p := sit(t, "choose")
		p.sees("  Which host?\n    1  gpu1\n    2  \\x1b[2J2  the other one\n    3  1\n    4  twice\n    5  twice\n  Number or name [1-5]: ")
		p.types(typed)
		p.sees(want)
		p.ends()
	}
}

// The real thing on a real terminal: a line in progress, a question in its
// middle, an end, and never an escape sequence.
func TestL6_RealTerminal(t *testing.T) {
	for name, c := range map[string]struct{ env, first, last string }{
		"utf-8":  {"LC_ALL=C.UTF-8", "\r  … gpu1 signing in\r                   \r  Passcode: ", "  ✓ gpu1 signed in "},
		"ascii":  {"LC_ALL=C", "\r  . gpu1 signing in\r                   \r  Passcode: ", "  + gpu1 signed in "},
		"dumb":   {"TERM=dumb", "  Passcode: ", "  ✓ gpu1 signed in "},
		"colour": {"CLICOLOR_FORCE=1", "\r  … gpu1 signing in\r                   \r  Passcode: ", "  ✓ gpu1 signed in "},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave := openPTY(t)
			if err := pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
				t.Fatal(err)
			}
			p := sitHere(t, "steps", master, slave, c.env)
			p.sees("Passcode: ")
			p.types("1\n")
			p.sees("nbremote: error: the end\n")
			p.ends()
			seen := p.seen()
			if !strings.HasPrefix(seen, c.first) || !strings.Contains(seen, c.last) {
				t.Errorf("%q", seen)
			}
			if strings.Contains(seen, "\x1b") {
				t.Errorf("an escape sequence: %q", seen)
			}
		})
	}
}

// Without a terminal nobody is asked, and nothing waits.
func TestL6_NoTerminal(t *testing.T) {
	for _, c := range []struct{ noInput, want string }{
		{"", "false\n<error 2: nobody can be asked: there is no terminal>\n"},
		{"1", "false\n<error 2: nobody can be asked: --no-input>\n"},
	} {
		cmd := childCommand(t, "notty")
		cmd.Env = append(cmd.Env, "UI_TEST_NOINPUT="+c.noInput)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%q, %v; want %q", out, err, c.want)
		}
	}
}

// A host that words its question with escape sequences, at length.
func TestD1_Prompt(t *testing.T) {
	u := New(Options{Stderr: io.Discard})
	got := u.prompt(strings.Repeat("\x1b[31m\n", 100000))
	checkSafe(t, got)
	if len(got) > 4*maxPrompt {
		t.Errorf("%d bytes", len(got))
	}
}
