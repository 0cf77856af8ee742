package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// underway is the size of a file that is on its way to the home of a machine,
// -1 when there is none.
func underway(m *lab.Machine) int64 {
	found, _ := filepath.Glob(m.Path("/home/me/.nbremote-*"))
	if len(found) == 0 {
		return -1
	}
	i, err := os.Stat(found[0])
	if err != nil {
		return -1
	}
	return i.Size()
}

// arrives waits until so much of a file has come.
func arrives(t *testing.T, m *lab.Machine, j *lab.Job, size int64) {
	t.Helper()
	lab.Wait(t, time.Minute, "bytes to arrive", func() bool { return underway(m) >= size || j.Ended() })
	if j.Ended() {
		t.Fatalf("it ended before: %s", j.Stderr())
	}
}

const cpSize = 64 << 20

// cpSides are a file on one side, and where it goes on the other.
func cpSides(l *lab.Lab, up bool) (from, to *lab.Machine, args []string) {
	host := l.Host("gpu1")
	if up {
		return l.Laptop, host, []string{"cp", "/home/me/big", "gpu1:"}
	}
	return host, l.Laptop, []string{"cp", "gpu1:big", "/home/me"}
}

func sum(m *lab.Machine) string { return m.ShAs(lab.Me, "sha256sum big 2>/dev/null || :") }

// noRelay has a host be one without a relay.
func noRelay(l *lab.Lab, host *lab.Machine) {
	l.Run("close", "gpu1")
	host.Kill("serve relay-", syscall.SIGKILL)
	host.WriteMode("root", "/usr/local/bin/python3", "#!/bin/sh\n[ -z \"$NBR_HELLO\" ] || { echo no relay; exit 1; }\nexec /usr/bin/python3 \"$@\"\n", 0o755)
	l.Must("run", "gpu1", "--", "true")
}

// 64 MiB over several cuts arrive byte by byte, both ways, on the link and
// without it, where the copy begins again by itself in the middle of the file.
// scp, cut the same way, does not arrive. A copy whose line is closed ends, which
// is said, and what is there has not the file's name; given again it goes on.
func TestN4_CpOverCuts(t *testing.T) {
	for _, up := range []bool{false, true} {
		t.Run(map[bool]string{false: "from", true: "to"}[up], func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{})
			host := l.Host("gpu1")
			from, to, args := cpSides(l, up)
			from.ShAs(lab.Me, "head -c 67108864 /dev/urandom >big")
			want := sum(from)
			l.Must("run", "gpu1", "--", "true")
			j := l.Start(args...)
			for n := range int64(3) {
				arrives(t, to, j, 1+n*cpSize/4)
				host.HangUp()
			}
			r := j.Wait()
			if got := sum(to); r.Exit != 0 || got != want {
				t.Errorf("exit %d, %q, want %q\n%s", r.Exit, got, want, r.Stderr)
			}

			to.ShAs(lab.Me, "rm big")
			noRelay(l, host)
			j = l.Start(args...)
			for n := range int64(2) {
				arrives(t, to, j, (1+n)*cpSize/4)
				host.Kill("The host's half of a copy", syscall.SIGSTOP) // it does not know of the cut
				had := underway(to)
				host.HangUp()
				for s := had; !j.Ended() && s < had+1<<20; s = underway(to) {
					if s > 0 && s < had {
						t.Errorf("it began anew: %d of %d bytes", s, had)
						break
					}
				}
			}
			r = j.Wait()
			if got := sum(to); r.Exit != 0 || got != want || strings.Count(r.Stderr, "the copy broke off with the line, and goes on") != 2 {
				t.Errorf("without a relay: exit %d, %q, want %q\n%s", r.Exit, got, want, r.Stderr)
			}
			if underway(to) >= 0 {
				t.Error("a part of it is left")
			}

			// The twin.
			to.ShAs(lab.Me, "rm big")
			theirs := []string{"gpu1:big", "copy"}
			if up {
				theirs = []string{"big", "gpu1:copy"}
			}
			scp := l.Laptop.As(t.Context(), lab.Me, append([]string{"scp", "-q", "-l", "200000"}, theirs...)...)
			if err := scp.Start(); err != nil {
				t.Fatal(err)
			}
			lab.Wait(t, time.Minute, "scp to begin", func() bool { i, err := os.Stat(to.Path("/home/me/copy")); return err == nil && i.Size() > 1<<20 })
			host.HangUp()
			if err := scp.Wait(); err == nil {
				t.Error("scp arrived over the cut")
			}

			j = l.Start(args...)
			arrives(t, to, j, cpSize/4)
			l.Must("close", "gpu1")
			fails(t, j.Wait(), 9, "the line was lost; 0 of 1 file arrived", "it goes on where it was")
			if sum(to) != "" {
				t.Error("half of it has its name")
			}
			lab.Wait(t, 30*time.Second, "what came to be kept", func() bool {
				left, _ := filepath.Glob(to.Path("/home/me/.nbremote-*.part"))
				return len(left) == 1
			})
			had := underway(to)
			r = l.Must(append(args, "--json")...)
			if got := sum(to); got != want {
				t.Errorf("%q, want %q\n%s", got, want, r.Stderr)
			}
			if had < cpSize/4 || underway(to) >= 0 {
				t.Errorf("%d bytes were kept, %d are left", had, underway(to))
			}
		})
	}
}

// Ctrl-C leaves nothing under the file's name, and nothing that runs.
func TestCp_CtrlC(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "truncate -s 2G big")
	l.Laptop.ShAs(lab.Me, "truncate -s 2G big")
	for _, to := range []*lab.Machine{l.Laptop, host} {
		args := []string{"cp", "gpu1:big", "/home/me/copy"}
		if to == host {
			args = []string{"cp", "/home/me/big", "gpu1:copy"}
		}
		x := l.Pty(args...)
		arrives(t, to, x.Job, 16<<20)
		x.Expect(" of 2 GB, ", 30*time.Second)
		x.Expect("/s, ", 30*time.Second)
		x.Expect(" left", 30*time.Second)
		x.Type("\x03")
		if r := x.Wait(); r.Exit != 130 {
			t.Errorf("exit %d\n%s", r.Exit, x.Screen())
		}
		lab.Wait(t, 30*time.Second, "the host's half to end", func() bool { return len(host.Running("The host's half of a copy")) == 0 })
		to.ShAs(lab.Me, "! [ -e copy ] && [ -e .nbremote-*.part ] && rm .nbremote-*.part && [ \"$(find . -name '.nbremote-*' | wc -l)\" = 0 ]")
	}
}

// No room: the error names the file, and there is none of half a size.
func TestL13_CpFullDisk(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	for _, m := range []*lab.Machine{l.Laptop, host} {
		m.Small("/home/me/small", "2m")
		m.ShAs(lab.Me, "mkdir d && echo a >d/a && head -c 4000000 /dev/zero >d/b")
	}
	fails(t, l.Run("cp", "gpu1:d", "/home/me/small/"), 1, "write /home/me/small/d/b: no space left on device")
	fails(t, l.Run("cp", "/home/me/d", "gpu1:small/"), 7, "write /home/me/small/d/b: No space left on device")
	for _, m := range []*lab.Machine{l.Laptop, host} {
		if got := m.ShAs(lab.Me, "cd small; find . -type f"); got != "./d/a\n" {
			t.Errorf("there is %q", got)
		}
	}
}

// What cannot be read or written is said, its name made harmless, and the rest
// is copied.
func TestCp_TheRestIsCopied(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	for _, m := range []*lab.Machine{l.Laptop, host} {
		m.ShAs(lab.Me, `mkdir -p d/shut ro; echo a >d/a; echo z >d/z; echo x >"d/$(printf 'no\033[2J\nnbremote: x')"; chmod 0 d/no*; echo y >d/shut/y; chmod 0 d/shut; chmod 555 ro`)
	}
	for _, c := range [][]string{{"gpu1:d", "/home/me/new"}, {"/home/me/d", "gpu1:new"}} {
		r := l.Run("cp", c[0], c[1])
		fails(t, r, 1, `no\x1b[2J\nnbremote: x: `, "ermission denied", "2 were not copied, or not whole; 2 were")
		if strings.Contains(r.Stderr, "\x1b") {
			t.Errorf("%q", r.Stderr)
		}
		fails(t, l.Run("cp", strings.TrimSuffix(c[0], "d")+"d/a", strings.TrimSuffix(c[1], "new")+"ro/"), 1, "/home/me/ro/a: ", "ermission denied")
	}
	host.Hide("python3")
	fails(t, l.Run("cp", "gpu1:d/a", "/home/me/a"), 7, "copy from gpu1: that needs Python 3 there", "scp")
	for _, m := range []*lab.Machine{l.Laptop, host} {
		if got := m.ShAs(lab.Me, "cat new/a new/z; ls new ro"); got != "a\nz\nnew:\na\nshut\nz\n\nro:\n" {
			t.Errorf("there is %q", got)
		}
	}
}
