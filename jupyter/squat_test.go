//go:build linux

package jupyter

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"nbremote/test/lab"
)

// squat listens on a port of 127.0.0.1 as another user.
func squat(t *testing.T, port int) {
	t.Helper()
	if os.Getuid() != 0 {
		lab.Missing(t, "root, to be another user")
	}
	cmd := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf(
		"import socket,time; s=socket.socket(); s.setsockopt(1,2,1); s.bind(('127.0.0.1',%d)); s.listen(); print('x',flush=True); time.sleep(600)", port))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the other user does not listen")
	}
}
