//go:build unix

package remote

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// loginShells maps each login shell to the files it reads before a command
// that sshd gives it.
var loginShells = map[string][]string{
	"bash": {".bashrc"}, "dash": nil, "zsh": {".zshenv"}, "fish": {".config/fish/config.fish"}, "tcsh": {".tcshrc"},
}

// login is an account with that shell, as sshd starts it.
func login(t *testing.T, shell string, rc string) Local {
	t.Helper()
	lab.Needs(t, shell)
	path, _ := exec.LookPath(shell)
	home := t.TempDir()
	for _, name := range loginShells[shell] {
		file := filepath.Join(home, name)
		os.MkdirAll(filepath.Dir(file), 0o700)
		if err := os.WriteFile(file, []byte(rc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// bash reads .bashrc for sshd: it knows it by this variable.
	env := []string{"HOME=" + home, "PATH=/usr/bin:/bin", "SSH_CLIENT=127.0.0.1 1 22", "SHELL=" + path, "USER=me"}
	return Local{Shell: path, Dir: home, Env: env}
}

func run(t *testing.T, l Local, script string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return l.Run(ctx, script)
}

func TestR3_LoginShells(t *testing.T) {
	big := strings.Repeat("# "+strings.Repeat("filler ", 10)+"\n", 300)
	for shell := range loginShells {
		t.Run(shell, func(t *testing.T) {
			l := login(t, shell, "")
			var script strings.Builder
			for _, v := range nasty {
				script.WriteString("put x " + Quote(v) + "\n")
			}
			out, err := run(t, l, Prelude+big+script.String())
			if err != nil {
				t.Fatal(err)
			}
			fields, err := ParseFields(out)
			if err != nil || len(fields) != len(nasty) {
				t.Fatalf("%d fields: %v", len(fields), err)
			}
			for i, f := range fields {
				if string(f.Value) != nasty[i] {
					t.Errorf("%q came back as %q", nasty[i], f.Value)
				}
			}
		})
	}
}

// Shells that run nothing of ours say so, and at once.
func TestR3_NoShell(t *testing.T) {
	for _, shell := range []string{"/usr/sbin/nologin", "/bin/false", "/bin/true", "rbash", "cat"} {
		if !lab.Has(t, shell) {
			continue
		}
		path, _ := exec.LookPath(shell)
		l := Local{Shell: path}
		began := time.Now()
		_, err := run(t, l, "echo hello")
		var none *NoAnswerError
		if !errors.As(err, &none) || none.Class() != "missing" || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", shell, err, time.Since(began))
		}
		if strings.Contains(shell, "nologin") && !strings.Contains(err.Error(), "This account is currently not available") {
			t.Errorf("%s: %v", shell, err)
		}
	}
}

func TestR4_NoisyRc(t *testing.T) {
	tenKB := "echo " + strings.Repeat("noise", 2000) + "\n"
	posix := map[string]string{
		"prints 10 KB":    tenKB,
		"prints escapes":  "printf '\\033[2J\\033]0;x\\007no newline'\n",
		"reads":           "read a\nread b\necho \"[$a]\"\n",
		"an old frame":    "printf 'begin 0\\nx\\nend 0 0\\n'\n",
		"set -u and cd":   "set -u\ncd /\n",
		"set -e":          "set -e\n",
		"alias":           "alias ls='echo no' printf='echo no' sh='echo no'\n",
		"CDPATH and IFS":  "export CDPATH=/ IFS=0123456789 LC_ALL=xx POSIXLY_CORRECT=1 GREP_OPTIONS=-v\n",
		"TMUX and a trap": "export TMUX=/tmp/x,1,1\ntrap 'echo bye' EXIT\n",
		"no PATH":         "export PATH=\n",
		"stdout closed":   "echo to-stderr >&2\n",
		"a slow one":      "sleep 0.5\n",
	}
	others := map[string]map[string]string{
		"fish": {"prints": "for i in (seq 500); echo noise; end\n", "reads": "read a\necho $a\n", "alias": "alias ls 'echo no'\n", "no PATH": "set -gx PATH\n"},
		"tcsh": {"prints": "echo noise\nset a=1\n", "reads": "set a = $<\necho $a\n", "alias": "alias ls echo no\n", "no PATH": "setenv PATH ''\n"},
		"bash": posix, "zsh": posix,
	}
	for shell, rcs := range others {
		for name, rc := range rcs {
			t.Run(shell+" "+name, func(t *testing.T) {
				out, err := run(t, login(t, shell, rc), Prelude+`put a "$(ls -d /)"; put b "$(cd tmp 2>/dev/null; pwd)"; put c "$(printf %s 10)"`)
				if err != nil {
					t.Fatal(err)
				}
				fields, err := ParseFields(out)
				if err != nil || len(fields) != 3 || string(fields[0].Value) != "/" || string(fields[2].Value) != "10" {
					t.Errorf("%q, %v", out, err)
				}
			})
		}
	}
}

// An rc file that lets nothing through ends in an error, not in a wait.
func TestR4_RcThatEats(t *testing.T) {
	for rc, said := range map[string]string{
		"echo bye; exit 1\n": "bye", "exec cat\n": ":", "cat\n": ":", "echo Enter code; exec /bin/false\n": "Enter code",
		"exec tmux\n": "", "kill -9 $$\n": "",
	} {
		for _, shell := range []string{"bash", "zsh"} {
			t.Run(shell+" "+rc, func(t *testing.T) {
				_, err := run(t, login(t, shell, rc), "echo hello")
				var none *NoAnswerError
				if !errors.As(err, &none) || !strings.Contains(none.Cause(), said) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}
