package test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// cleaned is what clean --json says.
type cleaned struct {
	Sessions []struct{ Name string }
	Jupyter  int64 `json:"jupyter_bytes"`
	Kernels  []struct{ Name string }
	Here     []struct{ Name string } `json:"kernels_here"`
	Stays    []string
	Removed  []string
	Bytes    int64 `json:"removed_bytes"`
}

func (c cleaned) stays(text string) bool { return strings.Contains(strings.Join(c.Stays, "\n"), text) }

func clean(t *testing.T, l *lab.Lab, args ...string) (c cleaned) {
	t.Helper()
	r := l.Must(append([]string{"clean", "--json", "--no-input"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &c); err != nil {
		t.Fatalf("%v in:\n%s%s", err, r.Stdout, r.Stderr)
	}
	return c
}

const cleanKernel = "/home/me/.local/share/jupyter/kernels/mine/kernel.json"

// What is over goes, and what lives, be it by another laptop's line, does not;
// in the end nothing of ours is there, and a home without room is no hindrance.
func TestClean_TwoLaptops(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.ShAs(lab.Me, "mkdir -p proj other; echo thesis >proj/thesis.tex")
	theirs := []string{"XDG_STATE_HOME=/home/me/other/state", "XDG_RUNTIME_DIR="}
	open(t, l, "gpu1:~/proj")
	l.Must("stop", "gpu1/proj")
	other := parseOpened(t, l.RunEnv(theirs, "open", "--json", "--no-browser", "gpu1:~/other"))
	page := newPage(t, l, other.Port, other.Token)
	page.run(t.Context(), counting(100000, 0, tick))
	gpu1.WriteFile(lab.Me, cleanKernel, `{"argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "mine", "language": "python", "metadata": {"nbremote": {}}}`)
	gpu1.WriteFile(lab.Me, "/home/me/.local/share/nbremote/jupyter/.complete", "")
	gpu1.ShAs(lab.Me, "mkdir .local/share/nbremote/jupyter/bin; cp /bin/sleep .local/share/nbremote/jupyter/bin/python")
	gpu1.WriteFile(lab.Me, "/home/me/.local/share/nbremote/jupyter/lib/big", strings.Repeat("x", 1<<20))

	before := gpu1.ShAs(lab.Me, "find .local/share/nbremote | sort")
	c := clean(t, l, "gpu1")
	if len(c.Sessions) != 1 || c.Sessions[0].Name != "proj" || len(c.Kernels) != 1 || c.Jupyter < 1<<20 || len(c.Removed) != 0 ||
		!c.stays("other runs") || !c.stays("the relay runs") {
		t.Errorf("told: %+v", c)
	}
	fails(t, l.Run("clean", "gpu1", "--no-input"), 2, "nobody can be asked what to remove", "--all -y")
	x := l.Pty("clean", "gpu1")
	x.Expect("Remove which?", 30*time.Second)
	x.Type("\r")
	if r := x.Wait(); r.Exit != 1 || !strings.Contains(x.Screen(), "left gpu1 as it is") || !strings.Contains(x.Screen(), "1.0 MB") && !strings.Contains(x.Screen(), "1 MB") {
		t.Errorf("a no: exit %d\n%s", r.Exit, x.Screen())
	}
	if now := gpu1.ShAs(lab.Me, "find .local/share/nbremote | sort"); now != before {
		t.Errorf("it was only told:\n%s", now)
	}

	user := gpu1.As(t.Context(), lab.Me, "/home/me/.local/share/nbremote/jupyter/bin/python", "600")
	if err := user.Start(); err != nil {
		t.Fatal(err)
	}
	c = clean(t, l, "gpu1", "--all", "-y")
	user.Process.Kill()
	user.Wait()
	if strings.Join(c.Removed, ",") != "kernel mine,proj" || !c.stays("is in use") {
		t.Errorf("removed: %+v", c)
	}
	l.Must("run", "gpu1", "--name", "quick", "--", "true")
	before = l.Must("ls").Stdout
	clean(t, l, "gpu1", "-y")
	if now := l.Must("ls").Stdout; !strings.Contains(before, "gpu1/quick") || strings.Contains(now, "gpu1/quick") {
		t.Errorf("ls has what was removed:\n%s\nbefore:\n%s", now, before)
	}
	works(t, l, other)
	if lost, _, _ := page.got(100000); lost > 99990 {
		t.Error("nothing is printed any more")
	}
	if gpu1.ReadFile("/home/me/proj/thesis.tex") != "thesis\n" || gpu1.ReadFile(cleanKernel) != "" {
		t.Error("the project is gone, or the kernel is not")
	}

	if r := l.RunEnv(theirs, "stop", "-y", "gpu1/other"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	l.Must("close", "gpu1")
	l.RunEnv(theirs, "close", "gpu1")
	gpu1.Kill("serve relay-", syscall.SIGKILL)
	gpu1.Sh(`mount -o remount,size=$(($(df --output=used -k /home | tail -1) + 64))k /home
		head -c 1000000 /dev/zero >/home/me/filler 2>/dev/null || :`)
	c = clean(t, l, "gpu1", "--all", "-y")
	if strings.Join(c.Removed, ",") != "JupyterLab,other,1 program of a relay that has ended" || c.Bytes < 1<<20 || len(c.Stays) != 0 {
		t.Errorf("at last: %+v", c)
	}
	if left := gpu1.ShAs(lab.Me, "find .local/share/nbremote /dev/shm/nbr* /tmp/nbr* 2>/dev/null; :"); left != "" {
		t.Errorf("left:\n%s", left)
	}
	if len(gpu1.Running("serve relay-")) != 0 {
		t.Error("a relay was started")
	}
	if r := l.Must("clean", "gpu1"); !strings.Contains(r.Stderr, "nothing to remove") {
		t.Errorf("again:\n%s%s", r.Stdout, r.Stderr)
	}
}
