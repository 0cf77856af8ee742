package test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/test/lab"
)

// both engines do it.
var engines = []string{"native", "openssh"}

// No agent goes to a host or a gateway, whatever ssh_config says. ssh -A does
// take it there, which is how we know that it would be seen.
func TestD7_NoAgentIsForwarded(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", "ForwardAgent yes\n"+l.SSHConfig())
	l.Laptop.ShAs(lab.Me, "ssh-agent -a /home/me/agent >/dev/null && SSH_AUTH_SOCK=/home/me/agent ssh-add -q .ssh/id_ed25519")
	env := []string{"SSH_AUTH_SOCK=/home/me/agent"}
	for _, m := range []*lab.Machine{l.Host("gw1"), l.Host("gpu1")} {
		if found := agentsOn(m); found != "" {
			t.Fatalf("before all: %s", found)
		}
	}
	for _, name := range engines {
		engine(l, name, "gw1", "gpu1")
		r := l.RunEnv(env, "open", "--json", "--no-browser", "gpu1")
		if r.Exit != 0 {
			t.Fatalf("%s: exit %d\n%s", name, r.Exit, r.Stderr)
		}
		works(t, l, parseOpened(t, r))
		for _, m := range []*lab.Machine{l.Host("gw1"), l.Host("gpu1")} {
			if found := agentsOn(m); found != "" {
				t.Errorf("%s, on %s: %s", name, m.Name, found)
			}
		}
		l.Must("stop", "gpu1", "-y")
		l.Must("close", "--all")
	}
	twin := l.Laptop.As(t.Context(), lab.Me, "/usr/bin/ssh", "-o", "BatchMode=yes", "gpu1", "exec sleep 60")
	twin.Env = append(twin.Env, env...)
	if err := twin.Start(); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 20*time.Second, "ssh to take the agent there", func() bool { return agentsOn(l.Host("gpu1")) != "" })
	_ = twin.Process.Kill()
	_ = twin.Wait()
}

// agentsOn are the sockets of forwarded agents, and the processes that know one.
func agentsOn(m *lab.Machine) string {
	found := m.Sh("find /tmp -name 'agent.*' 2>/dev/null || :")
	for _, p := range m.Processes() {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		if strings.Contains("\x00"+string(environ), "\x00SSH_AUTH_SOCK=") {
			found += p.Line + "\n"
		}
	}
	return found
}

// The code has nothing that would do it.
func TestD7_NoCodeForwardsAnAgent(t *testing.T) {
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, word := range []string{"ForwardToAgent", "ForwardToRemote", "RequestAgentForwarding", "auth-agent", "ServeAgent("} {
			if strings.Contains(read(t, file), word) {
				t.Errorf("%s has %s", file, word)
			}
		}
	}
}

// A gateway that puts another SSH server in the host's place is found out before
// anybody signs in there.
func TestD8_GatewayStandsInForTheHost(t *testing.T) {
	t.Parallel()
	for _, name := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Gateways: 1})
			gw1, gpu1 := l.Host("gw1"), l.Host("gpu1")
			engine(l, name, "gw1", "gpu1")
			gw1.Sh("ip address add " + gpu1.Addr + "/32 dev lo") // now its own sshd has that address
			r := l.Run("open", "-y", "--no-browser", "gpu1")
			fails(t, r, 6, "host key of gpu1 changed", "ssh-keygen")
			if n := signIns(gw1); n != 1 {
				t.Errorf("%d sign-ins at gw1, not its own alone", n)
			}
			if n := fromElsewhere(gpu1); n != 0 {
				t.Errorf("%d connections to gpu1 itself", n)
			}
			gw1.Sh("ip address del " + gpu1.Addr + "/32 dev lo")
			works(t, l, open(t, l, "gpu1"))
		})
	}
}

// A server tells its other host keys after the sign-in: none of them is learnt.
// ssh with UpdateHostKeys does learn them, so they were told.
func TestD9_ToldHostKeysAreNotLearnt(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	config := "UpdateHostKeys yes\n" + l.SSHConfig()
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", config)
	known := gpu1.Addr + " " + gpu1.HostKeys()[0]
	l.Laptop.WriteFile(lab.Me, knownHosts, known)
	for _, name := range engines {
		engine(l, name, "gpu1")
		o := open(t, l, "gpu1")
		works(t, l, o)
		gpu1.HangUp()
		works(t, l, o)
		l.Must("close", "gpu1")
		if now := l.Laptop.ReadFile(knownHosts); now != known {
			t.Errorf("%s: known_hosts was\n%sand is\n%s", name, known, now)
		}
	}
	if r := l.SSH("gpu1", "true"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	if now := l.Laptop.ReadFile(knownHosts); strings.Count(now, "\n") < 2 {
		t.Errorf("ssh has learnt nothing either:\n%s", now)
	}
}

// DNS vouches for no host key. ssh would take its word.
func TestE8_NoHostKeysByDNS(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Unknown: true})
	gpu1 := l.Host("gpu1")
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(gpu1.HostKeys()[0]))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(key.Marshal())
	dns := l.Laptop.DNS(func(_ string, kind uint16) lab.Answer {
		if kind == lab.KindSSHFP { // Ed25519, SHA-256 (RFC 4255, 7479)
			return lab.Answer{Records: [][]byte{append([]byte{4, 2}, sum[:]...)}, Secure: true}
		}
		return lab.Addresses(kind, gpu1.Addr)
	})
	l.Laptop.WriteMode("root", "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1 trust-ad\n", 0o644)
	laptopConfig(l, "HostName "+gpu1.Addr, "HostName gpu1.example\n  HostKeyAlgorithms ssh-ed25519\n  VerifyHostKeyDNS yes")
	for _, name := range engines {
		engine(l, name, "gpu1")
		fails(t, l.Run("open", "--no-browser", "gpu1"), 6, "gpu1")
		if n := signIns(gpu1); n != 0 {
			t.Errorf("%s: it signed in", name)
		}
		if n := dns.Asked(lab.KindSSHFP); n != 0 {
			t.Errorf("%s: DNS was asked for keys %d times", name, n)
		}
	}
	if r := l.SSH("gpu1", "true"); r.Exit != 0 || dns.Asked(lab.KindSSHFP) == 0 {
		t.Errorf("ssh itself: exit %d, asked %d times\n%s", r.Exit, dns.Asked(lab.KindSSHFP), r.Stderr)
	}
}

// What is in the user's own ssh_config runs as ssh runs it, but for LocalCommand.
func TestF6_SSHConfigRunsAsWithSSH(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/more", "Host gpu1\n  ProxyCommand sh -c 'touch ~/ran.proxy; exec ssh -W %h:%p gw1'\n  PermitLocalCommand yes\n  LocalCommand touch ~/ran.local\n")
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", "Match originalhost gpu1 exec \"touch ~/ran.match\"\n  Include ~/.ssh/more\nMatch all\n"+l.SSHConfig())
	ran := func() string {
		return strings.TrimSpace(l.Laptop.ShAs(lab.Me, "ls ran.* 2>/dev/null | tr '\\n' ' '; rm -f ran.*"))
	}
	for _, name := range engines {
		engine(l, name, "gpu1")
		works(t, l, open(t, l, "gpu1"))
		if got := ran(); got != "ran.match ran.proxy" {
			t.Errorf("%s ran %q", name, got)
		}
		l.Must("stop", "gpu1", "-y")
		l.Must("close", "gpu1")
	}
	if r := l.SSH("gpu1", "true"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	if got := ran(); got != "ran.local ran.match ran.proxy" {
		t.Errorf("ssh ran %q", got)
	}
}

// foreign are the files that a directory from elsewhere may bring along.
var foreign = map[string]string{
	"nbremote.toml": settingsOfOthers, ".nbremote.toml": settingsOfOthers, "config.toml": settingsOfOthers, ".nbremote/config.toml": settingsOfOthers,
	".config/nbremote/config.toml": settingsOfOthers, "nbremote/config.toml": settingsOfOthers, ".nbremoterc": settingsOfOthers,
	".ssh/config": sshConfigOfOthers, "ssh_config": sshConfigOfOthers, "config": sshConfigOfOthers,
	".env": "NBREMOTE_SSH_CONFIG=ssh_config\nNBREMOTE_MARK=theirs\n", ".envrc": "export NBREMOTE_SSH_CONFIG=$PWD/ssh_config\n",
	"pyproject.toml": "[tool.nbremote]\ndefault_host = \"theirs\"\n",
}

const (
	settingsOfOthers  = "default_host = \"theirs\"\n[hosts.gpu1]\nssh = \"theirs\"\nsetenv = { NBREMOTE_MARK = \"theirs\" }\n"
	sshConfigOfOthers = "Host *\n  ProxyCommand touch /home/me/theirs\n"
)

// Files in the directory where a command is called decide nothing.
func TestF4_FilesInTheDirectoryDecideNothing(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	in := func(dir, command string) string {
		return l.Laptop.ShAs(lab.Me, "mkdir -p "+dir+" && cd "+dir+" && BROWSER=lab-browser GORACE=log_path=/tmp/race "+command+" 2>&1")
	}
	for name, text := range foreign {
		l.Laptop.WriteFile(lab.Me, "/home/me/clone/"+name, text)
	}
	if there, empty := in("clone", "nbremote config"), in("empty", "nbremote config"); there != empty || strings.Contains(there, "theirs") {
		t.Errorf("settings in a clone:\n%s\nin an empty directory:\n%s", there, empty)
	}
	in("clone", "nbremote open --no-browser gpu1")
	works(t, l, open(t, l, "gpu1"))
	for _, p := range l.Host("gpu1").Running("jupyter-lab") {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		if strings.Contains(string(environ), "NBREMOTE_MARK") {
			t.Errorf("a variable of theirs is set in %s", p.Line)
		}
	}
	if _, err := os.Stat(l.Laptop.Path("/home/me/theirs")); err == nil {
		t.Error("their ProxyCommand ran")
	}
	// The same text counts where it should, and not if others can write it.
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", settingsOfOthers)
	if said := in("empty", "nbremote config"); !strings.Contains(said, "theirs") {
		t.Errorf("the person's own settings do not count:\n%s", said)
	}
	l.Laptop.WriteMode(lab.Me, "/home/me/.config/nbremote/config.toml", settingsOfOthers, 0o664)
	fails(t, l.Run("config"), 2, "config.toml", "others can write")
}

// A Jupyter with known holes is named when it is opened, with what mends it;
// nothing is said of one without.
func TestC5_KnownHolesAreSaid(t *testing.T) {
	t.Parallel()
	old := lab.Jupyter + "-2.7"
	lab.Needs(t, filepath.Join(old, "bin/jupyter-server"))
	l := lab.New(t, lab.Chain{})
	said := func(args ...string) string {
		r := l.Must(append([]string{"open", "--no-browser", "gpu1"}, args...)...)
		var found []string
		for line := range strings.Lines(r.Stderr) {
			if strings.Contains(line, "known holes") {
				found = append(found, strings.TrimSpace(line))
			}
		}
		return strings.Join(found, "\n")
	}
	if got := said(); got != "" {
		t.Errorf("of a Jupyter of today: %s", got)
	}
	if got := said("--name", "old", "--env", old, "--ui", "server"); strings.Contains(got, "\n") || !strings.Contains(got, "Jupyter Server 2.7.") || !strings.Contains(got, "CVE-2026-5422") {
		t.Errorf("of an old one: %q", got)
	}
	l.Host("gpu1").Kill("jupyter-server", syscall.SIGTERM)
}
