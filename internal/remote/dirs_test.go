//go:build linux

package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

const tellDirs = `put data "$NBR_DATA"; put run "$NBR_RUN"; put host "$NBR_HOST"; put uid "$NBR_UID"; put boot "$NBR_BOOT"`

// dirs runs Dirs and gives what it set; the place for sockets is removed in
// the end.
func dirs(t *testing.T, l Local) (map[string]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := l.Run(ctx, Prelude+Dirs+tellDirs)
	if err != nil {
		return nil, err
	}
	fields, err := ParseFields(out)
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	for _, f := range fields {
		got[f.Name] = string(f.Value)
	}
	t.Cleanup(func() {
		if strings.Contains(got["run"], "/nbr.") {
			os.RemoveAll(got["run"])
		}
	})
	return got, nil
}

func account(home string) Local {
	return Local{Env: []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}}
}

func mustDirs(t *testing.T, l Local) map[string]string {
	t.Helper()
	got, err := dirs(t, l)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDirs(t *testing.T) {
	home := t.TempDir()
	first := mustDirs(t, account(home))
	if want := filepath.Join(home, ".local/share/nbremote"); first["data"] != want {
		t.Errorf("NBR_DATA = %s", first["data"])
	}
	if again := mustDirs(t, account(home)); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("first %v, then %v", first, again)
	}
	if first["uid"] != strconv.Itoa(os.Getuid()) || first["host"] == "" || strings.Trim(first["host"], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		t.Errorf("%v", first)
	}
	for _, dir := range []string{first["data"], first["run"]} {
		if mode := mode(t, dir); mode != 0o700 {
			t.Errorf("%s has mode %o", dir, mode)
		}
	}
	if n := len(first["run"]); n > 46 {
		t.Errorf("%s is %d bytes long", first["run"], n)
	}
	os.RemoveAll(first["run"])
	if other := mustDirs(t, account(home)); other["run"] == first["run"] {
		t.Errorf("%s was made again under its old name", first["run"])
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	i, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return i.Mode().Perm()
}

func TestA5_Modes(t *testing.T) {
	home := t.TempDir()
	share := filepath.Join(home, ".local/share")
	os.MkdirAll(filepath.Join(share, "nbremote/run"), 0o777)
	for _, dir := range []string{home, share, share + "/nbremote", share + "/nbremote/run"} {
		if err := os.Chmod(dir, 0o777|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
	}
	l := account(home)
	l.Shell = shellFile(t, "umask 000\nexec /bin/sh \"$@\"\n")
	got := mustDirs(t, l)
	for _, dir := range []string{got["data"], got["data"] + "/run", got["run"]} {
		if m := mode(t, dir); m != 0o700 {
			t.Errorf("%s has mode %o", dir, m)
		}
	}
	filepath.WalkDir(got["data"], func(path string, _ os.DirEntry, err error) error {
		if mode(t, path)&0o077 != 0 {
			t.Errorf("%s has mode %o", path, mode(t, path))
		}
		return err
	})
}

// shellFile is a login shell of the test's own.
func shellFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// nobody is an account of another user; its home is its own.
func nobody(t *testing.T, home string) Local {
	t.Helper()
	if os.Getuid() != 0 {
		lab.Missing(t, "root")
	}
	lab.Needs(t, "setpriv")
	// The folder of the test's folders is closed to others.
	if err := os.Chmod(filepath.Dir(home), 0o711); err != nil {
		t.Fatal(err)
	}
	l := account(home)
	l.Dir = "/"
	l.Shell = shellFile(t, "exec setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh \"$@\"\n")
	return l
}

func TestA5_NotOurs(t *testing.T) {
	for name, spoil := range map[string]func(share string) error{
		"a link": func(s string) error { return os.Symlink(t.TempDir(), s+"/nbremote") },
		"a file": func(s string) error { return os.WriteFile(s+"/nbremote", nil, 0o600) },
		"a fifo": func(s string) error { return syscall.Mkfifo(s+"/nbremote", 0o600) },
		"run a link": func(s string) error {
			os.Mkdir(s+"/nbremote", 0o700)
			return os.Symlink(t.TempDir(), s+"/nbremote/run")
		},
		"not a link!": nil,
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			share := filepath.Join(home, ".local/share")
			os.MkdirAll(share, 0o700)
			if spoil == nil {
				mustDirs(t, account(home))
				return
			}
			if err := spoil(share); err != nil {
				t.Fatal(err)
			}
			_, err := dirs(t, account(home))
			missing(t, err, "nbremote")
		})
	}
}

// missing checks an error that fail made.
func missing(t *testing.T, err error, text string) {
	t.Helper()
	var failed *ScriptError
	if !errors.As(err, &failed) || failed.Class() != "missing" || !strings.Contains(failed.Cause(), text) {
		t.Errorf("%v, want class missing and %q", err, text)
	}
}

// Another user's directory where ours should be, be it the durable one or the
// one on record, is not used.
func TestA9_OthersDirectories(t *testing.T) {
	home := t.TempDir()
	os.Chown(home, 65534, 65534)
	l := nobody(t, home)
	first := mustDirs(t, l)
	records, _ := filepath.Glob(first["data"] + "/run/*")
	if len(records) != 1 {
		t.Fatalf("records: %v", records)
	}
	// Run 1's place is taken by another user: as a directory, a link and a fifo.
	for _, take := range []func(string) error{
		func(p string) error { return os.Mkdir(p, 0o777) },
		func(p string) error { return os.Symlink(home, p) },
		func(p string) error { return syscall.Mkfifo(p, 0o666) },
	} {
		run := mustDirs(t, l)["run"]
		os.RemoveAll(run)
		if err := take(run); err != nil {
			t.Fatal(err)
		}
		if got := mustDirs(t, l)["run"]; got == run {
			t.Errorf("%s was used", run)
		}
		os.RemoveAll(run)
	}
	os.RemoveAll(home + "/.local/share/nbremote")
	if err := os.Mkdir(home+"/.local/share/nbremote", 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := dirs(t, l)
	missing(t, err, "not a directory of this account alone")
}

func TestDirs_FiftyAtOnce(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	real, err := exec.LookPath("mktemp")
	if err != nil {
		t.Fatal(err)
	}
	// Every place that is made is written down.
	os.WriteFile(bin+"/mktemp", []byte("#!/bin/sh\n"+real+" \"$@\" | tee -a \"$HOME/made\"\n"), 0o755)
	l := account(home)
	l.Env = append(l.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	runs := map[string]int{}
	for range 50 {
		wg.Go(func() {
			got, err := dirs(t, l)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			runs[got["run"]]++
		})
	}
	wg.Wait()
	if len(runs) != 1 {
		t.Errorf("50 went to %v", runs)
	}
	made := strings.Fields(readFile(t, home+"/made"))
	for _, place := range made {
		if _, err := os.Stat(place); (err == nil) != (runs[place] > 0) {
			t.Errorf("%s of %d: %v", place, len(made), err)
		}
	}
	if left, _ := filepath.Glob(home + "/.local/share/nbremote/run/.new*"); len(left) > 0 {
		t.Errorf("%v were left", left)
	}
}

// mounted is an account for which commands, as root, change what is mounted.
func mounted(t *testing.T, home, commands string) Local {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	l := account(home)
	l.Shell = shellFile(t, "exec unshare -m /bin/sh -c '"+commands+"\nexec /bin/sh \"$@\"' sh \"$@\"\n")
	return l
}

func TestR7_Home(t *testing.T) {
	for _, c := range []struct{ name, commands, want string }{
		{"full", `mount -t tmpfs -o size=16k t "$HOME"; cat /dev/zero >"$HOME/fill"; mkdir -p "$HOME/.local/share/nbremote/run"; :`, "home is full"},
		{"no inodes", `mount -t tmpfs -o nr_inodes=2 t "$HOME"; mkdir "$HOME/x"; :`, "home is full"},
		{"read-only", `mount -t tmpfs -o ro t "$HOME"; :`, "home is read-only"},
		{"missing", `export HOME="$HOME/none"`, "does not exist"},
		{"unset", `unset HOME`, "does not exist"},
		{"noexec and group-writable", `mount -t tmpfs -o noexec,mode=775 t "$HOME"; :`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dirs(t, mounted(t, t.TempDir(), c.commands+" 2>/dev/null"))
			if c.want != "" {
				missing(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDirs_Places(t *testing.T) {
	linger := `mount -t tmpfs t /var/lib; mkdir -p /var/lib/systemd/linger; : >/var/lib/systemd/linger/root
		mount -t tmpfs t /run; mkdir -p /run/user/0; chmod 700 /run/user/0`
	for _, c := range []struct{ name, commands, want string }{
		{"linger", linger, "/run/user/0/nbremote"},
		{"no linger", `mount -t tmpfs t /run; mkdir -p /run/user/0`, "/dev/shm/nbr."},
		{"no shm", `mount -t tmpfs -o ro t /dev/shm`, "/tmp/nbr."},
		{"shm full", `mount -t tmpfs -o nr_inodes=2 t /dev/shm; mkdir /dev/shm/x`, "/tmp/nbr."},
		{"somebody's run", linger + `; chown 1 /run/user/0`, "/dev/shm/nbr."},
		{"only home", `mount -t tmpfs -o ro t /dev/shm; mount -t tmpfs t /mnt; export HOME=/mnt; mount -t tmpfs -o ro t /tmp`, "/mnt/.cache/nbr."},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := dirs(t, mounted(t, t.TempDir(), c.commands))
			if err != nil || !strings.HasPrefix(got["run"], c.want) {
				t.Errorf("%v, %v", got["run"], err)
			}
		})
	}
	_, err := dirs(t, mounted(t, t.TempDir(), `mount -t tmpfs -o ro t /dev/shm; mount -t tmpfs t /mnt; export HOME=/mnt/a/very/long/path/to/a/home/of/somebody/in/a/department; mkdir -p "$HOME"; mount -t tmpfs -o ro t /tmp`))
	missing(t, err, "make a directory for sockets")
}

func TestR8_Homes(t *testing.T) {
	for _, name := range []string{"with blank", "it's", "-dash", "new\nline", "tab\t", "#{pane_pid}", "%n", "$(touch pwn)", "日本語", "trailing ", strings.Repeat("long", 30), "e\u0301", `back\slash`, "*"} {
		t.Run(name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), name)
			if err := os.Mkdir(home, 0o700); err != nil {
				t.Fatal(err)
			}
			l := account(home)
			first, err := dirs(t, l)
			if err != nil || first["data"] != home+"/.local/share/nbremote" || len(first["run"]) > 46 {
				t.Fatalf("%v, %v", first, err)
			}
			if again := mustDirs(t, l); again["run"] != first["run"] {
				t.Errorf("%v, then %v", first, again)
			}
		})
	}
}

// A home on NFS is shared by machines: each has records of its own.
func TestDirs_TwoMachines(t *testing.T) {
	home := t.TempDir()
	here := mustDirs(t, account(home))
	if os.Getuid() != 0 || exec.Command("unshare", "-u", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	l := account(home)
	l.Shell = shellFile(t, "exec unshare -u /bin/sh -c 'echo login2.example.org >/proc/sys/kernel/hostname; exec /bin/sh \"$@\"' sh \"$@\"\n")
	there := mustDirs(t, l)
	if there["host"] == here["host"] || there["run"] == here["run"] || !strings.HasPrefix(there["host"], "login2-") {
		t.Errorf("here %v, there %v", here, there)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestA10_HomeUntouched(t *testing.T) {
	home := t.TempDir()
	os.WriteFile(home+"/.bashrc", []byte("x"), 0o600)
	mustDirs(t, account(home))
	entries, _ := os.ReadDir(home)
	if len(entries) != 2 || entries[1].Name() != ".local" && entries[0].Name() != ".local" {
		t.Errorf("%v", entries)
	}
}
