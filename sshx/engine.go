package sshx

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// The engines: who signs in and holds the connection.
const (
	EngineAuto    = "auto"    // native, unless only ssh itself can sign in
	EngineNative  = "native"  // this package
	EngineOpenSSH = "openssh" // the user's own ssh, as a ControlMaster of ours
)

// errBeyond says that ssh has something to sign in with that we have not, and
// that it comes before what a person would be asked for.
var errBeyond = errors.New("only ssh itself can do it")

// byOpenSSH decides, once for an attempt, whether ssh itself signs in. Where
// both could, the native engine begins, and gives up in favour of ssh before it
// asks for a password.
func (a *attempt) byOpenSSH() (bool, error) {
	t := a.target
	switch t.Engine {
	case EngineNative:
		return false, nil
	case EngineOpenSSH:
		return true, a.needsSSH()
	}
	if !hasMasters || a.needsSSH() != nil {
		return false, nil
	}
	if t.PKCS11Provider != "" {
		return true, nil
	}
	if !t.mayExceedUs() || !a.auth.load() {
		return false, nil
	}
	a.auth.beyond = t.beyond(a.auth.ids)
	return a.auth.beyond != "" && !a.auth.ids.some(t), nil
}

func (a *attempt) needsSSH() error {
	if !hasMasters {
		return usagef(`engine = "auto"`, "connect to %s: the ssh of this system cannot be shared (no ControlMaster)", a.target.Name)
	}
	if _, err := exec.LookPath(a.target.program()); err != nil {
		return usagef("install OpenSSH's client", `connect to %s: engine = "openssh" needs the ssh program, and there is none`, a.target.Name)
	}
	return nil
}

func (t *Target) program() string {
	if t.SSH == "" {
		return "ssh"
	}
	return t.SSH
}

// mayExceedUs is a quick look whether there could be anything beyond us: most
// targets need not wait for their keys before they dial.
func (t *Target) mayExceedUs() bool {
	return t.GSSAPIAuth && hasTicket() || t.UseKeychain || t.namesFIDO()
}

// namesFIDO says whether a file of ssh_config may be a security key's.
func (t *Target) namesFIDO() bool {
	for _, path := range t.IdentityFiles {
		if isFIDO(readPublic(path + ".pub")) {
			return true
		}
		if _, err := os.Stat(path); err == nil && strings.HasSuffix(path, "_sk") {
			return true
		}
	}
	return false
}

// beyond is what ssh can sign in with and we cannot, as x/crypto knows it by
// the method that it is for; "" is nothing.
func (t *Target) beyond(ids *identities) (method string) {
	switch {
	case t.GSSAPIAuth && hasTicket():
		return "gssapi-with-mic"
	case t.PubkeyAuth && len(ids.fido) > 0, t.UseKeychain && ids.locked():
		return "publickey"
	}
	return ""
}

// some says whether we have a key to offer that needs no keychain.
func (ids *identities) some(t *Target) bool {
	for _, id := range ids.ready {
		if id.agent || !id.file.locked() || !t.UseKeychain {
			return true
		}
	}
	return len(ids.late) > 0 && !t.UseKeychain
}

// locked says whether a key needs a passphrase that a keychain may have.
func (ids *identities) locked() bool {
	for _, id := range ids.ready {
		if !id.agent && id.file.locked() {
			return true
		}
	}
	return len(ids.late) > 0
}

func isFIDO(key ssh.PublicKey) bool { return key != nil && needsTouch(key) }

// ticketTime is how long klist may take: where a service keeps the tickets, it
// waits for that.
const ticketTime = 2 * time.Second

// hasTicket says whether a Kerberos ticket is there and good; without klist,
// whether there is a file of them.
func hasTicket() bool {
	if klist, err := exec.LookPath("klist"); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), ticketTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, klist, "-s")
		cmd.WaitDelay = time.Second
		return cmd.Run() == nil
	}
	cache := os.Getenv("KRB5CCNAME")
	if cache == "" {
		cache = filepath.Join(os.TempDir(), "krb5cc_"+strconv.Itoa(os.Getuid()))
	}
	info, err := os.Stat(strings.TrimPrefix(cache, "FILE:"))
	return err == nil && info.Size() > 0
}
