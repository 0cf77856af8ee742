package sshx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxHops      = 10
	resolveLimit = 20 * time.Second // Match exec and canonical names may take a while
	maxAnswer    = 1 << 20
)

// insideEnv is set for each ssh of ours: a Match exec of the ssh_config can
// tell by it that it is not to send us round in a circle.
const insideEnv = "NBREMOTE_INSIDE"

// Resolver turns names into targets by asking ssh itself (ssh -G), so that
// Match, Include and tokens mean what they mean to ssh.
type Resolver struct {
	ConfigFile string // ssh -F; "" is the user's and the system's
	SSH        string // the program; "" is ssh on PATH
}

// Resolve finds out what name is, with the gateways on the way. via replaces
// the ProxyJump of the ssh_config; of its names, as of a ProxyJump list, only
// the first brings gateways of its own. via "none" is no gateway. A name that
// is not in the ssh_config is taken for a DNS name, which Connect checks.
func (r Resolver) Resolve(ctx context.Context, name string, via []string) (*Target, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, resolveLimit, fmt.Errorf("ssh -G took more than %s", seconds(resolveLimit)))
	defer cancel()
	w := walk{Resolver: r}
	t, err := w.target(ctx, name, via, len(via) > 0)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", show(name), err)
	}
	return t, nil
}

// walk is one resolution: it counts the names it meets, so that a circle ends.
type walk struct {
	Resolver
	names int
	path  []string // the names whose gateways are being resolved
}

// target resolves a name, and its gateways: those of the config, or jumps when
// replace is set.
func (w *walk) target(ctx context.Context, typed string, jumps []string, replace bool) (*Target, error) {
	if w.names++; w.names > maxHops+1 {
		return nil, usagef("", "more than %d gateways: %s", maxHops, strings.Join(w.path, " → "))
	}
	n, err := parseName(typed)
	if err != nil {
		return nil, err
	}
	t, own, err := w.ask(ctx, n, replace)
	if err != nil {
		return nil, err
	}
	t.Name, t.ConfigFile = strings.TrimPrefix(typed, "ssh://"), w.ConfigFile
	t.SSH = w.SSH
	if replace {
		t.ProxyCommand, t.ControlPath = "", "" // a master that runs may go another way
	} else {
		jumps = own
	}
	if len(jumps) == 0 || len(jumps) == 1 && jumps[0] == "none" {
		return t, nil
	}
	w.path = append(w.path, t.Name)
	t.Via, err = w.chain(ctx, jumps)
	return t, err
}

// chain resolves a list of gateways, nearest to us first.
func (w *walk) chain(ctx context.Context, jumps []string) (via *Target, err error) {
	for i, jump := range jumps {
		var t *Target
		if i == 0 {
			for _, before := range w.path {
				if before == jump {
					return nil, usagef("ssh -G "+jump, "the gateways go round in a circle: %s → %s", strings.Join(w.path, " → "), jump)
				}
			}
			t, err = w.target(ctx, jump, nil, false)
		} else {
			t, err = w.target(ctx, jump, nil, true)
		}
		if err != nil {
			return nil, fmt.Errorf("gateway %s: %w", show(jump), err)
		}
		if i > 0 {
			t.Via = via
		}
		via = t
	}
	return via, nil
}

// ask asks ssh about one name. It returns the target without gateways, and the
// gateways that the config names for it.
func (w *walk) ask(ctx context.Context, n name, noJump bool) (*Target, []string, error) {
	program := w.SSH
	if program == "" {
		program = "ssh"
	}
	path, err := exec.LookPath(program)
	if err != nil { // or it is one of the working directory, which is not run
		t, err := w.withoutSSH(n)
		return t, nil, err
	}
	out, err := runSSH(ctx, path, w.arguments(n, noJump))
	if err != nil {
		return nil, nil, err
	}
	return parseSettings(out, n)
}

func (w *walk) arguments(n name, noJump bool) []string {
	args := []string{"-G", "-T"}
	if w.ConfigFile != "" {
		args = append(args, "-F", w.ConfigFile)
	}
	if n.user != "" {
		args = append(args, "-l", n.user)
	}
	if n.port != 0 {
		args = append(args, "-p", strconv.Itoa(n.port))
	}
	if noJump {
		args = append(args, "-J", "none")
	}
	return append(args, "--", n.host)
}

// unknownOption is what ssh says of an option of another ssh, such as Apple's
// UseKeychain.
var unknownOption = regexp.MustCompile(`Bad configuration option: (\w+)`)

// runSSH runs ssh -G. It ends with ctx, whatever a "Match exec" of the config
// has started.
func runSSH(ctx context.Context, path string, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &limited{w: &stdout, n: maxAnswer}
	cmd.Stderr = &limited{w: &stderr, n: 4096}
	cmd.WaitDelay, cmd.Env = time.Second, append(os.Environ(), insideEnv+"=1")
	ownGroup(cmd)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		e := &plainError{text: "ssh -G: " + err.Error(), class: classUsage, cause: oneLine(stderr.String())}
		if m := unknownOption.FindStringSubmatch(stderr.String()); m != nil {
			e.hint = "IgnoreUnknown " + m[1] + ", in the line before it: ssh itself stops there too"
		}
		return nil, e
	}
	return stdout.Bytes(), nil
}

// limited keeps the first n bytes and lets the rest go.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(b []byte) (int, error) {
	kept := b[:min(len(b), l.n)]
	l.n -= len(kept)
	if _, err := l.w.Write(kept); err != nil {
		return 0, err
	}
	return len(b), nil
}

// withoutSSH is what a name means where there is no ssh program: itself. An
// ssh_config that would have had a say is an error.
func (w *walk) withoutSSH(n name) (*Target, error) {
	home := homeDir()
	config := w.ConfigFile
	if config == "" {
		config = filepath.Join(home, ".ssh", "config")
	}
	if _, err := os.Stat(config); err == nil && w.ConfigFile != "none" || w.ConfigFile != "" && w.ConfigFile != "none" {
		return nil, usagef("install OpenSSH's client", "%s has to be read by the ssh program, and there is none", config)
	}
	t := &Target{
		User: n.user, Host: n.host, Port: n.port, PubkeyAuth: true, PasswordAuth: true, KbdAuth: true,
		UserKnownHosts:   []string{filepath.Join(home, ".ssh", "known_hosts"), filepath.Join(home, ".ssh", "known_hosts2")},
		GlobalKnownHosts: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
	}
	for _, key := range []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"} {
		t.IdentityFiles = append(t.IdentityFiles, filepath.Join(home, ".ssh", key))
	}
	if t.Port == 0 {
		t.Port = 22
	}
	if t.User == "" {
		t.User = localUser()
	}
	return t, nil
}

// homeDir is the home that ssh uses: that of the account, not $HOME.
func homeDir() string {
	if u, err := user.Current(); err == nil && u.HomeDir != "" {
		return u.HomeDir
	}
	home, _ := os.UserHomeDir()
	return home
}

func localUser() string {
	u, err := user.Current()
	if err != nil {
		return os.Getenv("USER")
	}
	_, short, found := strings.Cut(u.Username, `\`) // DOMAIN\user
	if found {
		return short
	}
	return u.Username
}
