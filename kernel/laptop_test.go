package kernel

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A kernel is kept for ten minutes unless its window says otherwise.
func TestWindow_KeepsTenMinutes(t *testing.T) {
	for keep, want := range map[time.Duration]string{0: `"keep":600,`, 3 * time.Second: `"keep":3,`} {
		text, err := (&Window{Name: "ds", Spec: "/k/ds", Key: "k", Keep: keep}).script()
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v: no %s in what the host is told, %v", keep, want, err)
		}
	}
}

// The supervisor's socket has its name only once it listens: who sees it may
// connect at once.
func TestSupervisor_ListensBeforeItIsSeen(t *testing.T) {
	lab.Needs(t, "python3")
	dir := t.TempDir()
	lab.Write(t, dir+"/wish", `{"key":"k","scheme":"hmac-sha256","name":"ds","keep":1,"dir":"/","spec":"/"}`, 0o600)
	lab.Write(t, dir+"/supervise.py", superviseText, 0o600)
	out, err := exec.Command("python3", "-c", `
import os, socket, sys
def listen(self, most):
    print(os.path.exists(sys.argv[1] + "/c"), flush=True)
    os._exit(0)
socket.socket.listen = listen
exec(open(sys.argv[1] + "/supervise.py").read())
`, dir).CombinedOutput()
	if err != nil || string(out) != "False\n" {
		t.Errorf("it is seen before it listens: %s, %v", out, err)
	}
}
