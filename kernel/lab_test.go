//go:build linux

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

const (
	testTop   = "/opt/nbremote-test"
	testToken = "tok_0123456789abcdefghijklmnopqrstuvwxyz-ABCD"
)

// newHost is a machine of its own: a home, and a directory for temporary files.
func newHost(t testing.TB, env ...string) (remote.Local, string) {
	t.Helper()
	home, tmp := t.TempDir(), t.TempDir()
	r := remote.Local{Dir: home, Env: append([]string{"HOME=" + home, "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "TMPDIR=" + tmp}, env...)}
	t.Cleanup(func() {
		lab.Wait(t, 10*time.Second, "nothing runs in "+home, func() bool { return len(runningIn(home)) == 0 })
		for _, name := range files(tmp) {
			if !strings.HasPrefix(name, "uv-") { // uv's own locks
				t.Errorf("left in the temporary directory: %s", name)
			}
		}
		for _, name := range files(home) {
			if strings.Contains(name, trialPrefix) {
				t.Errorf("left: %s", name)
			}
		}
	})
	return r, home
}

// runningIn are the processes whose environment has the home and that do not
// belong to a server which the test itself keeps.
func runningIn(home string) (found []string) {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		env, _ := os.ReadFile(dir + "/environ")
		if bytes.Contains(env, []byte("HOME="+home+"\x00")) {
			line, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, dir+" "+string(bytes.ReplaceAll(line[:min(len(line), 200)], []byte{0}, []byte{' '})))
		}
	}
	return found
}

func files(dir string) (found []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return nil
	})
	return found
}

// venv is an environment at path that sees the packages of base: as quick as
// linking, as real as any other.
func venv(t testing.TB, path, base string) Environment {
	t.Helper()
	lab.Needs(t, base+"/bin/python", "/usr/bin/python3")
	command(t, nil, "/usr/bin/python3", "-m", "venv", "--without-pip", path)
	lab.Write(t, site(t, path)+"/base.pth", site(t, base)+"\n", 0o644)
	return Environment{Name: filepath.Base(path), Kind: "venv", Prefix: path, Python: path + "/bin/python", Version: "3.11"}
}

func site(t testing.TB, prefix string) string {
	t.Helper()
	found, err := filepath.Glob(escape(prefix) + "/lib/python3*/site-packages")
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(path)
}

// bare is an environment with nothing in it.
func bare(t testing.TB, path string) Environment {
	t.Helper()
	lab.Needs(t, "/usr/bin/python3")
	command(t, nil, "/usr/bin/python3", "-m", "venv", "--without-pip", path)
	return Environment{Name: filepath.Base(path), Kind: "venv", Prefix: path, Python: path + "/bin/python"}
}

// unpacked is uv's cache, one for all tests: to unpack the wheels takes longest.
var unpacked string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "nbkuv")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	unpacked = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// offline lets pip and uv install from the folder of wheels alone.
func offline(t testing.TB, r remote.Local, home string) remote.Local {
	t.Helper()
	lab.Needs(t, testTop+"/wheels", testTop+"/tools/bin/uv")
	r.Env = append(r.Env,
		"PIP_NO_INDEX=1", "PIP_FIND_LINKS="+testTop+"/wheels", "UV_NO_INDEX=1", "UV_FIND_LINKS="+testTop+"/wheels", "UV_OFFLINE=1",
		"UV_PYTHON=/usr/bin/python3", "UV_PYTHON_DOWNLOADS=never", "UV_CACHE_DIR="+unpacked, "PIP_CACHE_DIR="+home+"/.cache/pip")
	return r
}

// install takes the offer of that key.
func install(t testing.TB, r remote.Local, env Environment, key string) {
	t.Helper()
	offers := Offers(env)
	at := slices.IndexFunc(offers, func(o Offer) bool { return o.Key == key })
	if at < 0 {
		t.Fatalf("no offer %s: %+v", key, offers)
	}
	var lines []string
	if err := Install(t.Context(), r, env, offers[at], func(line string) { lines = append(lines, line) }); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if len(lines) == 0 {
		t.Error("no line of progress")
	}
}

func command(t testing.TB, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	if env != nil {
		cmd.Env = env
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func mustAdd(t testing.TB, r remote.Runner, w Wish) *Added {
	t.Helper()
	began := time.Now()
	a, err := Add(t.Context(), r, w)
	if more := time.Since(began) - 30*time.Second; err == nil && !w.With && more > a.Took {
		t.Errorf("something held it up for %v", more)
	}
	if err != nil {
		var p *ProofError
		if errors.As(err, &p) {
			t.Logf("its words:\n%s", p.Log())
		}
		t.Fatalf("add: %v", err)
	}
	return a
}

// small makes dir a file system of 64 KiB.
func small(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		lab.Missing(t, "root, to mount a small file system")
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func fill(t testing.TB, dir string) {
	t.Helper()
	f, err := os.Create(dir + "/full")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

func remoteField(name, value string) string {
	return fmt.Sprintf("%s %d\n%s\n", name, len(value), value)
}
