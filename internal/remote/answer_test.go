//go:build unix

package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

const nonce = "00112233445566778899aabbccddeeff"

func answer(text string) (Answer, error) {
	return ReadAnswer(bufio.NewReaderSize(strings.NewReader(text), 16), nonce)
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct{ in, out, noise string }{
		{"begin " + nonce + "\nend " + nonce + " 0\n", "", ""},
		{"begin " + nonce + "\nhello\nend " + nonce + " 0\n", "hello\n", ""},
		{"motd\n\x1b[2Jbegin " + nonce + "\n\x00\xff\nend " + nonce + " 0\n", "\x00\xff\n", "motd\n\x1b[2J"},
		{"begin " + nonce + "\nend " + nonce + " x0end " + nonce + " 0\n", "end " + nonce + " x0", ""},
		{"begin " + nonce + "\nend " + nonce + " 999\nend " + nonce + " 0\n", "end " + nonce + " 999\n", ""},
		{"begin " + nonce + "\nend end " + nonce + " 0\n", "end ", ""},
	} {
		a, err := answer(c.in)
		if err != nil || string(a.Stdout) != c.out || string(a.Noise) != c.noise || a.Exit != 0 {
			t.Errorf("%q: %+v, %v", c.in, a, err)
		}
	}
	a, err := answer("begin " + nonce + "\nend " + nonce + " 97\nend of the next")
	if err != nil || a.Exit != 97 || a.Err() == nil {
		t.Errorf("exit: %+v, %v", a, err)
	}
}

func TestD4_FakeFrame(t *testing.T) {
	other := "ffeeddccbbaa99887766554433221100"
	fake := "begin " + other + "\nlies\nend " + other + " 0\n" + "end " + nonce + " 0\nbegin " + nonce + " \n"
	a, err := answer(fake + "begin " + nonce + "\n" + fake[:100] + "truth\nend " + nonce + " 3\n")
	if err != nil || string(a.Stdout) != fake[:100]+"truth\n" || a.Exit != 3 || string(a.Noise) != fake {
		t.Errorf("%+v, %v", a, err)
	}
	// An earlier frame, all of it, printed by a real shell before ours.
	old := NewNonce()
	var r = Local{Env: []string{"ENV=", "PATH=/usr/bin:/bin"}}
	out, err := r.Run(context.Background(), "printf 'begin %s\\nold\\nend %s 0\\n' "+old+" "+old+"; echo new")
	if err != nil || !strings.HasSuffix(string(out), "new\n") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNoAnswer_ShowsFiveLines(t *testing.T) {
	_, err := answer("This account is currently not available.\n\n2\n3\n4\n5\n6\n")
	var none *NoAnswerError
	if !errors.As(err, &none) || none.Class() != "missing" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%T %v", err, err)
	}
	if want := "the login shell said instead: This account is currently not available. / 2 / 3 / 4 / 5"; none.Cause() != want {
		t.Errorf("Cause = %q", none.Cause())
	}
	if _, err := answer("begin " + nonce + "\nhalf"); !errors.As(err, &none) || none.Class() != "line" {
		t.Errorf("cut off: %v", err)
	}
}

// forever repeats text, and counts what was read of it.
type forever struct {
	text string
	read int
}

func (f *forever) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], f.text[(f.read+n)%len(f.text):])
	}
	f.read += n
	return n, nil
}

func TestD2_EndlessOutput(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, start := range []string{"", "begin " + nonce + "\n"} {
		for _, text := range []string{"y\n", "yyyy", "end " + nonce + " 999\n"} {
			endless := &forever{text: text}
			_, err := ReadAnswer(bufio.NewReader(io.MultiReader(strings.NewReader(start), endless)), nonce)
			if err == nil || endless.read > 4<<20 {
				t.Errorf("%q after %q: %v after %d bytes", text, start, err, endless.read)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes were taken", grown)
	}
	noise := strings.Repeat("x", 200<<10)
	a, err := answer(noise + "\nbegin " + nonce + "\nend " + nonce + " 0\n")
	if err != nil || len(a.Noise) != maxNoise {
		t.Errorf("%d bytes of noise kept, %v", len(a.Noise), err)
	}
	for _, shell := range []string{"yes", "exec cat /dev/zero"} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		_, err := (Local{}).Run(ctx, shell)
		cancel()
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v", shell, err)
		}
	}
}

// One shell answers many scripts, whatever each of them does.
func TestFrame_ShellStaysUsable(t *testing.T) {
	for _, shell := range shells(t) {
		cmd := exec.Command(shell[0], append(shell[1:], "-s")...)
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(stdout)
		for i, c := range []struct {
			body, out string
			exit      int
		}{
			{"echo one", "one\n", 0},
			{"exit 3", "", 3},
			{"cat; printf x", "x", 0},
			{"set -eu; X=1; cd /; false; echo no", "", 1},
			{"echo \"[$PWD|${X-}]\" | grep -c '^./|'; printf '\\000\\n'", "0\n\x00\n", 0},
			{"", "", 0},
			{"# a comment", "", 0},
			{"kill -9 $(exec sh -c 'echo $PPID')", "", 137},
			{"read x; echo \"$?\"", "1\n", 0},
			{Frame("inner", "echo in"), "begin inner\nin\nend inner 0\n", 0},
			{"exec 3<&-; exec >/dev/null; echo gone", "", 0},
			{"echo last", "last\n", 0},
		} {
			if c.exit == 137 && filepath.Base(shell[0]) == "ksh" {
				continue // TestFrame_Ksh93HasNoSubshell
			}
			if c.exit == 1 && strings.Contains(shell[0], "zsh") {
				continue // its functions do not obey -e alike; no /bin/sh is zsh
			}
			n := NewNonce()
			io.WriteString(stdin, Frame(n, c.body))
			a, err := ReadAnswer(r, n)
			if err != nil || string(a.Stdout) != c.out || a.Exit != c.exit || i > 0 && len(a.Noise) > 0 {
				t.Errorf("%v: %q: %+v, %v", shell, c.body, a, err)
			}
		}
		stdin.Close()
		cmd.Wait()
	}
}

// ksh93 forks no subshell: a script that kills its own shell ends the one that
// answers, which is an error and no answer. Every other shell goes on.
func TestFrame_Ksh93HasNoSubshell(t *testing.T) {
	lab.Needs(t, "ksh")
	n := NewNonce()
	cmd := exec.Command("ksh", "-s")
	cmd.Stdin = strings.NewReader(Frame(n, "kill -9 $(exec sh -c 'echo $PPID')") + Frame(n, "echo next"))
	out, err := cmd.Output()
	var killed *exec.ExitError
	if !errors.As(err, &killed) || killed.ExitCode() != -1 {
		t.Errorf("ksh ended with %v", err)
	}
	a, err := ReadAnswer(bufio.NewReader(bytes.NewReader(out)), n)
	var none *NoAnswerError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "in the middle of a script") {
		t.Errorf("%+v, %v", a, err)
	}
}

// What a script leaves in the background does not keep the answer waiting.
func TestRun_BackgroundChild(t *testing.T) {
	began := time.Now()
	out, err := Local{}.Run(context.Background(), "sleep 20 & echo $!")
	if err != nil || time.Since(began) > 10*time.Second {
		t.Fatalf("%q, %v after %v", out, err, time.Since(began))
	}
	exec.Command("kill", strings.TrimSpace(string(out))).Run()
}

func TestRun_ContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := (Local{}).Run(ctx, "exec sleep 3"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestFail(t *testing.T) {
	script := Prelude + "put before 1\nfail not-found 'find \"x\": there\n is none' 'nbremote ls'\necho not reached"
	_, err := Local{}.Run(context.Background(), script)
	var failed *ScriptError
	if !errors.As(err, &failed) || failed.Class() != "not-found" || failed.Cause() != `find "x": there is none` || failed.Hint() != "nbremote ls" {
		t.Errorf("Run: %#v", err)
	}
	s, err := Local{}.Stream(context.Background(), script)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := io.ReadAll(s)
	if !errors.As(err, &failed) || failed.Class() != "not-found" || string(out) != "before 1\n1\n" {
		t.Errorf("Stream: %q, %#v", out, err)
	}
	plain := &ScriptError{Exit: 1, Stdout: []byte("nbremote.class 1\nx\n")}
	if plain.Class() != "other" || !strings.Contains(plain.Error(), "status 1") {
		t.Errorf("%v", plain)
	}
}

// pieces gives its texts one Read each, then an error.
type pieces struct {
	texts []string
	err   error
}

func (p *pieces) Close() error { return nil }
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.texts) == 0 {
		return 0, p.err
	}
	n := copy(b, p.texts[0])
	if p.texts[0] = p.texts[0][n:]; p.texts[0] == "" {
		p.texts = p.texts[1:]
	}
	return n, nil
}

func TestStream_GivesLinesAtOnce(t *testing.T) {
	s := NewStream(&pieces{texts: []string{"noise\nbegin " + nonce + "\n", "one\n", "two\n", "end"}, err: io.EOF}, nonce)
	for _, want := range []string{"one\n", "two\n"} {
		b := make([]byte, 100)
		if n, err := s.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	rest, err := io.ReadAll(s)
	if string(rest) != "end" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestStream_AnyPieces(t *testing.T) {
	said := "nbremote.class 5\nstart\nnbremote.fail 2\nno\n"
	for _, c := range []struct {
		body, out string
		exit      int
	}{
		{"", "", 0}, {"enen\nend 0\nnbremote.class x", "enen\nend 0\nnbremote.class x", 0},
		{"out\n" + said, "out\n", 97}, {said, "", 97}, {said, said, 1}, {"x" + said, "x" + said, 97},
		{"\n" + said + strings.Repeat("y", 9000), "\n" + said + strings.Repeat("y", 9000), 0},
	} {
		text := "pre begin x\nbegin " + nonce + "\n" + c.body + fmt.Sprintf("end %s %d\nrest", nonce, c.exit)
		for size := 1; size < 60; size++ {
			p := &pieces{err: io.EOF}
			for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
				p.texts = append(p.texts, rest[:min(size, len(rest))])
			}
			out, err := io.ReadAll(NewStream(p, nonce))
			var ended *ScriptError
			if errors.As(err, &ended) != (c.exit != 0) || c.exit == 0 && err != nil {
				t.Fatalf("%q in pieces of %d: %v", c.body, size, err)
			}
			if string(out) != c.out {
				t.Fatalf("%q in pieces of %d: %q", c.body, size, out)
			}
		}
	}
}

func TestStream_NoFrame(t *testing.T) {
	_, err := io.ReadAll(NewStream(&pieces{texts: []string{"go away\n"}, err: io.EOF}, nonce))
	var none *NoAnswerError
	if !errors.As(err, &none) || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(none.Cause(), "go away") {
		t.Errorf("%v", err)
	}
}

// The end of the shell's stdin can be seen in the script, also one frame down.
func TestFrame_ReaderGone(t *testing.T) {
	body := "cat <&3 >/dev/null; echo gone >&2"
	for _, text := range []string{Frame(nonce, body), Frame(nonce, Frame("inner", body))} {
		cmd := exec.Command("/bin/sh", "-s")
		stdin, _ := cmd.StdinPipe()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(stdin, text)
		stdin.Close()
		cmd.Wait()
		if stderr.String() != "gone\n" {
			t.Errorf("%q", stderr.String())
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("noise begin "+nonce+"\nout end "+nonce+" 7\n"), 5)
	f.Add([]byte("begin "+nonce+"\nend "+nonce+" 999\n"), 1)
	f.Add([]byte(": echo "+nonce+"\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		a, err := ReadAnswer(bufio.NewReaderSize(bytes.NewReader(b), max(16, size%4096)), nonce)
		if err == nil && (len(a.Stdout) > maxStdout || len(a.Noise) > maxNoise || a.Exit < 0 || a.Exit > 255) {
			t.Errorf("%+v", a)
		}
		s := NewStream(&pieces{texts: []string{string(b[:len(b)/2]), string(b[len(b)/2:])}, err: io.EOF}, nonce)
		out, serr := io.ReadAll(s)
		var ended *ScriptError
		if err == nil && (serr == nil) != (a.Exit == 0) {
			t.Errorf("an answer of status %d, and as a stream %v", a.Exit, serr)
		}
		if err == nil && !bytes.Equal(out, a.Stdout) && !(errors.As(serr, &ended) && ended.Exit == exitFail) {
			t.Errorf("an answer of %q, and as a stream %q", a.Stdout, out)
		}
	})
}

// What a script prints, whatever it is, comes back so.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("plain\n"), []byte("noise"))
	f.Add([]byte("end "+nonce), []byte("begin "+nonce+" \n"))
	f.Fuzz(func(t *testing.T, body, noise []byte) {
		if bytes.Contains(noise, []byte(nonce)) || bytes.Contains(body, []byte("end "+nonce+" ")) || len(body) > maxStdout || len(noise) > maxNoise {
			t.Skip()
		}
		a, err := answer(string(noise) + "begin " + nonce + "\n" + string(body) + "end " + nonce + " 0\n")
		if err != nil || !bytes.Equal(a.Stdout, body) || !bytes.Equal(a.Noise, noise) {
			t.Errorf("%q after %q: %+v, %v", body, noise, a, err)
		}
	})
}
