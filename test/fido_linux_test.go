package test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

const securityKeyLib = "/usr/local/lib/securitykey.so"

// securityKeys puts a stand-in for a FIDO security key on the laptop
// (testdata/securitykey.c), and keys of it into the accounts on machines: each by its
// own type, named by ssh_config.
func securityKeys(t *testing.T, l *lab.Lab, types map[*lab.Machine]string) {
	t.Helper()
	lab.Needs(t, "cc", "/usr/include/openssl/evp.h", "/usr/lib/openssh/ssh-sk-helper")
	if out, err := exec.Command("cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", l.Laptop.Path(securityKeyLib), "testdata/securitykey.c", "-lcrypto").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.Laptop.ShAs(lab.Me, "mkdir key")
	for m, kind := range types {
		file := "/home/me/.ssh/id_" + strings.ReplaceAll(kind, "-", "_")
		l.Laptop.ShAs(lab.Me, "SSH_SK_PROVIDER="+securityKeyLib+" ssh-keygen -q -t "+kind+" -N '' -f "+file)
		m.WriteFile(lab.Me, "/home/me/.ssh/authorized_keys", l.Laptop.ReadFile(file+".pub"))
		config := l.Laptop.ReadFile("/home/me/.ssh/config")
		at := "Host " + m.Name + "\n"
		l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.Replace(config, at, at+"  SecurityKeyProvider "+securityKeyLib+"\n  IdentityFile "+file+"\n  IdentitiesOnly yes\n", 1))
	}
}

// touched waits for what x says of the key, and touches it.
func touched(l *lab.Lab, x *lab.Terminal, says string) *lab.Terminal {
	x.Expect(says, 30*time.Second)
	l.Laptop.ShAs(lab.Me, "touch key/touch")
	return x
}

// A security key, by a stand-in that OpenSSH loads as one, on a host and on its
// gateway: ssh signs in by itself for a key file, and the native engine by an
// agent that holds the key. Whoever has to touch it is told so, at a terminal
// only, and never unasked.
func TestEngine_SecurityKey(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	gw1, gpu1 := l.Host("gw1"), l.Host("gpu1")
	securityKeys(t, l, map[*lab.Machine]string{gw1: "ecdsa-sk", gpu1: "ed25519-sk"})

	fails(t, l.Run("open", "--no-browser", "gpu1"), 4, "sign in to gw1: it asks for a touch of a security key and nobody can be asked")
	found, r := doctor(t, l)
	if c := find(found, "keys", ""); c.State != "ok" || c.What != "1 to offer: id_ed25519_sk (wants a touch)" {
		t.Errorf("doctor: %+v", c)
	}
	if c := find(found, "sign-in", "gw1"); r.Exit != 4 || !strings.Contains(c.What, "a touch of a security key") || c.Try != "nbremote open gw1, once, in a terminal" {
		t.Errorf("doctor: exit %d, %+v", r.Exit, found)
	}
	opens := func(says ...string) *lab.Terminal {
		x := l.Pty("open", "--no-browser", "gpu1")
		for _, text := range says {
			touched(l, x, text)
		}
		if r := x.Wait(); r.Exit != 0 {
			t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
		}
		return x
	}
	ofHost := "gpu1: touch your security key: ED25519-SK SHA256:"
	opens("gw1: touch your security key: ECDSA-SK SHA256:", ofHost)
	if !strings.Contains(gw1.SSHDLog(), "ssh2: ECDSA-SK") || !strings.Contains(gpu1.SSHDLog(), "ssh2: ED25519-SK") {
		t.Error("not by the security key")
	}
	page := open(t, l, "gpu1")
	works(t, l, page)
	if r := l.Must("run", "gpu1", "--", "echo", "hello"); r.Stdout != "hello\n" {
		t.Errorf("run: %q", r.Stdout)
	}
	if r := l.Must("url", "gpu1"); !strings.Contains(r.Stdout, "?token=") {
		t.Errorf("url: %q", r.Stdout)
	}

	before := connections(gpu1)
	gpu1.HangUp()
	lab.Wait(t, 60*time.Second, "the holder to want a person", func() bool {
		return strings.Contains(l.Run("ls").Stdout, "needs sign-in")
	})
	opens(ofHost)
	works(t, l, page)
	if n := connections(gpu1) - before; n != 1 {
		t.Errorf("%d dials for one touch", n)
	}

	l.Must("close", "gpu1")
	l.Laptop.ShAs(lab.Me, `ssh-agent -a agent -P '/usr/local/lib/*' >/dev/null && SSH_AUTH_SOCK=$PWD/agent ssh-add -q -S `+securityKeyLib+` .ssh/id_ed25519_sk`)
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", "Host gpu1\n  IdentityAgent /home/me/agent\n"+l.Laptop.ReadFile("/home/me/.ssh/config"))
	if x := opens("gpu1: touch your security key: id_ed25519_sk"); !strings.Contains(x.Screen(), "gpu1      signed in (agent)") {
		t.Errorf("not by the agent:\n%s", x.Screen())
	}
	works(t, l, open(t, l, "gpu1"))
}
