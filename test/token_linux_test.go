package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/test/lab"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// smartcard puts a token with a new key on the laptop, and the key into the
// account on m; ssh_config names its provider for m, and no other key.
func smartcard(t *testing.T, l *lab.Lab, m *lab.Machine) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := x509.MarshalPKCS8PrivateKey(key)
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteFile(lab.Me, "/home/me/.ssh/authorized_keys", string(ssh.MarshalAuthorizedKey(public)))
	l.Laptop.WriteFile(lab.Me, "/home/me/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/softhsm2/softhsm2.conf", "directories.tokendir = /home/me/tokens\n")
	l.Laptop.ShAs(lab.Me, `mkdir tokens && softhsm2-util --init-token --free --label card --so-pin 8765 --pin 4321 &&
		softhsm2-util --import key.pem --token card --label key --id 01 --pin 4321 && rm key.pem`)
	config := l.Laptop.ReadFile("/home/me/.ssh/config")
	at := "Host " + m.Name + "\n"
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.Replace(config, at, at+"  PKCS11Provider "+softHSM+"\n  IdentityFile none\n", 1))
}

const krb5Conf = `[libdefaults]
default_realm = LAB.TEST
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
LAB.TEST = {
  kdc = KDC
}
`

// realm makes m the one machine of a Kerberos realm: its KDC, which ends with
// the machine, and a host in it. The laptop's user is in it as well.
func realm(t *testing.T, l *lab.Lab, m *lab.Machine) {
	t.Helper()
	conf := strings.Replace(krb5Conf, "KDC", m.Addr, 1)
	for _, one := range []*lab.Machine{l.Laptop, m} {
		one.WriteMode("root", "/etc/krb5.conf", conf, 0o644)
	}
	m.WriteFile("root", "/run/kdc/kdc.conf", "[realms]\nLAB.TEST = {\n database_name = /run/kdc/principal\n key_stash_file = /run/kdc/stash\n acl_file = /run/kdc/acl\n}\n")
	m.Sh(`export KRB5_KDC_PROFILE=/run/kdc/kdc.conf
		kdb5_util create -s -W -r LAB.TEST -P master
		kadmin.local -q 'addprinc -pw shallow me'
		kadmin.local -q 'addprinc -randkey host/` + m.Addr + `'
		kadmin.local -q 'ktadd -k /etc/krb5.keytab host/` + m.Addr + `'`)
	kdc := m.As(context.Background(), "root", "sh", "-c", "KRB5_KDC_PROFILE=/run/kdc/kdc.conf exec krb5kdc -n")
	if err := kdc.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kdc.Process.Kill(); kdc.Wait() })
	config := l.Laptop.ReadFile("/home/me/.ssh/config")
	at := "Host " + m.Name + "\n"
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.Replace(config, at, at+"  GSSAPIAuthentication yes\n  IdentityFile none\n", 1))
	m.Configure("GSSAPIAuthentication yes\nGSSAPIStrictAcceptorCheck no\nPasswordAuthentication no\n")
	lab.Wait(t, 30*time.Second, "a ticket", func() bool {
		return strings.Contains(l.Laptop.ShAs(lab.Me, "echo shallow | kinit me >/dev/null 2>&1 && echo got; :"), "got")
	})
}

// A real token (SoftHSM) and a real ticket (MIT Kerberos): ssh signs in by
// itself where ssh -G tells. What needed a PIN is not dialled again by itself;
// a ticket is.
func TestEngine_SmartcardAndTicket(t *testing.T) {
	t.Parallel()
	lab.Needs(t, softHSM, "softhsm2-util", "/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local", "kinit", "klist")
	l := lab.New(t, lab.Chain{Hosts: 2})
	gpu1, gpu2 := l.Host("gpu1"), l.Host("gpu2")
	realm(t, l, gpu1)
	smartcard(t, l, gpu2)

	ticket := open(t, l, "gpu1")
	if !strings.Contains(gpu1.SSHDLog(), "Accepted gssapi-with-mic for me") {
		t.Error("not by the ticket")
	}
	gpu1.HangUp()
	works(t, l, ticket) // held until the line is back
	l.Laptop.ShAs(lab.Me, "kdestroy")
	l.Must("close", "gpu1")
	fails(t, l.Run("open", "--no-browser", "gpu1"), 4, "sign in to gpu1")

	pin := func(text string) *lab.Terminal {
		x := l.Pty("open", "--no-browser", "gpu2")
		x.Expect("PIN for 'card'", 30*time.Second)
		x.Type(text + "\r")
		return x
	}
	fails(t, l.Run("open", "--no-browser", "gpu2"), 4, "sign in to gpu2")
	if x := pin("4321"); x.Wait().Exit != 0 || strings.Contains(x.Screen(), "4321") || !strings.Contains(x.Screen(), "gpu2 asks:") {
		t.Fatalf("by the card:\n%s", x.Screen())
	}
	card := open(t, l, "gpu2")
	works(t, l, card)
	gpu2.HangUp()
	lab.Wait(t, 60*time.Second, "the holder to want a person", func() bool {
		return strings.Contains(l.Run("ls").Stdout, "needs sign-in")
	})
	before := connections(gpu2)
	time.Sleep(4 * time.Second) // else it dials each second
	if n := connections(gpu2) - before; n > 0 {
		t.Errorf("it dialled %d times unasked", n)
	}
	if x := pin("4321"); x.Wait().Exit != 0 {
		t.Fatalf("again:\n%s", x.Screen())
	}
	if again := open(t, l, "gpu2"); again.Port != card.Port || again.HolderPID != card.HolderPID {
		t.Errorf("another holder or port: %+v, was %+v", again, card)
	}
	works(t, l, card)
}
