package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"nbremote/internal/sshd"
	"nbremote/test/lab"
)

// TestScripts runs each script of the folder: one behaviour, with a laptop's
// home and a host "gpu1" of its own, which is this machine behind a small SSH
// server on loopback. In a script, `nbremote ARGS` runs the program, `exits N`
// says how it has to have ended, and `stdout` and `stderr` look at its output.
func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a Unix")
	}
	lab.Needs(t, "ssh")
	testscript.Run(t, testscript.Params{
		Dir:                 "scripts",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return furnish(env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"nbremote": nbremote,
			"exits":    exits,
		},
	})
}

type lastExit struct{ code int }

func nbremote(ts *testscript.TestScript, neg bool, args []string) {
	last := ts.Value(lastExit{}).(*lastExit)
	last.code = 0
	err := ts.Exec(lab.Binary, args...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		last.code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("nbremote: %v", err)
	}
	if neg != (err != nil) {
		ts.Fatalf("nbremote %s ended with %d", strings.Join(args, " "), last.code)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if got := strconv.Itoa(ts.Value(lastExit{}).(*lastExit).code); neg || len(args) != 1 || got != args[0] {
		ts.Fatalf("it exited with %s, not %s", got, strings.Join(args, " "))
	}
}

// furnish makes the laptop's home and starts gpu1.
func furnish(env *testscript.Env) error {
	env.Values[lastExit{}] = &lastExit{}
	// Short: sockets go there.
	run, err := os.MkdirTemp("/tmp", "nbr")
	if err != nil {
		return err
	}
	home, host := filepath.Join(env.WorkDir, "home"), filepath.Join(env.WorkDir, "gpu1")
	config := filepath.Join(env.WorkDir, "ssh_config")
	for _, dir := range []string{home, host} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_RUNTIME_DIR", run)
	env.Setenv("NBREMOTE_SSH_CONFIG", config)
	env.Setenv("SSH_AUTH_SOCK", "")
	env.Setenv("BROWSER", "true")
	env.Setenv("TERM", "dumb")
	env.Setenv("GORACE", "log_path="+filepath.Join(env.WorkDir, "race"))
	env.Defer(func() { os.RemoveAll(run) })
	env.Defer(func() { endProcesses("HOME=" + home) })
	return startGPU1(env, config, host)
}

func startGPU1(env *testscript.Env, config, home string) error {
	hostKey, _, err := sshd.NewKey()
	if err != nil {
		return err
	}
	userKey, pem, err := sshd.NewKey()
	if err != nil {
		return err
	}
	server := &sshd.Server{
		HostKeys: []ssh.Signer{hostKey}, AuthorizedKeys: []ssh.PublicKey{userKey.PublicKey()},
		Env: []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"},
	}
	if err := server.Start(context.Background()); err != nil {
		return err
	}
	env.Defer(func() { server.Close() })
	me, err := user.Current()
	if err != nil {
		return err
	}
	address, port, _ := strings.Cut(server.Address(), ":")
	known := filepath.Join(env.WorkDir, "known_hosts")
	key := filepath.Join(env.WorkDir, "id_ed25519")
	text := "Host gpu1\n  HostName " + address + "\n  Port " + port + "\n  User " + me.Username +
		"\nHost *\n  IdentityFile " + key + "\n  IdentitiesOnly yes\n  UserKnownHostsFile " + known + "\n"
	line := "[" + address + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	return errors.Join(
		os.WriteFile(config, []byte(text), 0o600),
		os.WriteFile(key, pem, 0o600),
		os.WriteFile(known, []byte(line), 0o600))
}

// endProcesses ends what a script has left running: those that were started
// with a setting of the environment that no other script has.
func endProcesses(setting string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environs {
		text, _ := os.ReadFile(name)
		if pid, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil &&
			strings.Contains("\x00"+string(text), "\x00"+setting+"\x00") {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Signal(syscall.SIGKILL)
			}
		}
	}
}
