package test

import (
	"encoding/json"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// listTree prints what is below a folder: names, modes, times and checksums.
const listTree = ` && find . \( -type l -printf '%p -> %l\n' \) -o -type d -printf '%p %m\n' -o -type f -printf '%p %m %T@ ' -exec sha256sum {} + | sort`

// Files and folders go both ways, are there already the second time, and
// nothing that is there is overwritten unasked.
func TestCp_BothWays(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, `mkdir -p proj/a/b && cd proj && head -c 3000000 /dev/urandom >a/b/big && echo hi >a/hi && chmod 640 a/hi && ln -s ../hi a/b/link && ln -s /etc/passwd out && mkfifo pipe && chmod 755 a && touch -d '2020-01-02 03:04:05.678' a/hi`)
	same := func(here, there string) {
		t.Helper()
		got, want := l.Laptop.ShAs(lab.Me, "cd "+here+listTree), host.ShAs(lab.Me, "cd "+there+listTree)
		if got != want || !strings.Contains(got, "big") {
			t.Errorf("here\n%s\nthere\n%s", got, want)
		}
	}
	r := l.Must("cp", "gpu1:proj", "/home/me")
	if !strings.Contains(r.Stderr, "copying: 3 files, 2.9 MB from gpu1") || !strings.Contains(r.Stderr, "left out: out: a link that leads out") || !strings.Contains(r.Stderr, "pipe: no file") {
		t.Error(r.Stderr)
	}
	same("proj/a", "proj/a")
	if r := l.Must("cp", "gpu1:proj/a", "/home/me/proj"); !strings.Contains(r.Stderr, "3 files there already") {
		t.Error(r.Stderr)
	}
	var told struct {
		Files, Already int
		Bytes          int64
		Troubles       []struct{ Class, Path string }
	}
	out := l.Must("cp", "--json", "gpu1:proj", "/home/me").Stdout
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Already != 3 || told.Files != 0 || len(told.Troubles) != 2 || told.Troubles[0].Class != "skipped" {
		t.Errorf("%v: %s", err, out)
	}
	l.Must("cp", "/home/me/proj/a", "gpu1:copy")
	same("proj/a", "copy")
	l.Must("cp", "/home/me/proj/a/hi", "/home/me/proj/a/b", "gpu1:copy/")
	same("proj/a/b", "copy/b")

	l.Laptop.ShAs(lab.Me, "echo mine >proj/a/hi; echo other >h")
	fails(t, l.Run("cp", "gpu1:proj/a/hi", "/home/me/proj/a"), 1, "/home/me/proj/a/hi: another file is there", "--force")
	fails(t, l.Run("cp", "/home/me/h", "gpu1:copy/hi"), 1, "/home/me/copy/hi: another file is there", "--force")
	if got := l.Laptop.ReadFile("/home/me/proj/a/hi"); got != "mine\n" {
		t.Errorf("it was overwritten: %q", got)
	}
	l.Must("cp", "--force", "gpu1:proj/a/hi", "/home/me/proj/a")
	l.Must("cp", "-f", "/home/me/h", "gpu1:copy/hi")
	if got := host.ReadFile("/home/me/copy/hi"); got != "other\n" {
		t.Errorf("it was not replaced: %q", got)
	}
	fails(t, l.Run("cp", "gpu1:none", "/home/me"), 3, "/home/me/none: No such file")
	fails(t, l.Run("cp", "/home/me/none", "gpu1:"), 3, "/home/me/none")
	fails(t, l.Run("cp", "/home/me/h", "gpu1:none/x"), 3, "find the folder /home/me/none")
	fails(t, l.Run("cp", "a", "b"), 2, "no host")
	fails(t, l.Run("cp", "gpu1:a", "gpu1:b"), 2, "both sides")
	if left := l.Laptop.ShAs(lab.Me, "find . -name '.nbremote-*'") + host.ShAs(lab.Me, "find . -name '.nbremote-*'"); left != "" {
		t.Errorf("left: %s", left)
	}
}
