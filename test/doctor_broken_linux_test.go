package test

import (
	"strings"

	"nbremote/test/lab"
)

// broken is a host, or a laptop, with one thing wrong.
type broken struct {
	name  string
	by    func(l *lab.Lab)
	check string // that finds it
	hop   string
	state string
	says  string // part of what, why or try
	exit  int
	// repair makes it right again: it is given what the check says to try.
	repair func(l *lab.Lab, try string)
	args   []string
	env    []string // of the examination that finds it
	also   []string // checks that are not fine either
}

// paste runs a line on the laptop, as a person would.
func paste(l *lab.Lab, line string) { l.Laptop.ShAs(lab.Me, line) }

// sshd puts the setting that a check names into gpu1's sshd_config.
func sshdOf(host string) func(l *lab.Lab, try string) {
	return func(l *lab.Lab, try string) {
		setting, _, _ := strings.Cut(try, " in the sshd_config")
		l.Host(host).Configure(setting + "\n")
	}
}

// fakeSudo stands in for one that installs: it does what install says. There is
// no network to install from.
func fakeSudo(m *lab.Machine, install string) {
	m.WriteMode("root", "/usr/local/bin/sudo", "#!/bin/sh\n"+install+"\n", 0o755)
}

const gpu1Shell = "/home/me/.bashrc"

var brokenHosts = []broken{
	{
		name: "noise", check: "noise", state: "warning", says: `/bin/bash prints 6 B before each command: "hello"`,
		by:     func(l *lab.Lab) { l.Host("gpu1").WriteFile(lab.Me, gpu1Shell, "echo hello\n") },
		repair: paste,
	},
	{
		name: "hostile_noise", check: "noise", state: "warning", says: `\u001b]0;pwned`,
		by: func(l *lab.Lab) {
			l.Host("gpu1").WriteFile(lab.Me, gpu1Shell, "printf '\\033]0;pwned\\a\\342\\200\\256'\n")
		},
		repair: paste,
	},
	{
		name: "shell_ends", check: "shell", state: "failed", says: "the login shell ended without a word", exit: 7,
		by: func(l *lab.Lab) { l.Host("gpu1").WriteFile(lab.Me, gpu1Shell, "exit 0\n") },
		repair: func(l *lab.Lab, try string) {
			_, line, _ := strings.Cut(try, "ends it: ")
			// sftp's own server asks no shell; bash would not even begin another command.
			paste(l, line)
		},
	},
	{
		name: "slow_shell", check: "shell", state: "warning", says: " s to run a command",
		by:     func(l *lab.Lab) { l.Host("gpu1").WriteFile(lab.Me, gpu1Shell, "sleep 4\n") },
		repair: func(l *lab.Lab, _ string) { l.Host("gpu1").Sh("rm " + gpu1Shell) },
	},
	{
		name: "no_tmux", check: "tmux", state: "warning", says: "sudo apt-get install -y tmux",
		by: func(l *lab.Lab) {
			l.Host("gpu1").Hide("tmux")
			fakeSudo(l.Host("gpu1"), `echo "$*" >/tmp/installed`)
		},
		repair: func(l *lab.Lab, try string) {
			paste(l, try)
			if said := l.Host("gpu1").ReadFile("/tmp/installed"); said != "apt-get install -y tmux\n" {
				l.Host("gpu1").Sh("false # sudo was told: " + said)
			}
			l.Host("gpu1").Sh("umount /usr/bin/tmux")
		},
	},
	{
		name: "linger", check: "linger", state: "warning", says: "KillUserProcesses is on",
		by: func(l *lab.Lab) {
			l.Host("gpu1").Sh(`mkdir -p /run/systemd/system; mount -t tmpfs linger /var/lib/systemd; mkdir -m 777 /var/lib/systemd/linger
				printf '[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n' >/etc/systemd/logind.conf`)
			l.Host("gpu1").WriteMode("root", "/usr/local/bin/loginctl", "#!/bin/sh\n[ \"$1\" = enable-linger ] && : >/var/lib/systemd/linger/$USER\n", 0o755)
		},
		repair: paste,
	},
	{
		name: "broken_python", check: "python", state: "warning", says: "python is broken here", also: []string{"link"},
		by:     func(l *lab.Lab) { brokenPython(l.Host("gpu1")) },
		repair: func(l *lab.Lab, _ string) { l.Host("gpu1").Sh("rm /usr/local/bin/python3") },
	},
	{
		name: "old_python", check: "python", state: "warning", says: "3.6.9 at /usr/local/bin/python3 is older than 3.8", also: []string{"link"},
		by:     func(l *lab.Lab) { oldPython(l.Host("gpu1")) },
		repair: func(l *lab.Lab, _ string) { l.Host("gpu1").Sh("rm /usr/local/bin/python3") },
	},
	{
		name: "no_python_but_an_environment", check: "python", state: "warning", says: "there is no python3", also: []string{"link"},
		by: func(l *lab.Lab) {
			l.Host("gpu1").Sh(`mkdir /run/lab/bin /run/lab/bin.work
				mount -t overlay -o lowerdir=/usr/bin,upperdir=/run/lab/bin,workdir=/run/lab/bin.work bin /usr/bin
				mkdir /usr/bin/hidden && mv /usr/bin/python3* /usr/bin/hidden
				rm -f /usr/local/bin/jupyter*`)
			l.Host("gpu1").ShAs(lab.Me, `mkdir -p .venv/bin; ln -s /usr/bin/hidden/python3 .venv/bin/python; : >.venv/bin/jupyter-lab; chmod 755 .venv/bin/jupyter-lab`)
		},
		repair: func(l *lab.Lab, try string) {
			paste(l, try)
		},
	},
	{
		name: "holes", check: "holes", state: "warning", says: "Jupyter Server 2.7.0 has known holes (CVE-2026-5422, CVE-2026-40110)",
		by: func(l *lab.Lab) { // pip is a stand-in: there is no network to install from
			l.Host("gpu1").Sh("mv /usr/bin/hidden/* /usr/bin; rm -r /home/me/.venv /home/me/.local")
			l.Host("gpu1").WriteMode(lab.Me, "/home/me/.venv/bin/jupyter-lab", "#!/bin/sh\n", 0o755)
			l.Host("gpu1").ShAs(lab.Me, `mkdir -p .venv/lib/python3.11/site-packages/jupyter_server-2.7.0.dist-info
				rm -f .venv/bin/python
				printf '#!/bin/sh\n[ "$*" = "-m pip install -U jupyter_server" ] && cd ~/.venv/lib/python3.11/site-packages && mv jupyter_server-2.7.0.dist-info jupyter_server-2.21.1.dist-info\n' >.venv/bin/python
				chmod 755 .venv/bin/python`)
		},
		repair: paste,
	},
	{
		name: "no_jupyter", check: "jupyter", state: "failed", says: "nbremote open gpu1 -y", exit: 7,
		by: func(l *lab.Lab) {
			l.Host("gpu1").Sh("mv /home/me/.venv/bin/jupyter-lab /home/me/hidden")
		},
		repair: func(l *lab.Lab, _ string) { // there is no network to install from
			l.Host("gpu1").Sh("mv /home/me/hidden /home/me/.venv/bin/jupyter-lab")
		},
	},
	{
		name: "full_disk", check: "disk", state: "failed", says: "the home cannot be written: it is full", exit: 7, also: []string{"link"},
		by: func(l *lab.Lab) {
			l.Host("gpu1").Sh(`mount -o remount,size=$(($(df --output=used -k /home | tail -1) + 64))k /home
				head -c 1000000 /dev/zero >/home/me/filler 2>/dev/null || :; chown me:me /home/me/filler`)
		},
		repair: func(l *lab.Lab, try string) {
			line, _, _ := strings.Cut(try, "; remove")
			if said := l.Laptop.ShAs(lab.Me, line); !strings.Contains(said, "/home/me/filler") {
				l.Laptop.Sh("false # it does not name the largest: " + said)
			}
			l.Host("gpu1").Sh("rm /home/me/filler; mount -o remount,size=8g /home")
		},
	},
	{
		name: "read_only_home", check: "disk", state: "failed", says: "it is read-only", exit: 7, also: []string{"link"},
		by:     func(l *lab.Lab) { l.Host("gpu1").Sh("mount -o remount,ro /home") },
		repair: func(l *lab.Lab, try string) { paste(l, try); l.Host("gpu1").Sh("mount -o remount,rw /home") },
	},
	{
		name: "sockets", check: "sockets", state: "failed", says: "no place for them: /dev/shm cannot be written; /tmp cannot be written", exit: 7, also: []string{"link"},
		by: func(l *lab.Lab) {
			l.Host("gpu1").Sh("rm -f /var/lib/systemd/linger/me /etc/systemd/logind.conf; chmod 755 /tmp /dev/shm; mkdir -p /home/me/.cache; chown me:me /home/me/.cache; chmod 500 /home/me/.cache")
		},
		repair: func(l *lab.Lab, try string) {
			line, _, _ := strings.Cut(try, ", or have")
			paste(l, line)
		},
	},
	{
		name: "clock", check: "clock", state: "warning", says: "ahead of this computer's",
		by: func(l *lab.Lab) { // the machines of the lab share one clock
			l.Host("gpu1").Sh("chmod 1777 /tmp /dev/shm")
			l.Host("gpu1").WriteMode("root", "/usr/local/bin/date", "#!/bin/sh\n[ \"$*\" = +%s ] && exec /usr/bin/date -d '+2 hours' +%s\nexec /usr/bin/date \"$@\"\n", 0o755)
			fakeSudo(l.Host("gpu1"), `[ "$*" = "timedatectl set-ntp true" ] && : >/tmp/set-ntp`)
		},
		repair: func(l *lab.Lab, try string) {
			line, _, _ := strings.Cut(try, ", or set")
			paste(l, line)
			l.Host("gpu1").Sh("rm /tmp/set-ntp /usr/local/bin/date")
		},
	},
	{
		name: "gpu_driver", check: "gpus", state: "warning", says: "sudo reboot",
		by: func(l *lab.Lab) { // a machine of the lab has no GPU
			l.Host("gpu1").WriteMode("root", "/usr/local/bin/nvidia-smi", "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n", 0o755)
			fakeSudo(l.Host("gpu1"), `[ "$*" = reboot ] && : >/tmp/rebooted`)
		},
		repair: func(l *lab.Lab, try string) {
			paste(l, try)
			l.Host("gpu1").WriteMode("root", "/usr/local/bin/nvidia-smi", "#!/bin/sh\ncase $* in -L) echo 'GPU 0: H100 (UUID: GPU-1)' ;; *query-gpu*) echo '0, GPU-1, H100, 0, 1, 81559' ;; esac\n", 0o755)
		},
	},
	{
		name: "one_session", check: "sessions", state: "warning", says: "one session only",
		by:     func(l *lab.Lab) { l.Host("gpu1").Configure("MaxSessions 1\n") },
		repair: sshdOf("gpu1"),
	},
	{
		name: "no_session", check: "shell", state: "failed", says: "MaxSessions 0", exit: 7,
		by:     func(l *lab.Lab) { l.Host("gpu1").Configure("MaxSessions 0\n") },
		repair: sshdOf("gpu1"),
	},
	{
		name: "no_forwarding", check: "forwarding", state: "warning", says: "forwards nothing",
		by:     func(l *lab.Lab) { l.Host("gpu1").Configure("AllowTcpForwarding no\n") },
		repair: sshdOf("gpu1"),
	},
	{
		name: "no_forwarding_and_no_relay", check: "link", state: "failed", says: "neither a relay nor forwarding", exit: 7, also: []string{"forwarding", "python"},
		by: func(l *lab.Lab) {
			l.Host("gpu1").Configure("AllowTcpForwarding no\n")
			brokenPython(l.Host("gpu1"))
		},
		repair: func(l *lab.Lab, _ string) {
			l.Host("gpu1").Configure("")
			l.Host("gpu1").Sh("rm /usr/local/bin/python3")
		},
	},
}
