package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// No token in any argument list on either machine, from before the start to
// after the stop.
func TestA2_B4_NoTokenInArguments(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	s := lab.Sample(t)
	o := open(t, l, "gpu1")
	l.Must("open", "--new-tab", "gpu1")
	l.NextOpened(0)
	l.Must("restart", "gpu1", "-y")
	l.Must("logs", "gpu1")
	l.Must("stop", "gpu1", "-y")
	if len(o.Token) < 40 {
		t.Fatalf("a token of %d characters", len(o.Token))
	}
	for _, line := range s.Find(o.Token) {
		t.Errorf("the token is in: %s", line)
	}
}

// Another user of the host does not get as far as Jupyter's door.
func TestA1_NoDoorForOtherUsers(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{{Name: "mallory"}}})
	gpu1 := l.Host("gpu1")
	o := open(t, l, "gpu1")
	if ports := gpu1.Sh("ss -Hltn | grep -v ':22 ' || true"); ports != "" {
		t.Errorf("it listens on a port: %s", ports)
	}
	sockets := strings.Fields(gpu1.Sh("find /home /run/user /tmp /dev/shm -type s -user me 2>/dev/null"))
	if len(sockets) == 0 {
		t.Fatal("no socket found: the search is blind")
	}
	for _, name := range sockets {
		try := `import socket,sys
s = socket.socket(socket.AF_UNIX)
try: s.connect(sys.argv[1])
except OSError as e: print(type(e).__name__)
else: print("connected")`
		gpu1.WriteMode("root", "/run/try.py", try, 0o644)
		if got := gpu1.ShAs("mallory", "/usr/bin/python3 /run/try.py '"+name+"'"); got != "PermissionError\n" {
			t.Errorf("%s: %s", name, got)
		}
	}
	works(t, l, o)
}

// What tmux keeps (the pane and its history, its environment, titles) and what
// is logged never holds the token.
func TestA4_NotInTmuxNorLogs(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	o := open(t, l, "gpu1")
	works(t, l, o)
	// A request that says the token in the address, and one that fails.
	status(t, l, o, "/api/status?token="+o.Token, "")
	status(t, l, o, "/api/contents/none?token="+o.Token, "")
	sock := strings.TrimSpace(gpu1.Sh("find /run/user /tmp /dev/shm /home -name 'tmux*' -type s -user me"))
	if sock == "" {
		t.Fatal("no socket of tmux found")
	}
	kept := gpu1.ShAs(lab.Me, `for t in $(tmux -S '`+sock+`' list-sessions -F '#{session_id}'); do
tmux -S '`+sock+`' capture-pane -p -J -S - -t "$t"; tmux -S '`+sock+`' show-environment -t "$t"; done
tmux -S '`+sock+`' show-environment -g; tmux -S '`+sock+`' list-panes -a -F '#{pane_title} #{window_name} #{pane_start_command}'`)
	if !strings.Contains(kept, "Jupyter Server") {
		t.Errorf("the pane does not follow the log:\n%s", kept)
	}
	logs := l.Must("logs", "gpu1").Stdout + l.Must("ls").Stdout
	for what, text := range map[string]string{"tmux": kept, "logs": logs} {
		if strings.Contains(text, o.Token) {
			t.Errorf("%s has the token:\n%s", what, text)
		}
	}
}

// secretsAt gives the files below dirs of a machine that hold a text.
func secretsAt(m *lab.Machine, text string, dirs ...string) []string {
	out := m.Sh("grep -rlF -- '" + text + "' " + strings.Join(dirs, " ") + " 2>/dev/null || true")
	return strings.Fields(out)
}

// On the host, another user can read nothing of what runs there for me, and no
// log has the token.
func TestA5_ModesOfFiles(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{{Name: "mallory"}}})
	gpu1 := l.Host("gpu1")
	o := open(t, l, "gpu1")
	if files := secretsAt(gpu1, o.Token, "/home", "/run/user", "/tmp", "/dev/shm"); len(files) == 0 {
		t.Error("no file has the token: the search is blind")
	} else {
		for _, file := range files {
			if strings.HasSuffix(file, "log") {
				t.Errorf("a log has the token: %s", file)
			}
		}
	}
	if found := readable(gpu1, "mallory", "/home", "/run/user", "/tmp", "/dev/shm"); found != "" {
		t.Errorf("another user gets at\n%s", found)
	}
}

// readable are my files that another account of a machine can read, write or
// enter.
func readable(m *lab.Machine, account string, dirs ...string) string {
	return m.ShAs(account, `find `+strings.Join(dirs, " ")+` -user me \( -readable -o -writable \) 2>/dev/null | grep -v '^/home/me$' || true`)
}

func TestB7_ModesOfFilesOnTheLaptop(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Laptop.AddAccount(lab.Account{Name: "mallory"})
	l.Laptop.Sh("chmod 755 /home/me; umask 000; mkdir -p -m 755 /home/me/.local/state /home/me/.config && chown -R me /home/me/.local /home/me/.config")
	o := open(t, l, "gpu1")
	l.Must("open", "--new-tab", "gpu1")
	l.Must("ls")
	// What the browser of the lab writes down is not nbremote's.
	found := l.Laptop.ShAs("mallory", `find /home/me/.local/state/nbremote /home/me/.config/nbremote /run/user /tmp -user me \( -perm /077 -o -readable \) 2>/dev/null || true`)
	if strings.TrimSpace(found) != "" {
		t.Errorf("another user gets at\n%s", found)
	}
	if files := secretsAt(l.Laptop, o.Token, "/home", "/run/user", "/tmp"); len(files) != 0 {
		t.Errorf("the token is in %q", files)
	}
}

// Nothing of the home is changed but what is documented.
func TestA10_HomeIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.WriteFile(lab.Me, "/home/me/.bashrc", "export X=1\n")
	list := `find . -path ./.local/share/nbremote -prune -o -type f ! -path './.local/share/jupyter/*' ! -path './.jupyter/*' ! -path './.ipython/*' ! -path './.cache/*' ! -path './.npm/*' -exec sha256sum {} + | sort -k2`
	before := host.ShAs(lab.Me, list)
	open(t, l, "gpu1")
	l.Must("stop", "gpu1", "-y")
	if after := host.ShAs(lab.Me, list); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A user's own settings that would open the server to others do not.
func TestA11_OwnSettingsThatOpenTheServer(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", `c = get_config()
c.IdentityProvider.token = ""
c.ServerApp.token = ""
c.ServerApp.password = ""
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.port = 8888
c.ServerApp.allow_origin = "*"
c.ServerApp.allow_remote_access = True
c.ServerApp.disable_check_xsrf = True
`)
	gpu1.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.json", `{"ServerApp": {"token": "", "allow_origin_pat": ".*"}, "IdentityProvider": {"token": ""}}`)
	o := open(t, l, "gpu1")
	if o.Token == "" {
		t.Error("no token")
	}
	if listening := gpu1.Sh("ss -Hltn | grep -v ':22 ' || true"); strings.Contains(listening, "0.0.0.0:8888") || strings.Contains(listening, "*:8888") {
		t.Errorf("it listens for everybody: %s", listening)
	}
	get := fmt.Sprintf(`import urllib.request as u, urllib.error as e
def ask(h):
    try:
        r = u.urlopen(u.Request("http://127.0.0.1:%d/api/status", headers=h)); return r.status, r.headers.get("Access-Control-Allow-Origin")
    except e.HTTPError as x: return x.code, x.headers.get("Access-Control-Allow-Origin")
print(ask({}), ask({"Authorization": "token %s"}))`, o.Port, o.Token)
	l.Laptop.WriteFile(lab.Me, "/home/me/ask.py", get)
	got := strings.ReplaceAll(l.Laptop.ShAs(lab.Me, "/usr/bin/python3 ask.py"), "''", "None")
	if got != "(403, None) (200, None)\n" {
		t.Errorf("without and with the token: %s", got)
	}
}

// Another user of the host has been there first, wherever a name can be
// guessed.
func TestA8_AnotherUserWasThereFirst(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{{Name: "mallory"}}})
	gpu1 := l.Host("gpu1")
	gpu1.ShAs("mallory", "mkdir /tmp/tmux-20001 /tmp/nbremote /dev/shm/nbremote /tmp/nbremote-20001 /dev/shm/nbremote-20001 && chmod 777 /tmp/* /dev/shm/*")
	open(t, l, "gpu1")
	l.Must("stop", "-y", "gpu1")
}

// What one run has left as names in common places, another user lays traps
// under for the next.
func TestA9_TrapsUnderOldNames(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{{Name: "mallory"}}})
	gpu1 := l.Host("gpu1")
	open(t, l, "gpu1")
	used := strings.Fields(gpu1.Sh("find /tmp /dev/shm -mindepth 1 -user me"))
	l.Must("stop", "-y", "gpu1")
	l.Must("close", "gpu1")
	for trap, make := range map[string]string{
		"FIFO": "mkfifo '%s'", "link": "ln -s /home/me/.bashrc '%s'", "folder": "mkdir -m 777 '%s'",
	} {
		gpu1.Sh("rm -rf /tmp/* /dev/shm/* /tmp/.[!.]* /dev/shm/.[!.]*")
		for _, name := range used {
			gpu1.ShAs("mallory", "umask 0; d=$(dirname '"+name+"'); [ -w \"$d\" ] || exit 0; "+fmt.Sprintf(make, name)+" || true")
		}
		r := l.Run("open", "--json", "--no-browser", "--no-input", "gpu1")
		if r.Exit != 0 && r.Exit != 7 || r.Took.Seconds() > 60 {
			t.Errorf("%s: exit %d after %v\n%s", trap, r.Exit, r.Took, r.Stderr)
		}
		l.Run("stop", "-y", "gpu1")
		l.Run("close", "gpu1")
	}
	if gpu1.ReadFile("/home/me/.bashrc") != "" {
		t.Error("a link was followed")
	}
}

// A host that is hardened has kernels on sockets that nobody else can enter;
// without it the five channels of each are on ports. What stays is ipykernel's
// own inlet for what its children print, from which nothing can be read.
func TestA7_KernelsOnSockets(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{{Name: "mallory"}}})
	gpu1 := l.Host("gpu1")
	ports := func() int {
		uid := fmt.Sprintf("uid:%d", meUID(t, l))
		return strings.Count(gpu1.Sh("ss -ltnHe"), uid)
	}
	for _, hardened := range []bool{false, true} {
		if hardened {
			l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[hosts.gpu1]\nhardened = true\n")
		}
		o := open(t, l, "gpu1")
		page := newPage(t, l, o.Port, o.Token)
		page.run(t.Context(), counting(3, 0, tick))
		if lost, _, idle := page.finished(3, 30*time.Second); lost != 0 || !idle {
			t.Errorf("hardened %v: %d lost, finished %v", hardened, lost, idle)
		}
		if n := ports(); hardened && n > 1 || !hardened && n < 5 {
			t.Errorf("hardened %v: %d ports:\n%s", hardened, n, gpu1.Sh("ss -ltnpe"))
		}
		if open := gpu1.ShAs(lab.Me, "find ~/.local /dev/shm/nbr.* -name '*-ipc*' -type s"); hardened != (open != "") {
			t.Errorf("hardened %v: sockets %q", hardened, open)
		}
		if found := readable(gpu1, "mallory", "/home", "/run/user", "/tmp", "/dev/shm"); found != "" {
			t.Errorf("others can enter:\n%s", found)
		}
		l.Must("stop", "-y", "gpu1")
	}
}
