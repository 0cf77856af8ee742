//go:build unix

package kernel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

// emptyHost is a host with an empty home.
func emptyHost(t testing.TB, env ...string) (remote.Local, string) {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return remote.Local{Dir: home, Env: append([]string{"HOME=" + home, "PATH=/usr/bin:/bin", "SHELL=/bin/sh"}, env...)}, home
}

func file(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, to, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// never is a Python that tells that it was started.
const never = "#!/bin/sh\ntouch \"$HOME/python-was-run\"\n"

// fakeVenv makes what a venv looks like from outside.
func fakeVenv(t testing.TB, prefix, config string, packages ...string) {
	t.Helper()
	file(t, prefix+"/bin/python", never, 0o755)
	file(t, prefix+"/pyvenv.cfg", config, 0o644)
	for _, name := range append(packages, "keep") {
		file(t, prefix+"/lib/python3.11/site-packages/"+name+"/x", "", 0o644)
	}
}

func fakeConda(t testing.TB, prefix, python string) {
	t.Helper()
	file(t, prefix+"/bin/python", never, 0o755)
	file(t, prefix+"/conda-meta/history", "", 0o644)
	file(t, prefix+"/conda-meta/python-"+python+"-h955ad1f_0_cpython.json", "", 0o644)
	file(t, prefix+"/conda-meta/python-dateutil-2.9.0-py_0.json", "", 0o644)
	major := strings.Join(strings.Split(python, ".")[:2], ".")
	file(t, prefix+"/lib/python"+major+"/site-packages/pip/x", "", 0o644)
}

// posix are the shells that /bin/sh may be.
func posix(t *testing.T) map[string]string {
	t.Helper()
	shells := map[string]string{}
	for _, name := range []string{"dash", "bash", "zsh", "busybox", "ksh", "mksh"} {
		if lab.Has(t, name) {
			shells[name], _ = exec.LookPath(name)
		}
	}
	return shells
}

// shell runs scripts in one of them, called sh.
type shell struct {
	path string
	env  []string
}

func (s shell) Run(ctx context.Context, script string) ([]byte, error) {
	nonce := remote.NewNonce()
	cmd := exec.CommandContext(ctx, s.path)
	cmd.Args = []string{"sh", "-s"}
	cmd.Env, cmd.Dir, cmd.Stderr = s.env, "/", os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	// It stays open: its end would say that nobody waits.
	_, _ = io.WriteString(in, remote.Frame(nonce, script))
	a, err := remote.ReadAnswer(bufio.NewReader(out), nonce)
	_ = in.Close()
	_ = cmd.Wait()
	if err != nil {
		return nil, err
	}
	return a.Stdout, a.Err()
}
