package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// pam asks twice: for the password, and then, in a round of its own, for what
// pam_stress takes (anything): it stands in for a second factor.
const pam = `auth required pam_unix.so
auth required pam_stress.so
account required pam_permit.so
session required pam_permit.so
`

// publickey,keyboard-interactive with two rounds of questions by PAM, on the
// gateway or on the target, by either engine.
func TestSignIn_KeyThenTwoRounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ engine, hop string }{{"native", "gw1"}, {"native", "gpu1"}, {"openssh", "gw1"}, {"openssh", "gpu1"}} {
		t.Run(c.engine+"_"+c.hop, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Gateways: 1})
			m := l.Host(c.hop)
			byPassword(l, c.hop)
			m.WriteFile("ann", "/home/ann/.ssh/authorized_keys", l.Key().Public)
			m.WriteMode("root", "/etc/pam.d/sshd", pam, 0o644)
			m.Configure("UsePAM yes\nMatch User ann\n  AuthenticationMethods publickey,keyboard-interactive\n  KbdInteractiveAuthentication yes\nMatch all\n")
			engine(l, c.engine, "gw1", "gpu1")
			fails(t, l.Run("open", "--no-browser", "gpu1"), 4, "sign in to "+c.hop)
			x := l.Pty("open", "--no-browser", "gpu1")
			x.Expect("Password:", 30*time.Second)
			x.Type("deep water\r")
			x.Expect("STRESS", 30*time.Second)
			x.Type("second factor\r")
			if r := x.Wait(); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
			}
			for _, secret := range []string{"deep water", "second factor"} {
				if strings.Contains(x.Screen(), secret) {
					t.Errorf("%q is on the screen:\n%s", secret, x.Screen())
				}
			}
			log := m.SSHDLog()
			if !strings.Contains(log, "Partial publickey for ann") || !strings.Contains(log, "Accepted keyboard-interactive/pam for ann") {
				t.Error("not by a key and by PAM")
			}
			works(t, l, open(t, l, "gpu1"))
		})
	}
}
