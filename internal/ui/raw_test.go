//go:build unix

package ui

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"nbremote/test/lab"
)

func init() { children["raw"] = rawChild }

// rawChild shows each key and size, up to a q.
func rawChild(*UI) {
	r, err := OpenRaw()
	if err != nil {
		report("", err)
		return
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() { <-c; r.Stop() }()
	sizes := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(sizes)
		for {
			select {
			case <-r.Resized():
				rows, cols := TerminalSize()
				fmt.Fprintf(r, "size %d %d\n", rows, cols)
			case <-done:
				return
			}
		}
	}()
	fmt.Fprint(r, "raw\n")
	b := make([]byte, 100)
	for err == nil {
		var n int
		n, err = r.Read(b)
		fmt.Fprintf(r, "%q\n", b[:n])
		if bytes.IndexByte(b[:n], 'q') >= 0 {
			break
		}
	}
	r.Stop()
	close(done)
	<-sizes
	r.Close()
	if errors.Is(err, os.ErrClosed) {
		err = errors.New("stopped")
	}
	report("end", err)
}

func TestRaw_KeysAndSizes(t *testing.T) {
	p := sit(t, "raw")
	p.sees("raw\n")
	p.types("\x03\x1a\x1c\x13\r")
	p.sees(`"\x03\x1a\x1c\x13\r"`)
	if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 12, Cols: 34}); err != nil {
		t.Fatal(err)
	}
	p.sees("size 12 34\n")
	p.types("q")
	p.sees(`<"end">`)
	if err := p.ends(); err != nil {
		t.Error(err)
	}
	if p.mode() != p.before {
		t.Error("the terminal is not as it was")
	}
}

// However it ends, the terminal is as it was.
func TestRaw_Ends(t *testing.T) {
	for s, says := range map[syscall.Signal]string{
		syscall.SIGQUIT: "<signal 131>", syscall.SIGUSR1: "<error 1: stopped>",
	} {
		p := sit(t, "raw")
		p.sees("raw\n")
		p.signals(s)
		p.sees(says)
		p.ends()
		if p.mode() != p.before {
			t.Errorf("%v: the terminal is not as it was", s)
		}
	}
}

// Stopped, it gives the shell its terminal back; going on it takes it again.
func TestRaw_StopAndGoOn(t *testing.T) {
	p := sit(t, "raw")
	p.sees("raw\n")
	p.signals(syscall.SIGTSTP)
	p.until("stop", func() bool {
		raw, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(p.cmd.Process.Pid)).Output()
		if err != nil {
			lab.Missing(t, "ps")
		}
		return strings.HasPrefix(string(raw), "T")
	})
	if p.mode() != p.before {
		t.Error("the terminal is not as it was while it is stopped")
	}
	p.signals(syscall.SIGCONT)
	p.until("be raw again", func() bool { return p.mode() != p.before })
	p.types("q")
	p.sees(`<"end">`)
	p.ends()
}
