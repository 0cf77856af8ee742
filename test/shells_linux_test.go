package test

import (
	"testing"

	"nbremote/test/lab"
)

// Whatever the login shell, and whatever it prints.
func TestR3_R4_LoginShellsAndNoise(t *testing.T) {
	t.Parallel()
	noise := "head -c 10240 /dev/zero | tr '\\0' x; printf '\\033[2J'; alias cat=rm; cd /; read -r line; set -u\n"
	accounts := []lab.Account{
		{Name: "inbash", Shell: "/bin/bash"}, {Name: "indash", Shell: "/bin/dash"}, {Name: "inzsh", Shell: "/bin/zsh"},
		{Name: "infish", Shell: "/usr/bin/fish", Files: map[string]string{".config/fish/config.fish": "echo welcome; alias ls 'ls --color'\n"}},
		{Name: "intcsh", Shell: "/bin/tcsh", Files: map[string]string{".tcshrc": "echo welcome\nset noclobber\nalias ls ls -F\n"}},
		{Name: "noisy", Shell: "/bin/bash", Files: map[string]string{".bashrc": noise}},
		{Name: "noisyz", Shell: "/bin/zsh", Files: map[string]string{".zshenv": "echo welcome; cd /; setopt noclobber\n"}},
	}
	l := lab.New(t, lab.Chain{Accounts: accounts})
	for _, a := range accounts {
		lab.Needs(t, a.Shell)
		o := open(t, l, a.Name+"@gpu1")
		works(t, l, o)
		if o.Directory != "/home/"+a.Name {
			t.Errorf("%s: %+v", a.Name, o)
		}
		l.Must("stop", a.Name+"@gpu1", "-y")
		l.Must("close", a.Name+"@gpu1")
	}
}

// A start-up file that ends the shell: what it said is shown.
func TestR4_StartupFileEndsTheShell(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{
		{Name: "gone", Files: map[string]string{".bashrc": "echo 'your account is being moved'; exit 1\n"}},
	}})
	fails(t, l.Run("open", "--no-browser", "gone@gpu1"), 7, "your account is being moved")
}

// Accounts whose shell never reads what is sent to it.
func TestR3_ShellsThatNeverListen(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{
		{Name: "falser", Shell: "/bin/false"},
		{Name: "nologin", Shell: "/usr/sbin/nologin"},
		{Name: "forced", Files: map[string]string{".bashrc": "exec /bin/cat /etc/hostname\n"}},
	}})
	for name, says := range map[string]string{"falser": "gpu1", "nologin": "not available", "forced": "gpu1"} {
		fails(t, l.Run("open", "--no-browser", name+"@gpu1"), 7, says)
	}
}
