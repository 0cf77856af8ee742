package cli

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"nbremote/internal/ui"
)

// hostChecks are what is looked at on a host, in the order in which it is told:
// what, why it matters, and how.
var hostChecks = []struct {
	name, why string
	look      func(x *examined) finding
}{
	{"shell", "each new connection waits for it", (*examined).shell},
	{"noise", "nbremote skips it; scp, rsync and git do not", (*examined).noise},
	{"python", "without Python 3.8 there is no relay: a cut may cost output", (*examined).python},
	{"forwarding", "only the relay then leads to Jupyter", (*examined).forwarding},
	{"sessions", "enough with the relay; without it scripts and logs take turns", (*examined).sessionCount},
	{"link", "a cut may cost output", (*examined).rung},
	{"tmux", "Jupyter outlives the line all the same; `nbremote attach` needs it", (*examined).tmux},
	{"linger", "a logout, or a lost line, ends Jupyter", (*examined).linger},
	{"jupyter", "there is nothing to open", (*examined).jupyter},
	{"holes", "known holes reach from the page, or from other users, to your account", (*examined).holes},
	{"disk", "Jupyter cannot write its files or save a notebook", (*examined).disk},
	{"sockets", "Jupyter and the relay listen on sockets", (*examined).sockets},
	{"clock", "certificates, cookies and the times of files go wrong; nbremote compares no clocks", (*examined).clock},
	{"gpus", "kernels will not see them", (*examined).gpus},
}

// slowShell is how long a login shell may take before it is worth a word, and
// slowBy how much longer than a bare sh: a machine may just be busy.
const (
	slowShell = 3 * time.Second
	slowBy    = 5
)

func (x *examined) shell() finding {
	try := "time " + x.ssh("", "true") + "; what takes so long is in ~/" + rcFile(x.Shell)
	switch {
	case x.ShellSilent && x.ShellTook < time.Second:
		return finding{State: warned, What: x.Shell + " ended without running a command", Try: try}
	case x.ShellSilent:
		return finding{State: warned, What: fmt.Sprintf("%s did not run a command in %.1f s", x.Shell, x.ShellTook.Seconds()), Try: try}
	case x.ShellTook > slowShell && x.ShellTook > slowBy*x.BareTook:
		return finding{State: warned, What: fmt.Sprintf("%s took %.1f s to run a command", x.Shell, x.ShellTook.Seconds()), Try: try}
	}
	return finding{What: x.Shell + " as the login shell", MS: x.ShellTook.Milliseconds()}
}

// rcFile is what a login shell reads before a command that ssh runs.
func rcFile(shell string) string {
	files := map[string]string{"zsh": ".zshenv", "fish": ".config/fish/config.fish", "tcsh": ".tcshrc", "csh": ".cshrc", "ksh": ".kshrc"}
	if file, ok := files[path.Base(shell)]; ok {
		return file
	}
	return ".bashrc"
}

func (x *examined) noise() finding {
	if x.Said == "" {
		return finding{What: "its start-up files print nothing"}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(x.Said), "\n")
	f := finding{State: warned, What: fmt.Sprintf("%s prints %s before each command: %s", x.Shell, size(int64(len(x.Said))), quoted(cut(first, 60)))}
	file := rcFile(x.Shell)
	switch path.Base(x.Shell) {
	case "bash", "zsh":
		f.Try = x.ssh("", `sed -i '1i case $- in *i*) ;; *) return ;; esac' ~/`+file)
	case "fish":
		f.Try = x.ssh("", `sed -i '1i status is-interactive; or exit' ~/`+file)
	default:
		f.Try = "in ~/" + file + ", print only where $- has an i"
	}
	return f
}

func (x *examined) python() finding {
	f := finding{State: warned, Try: x.installs("python3")}
	switch {
	case x.Relay && x.RelayPython != "":
		return finding{What: fmt.Sprintf("no python3 on PATH will do; the relay runs by %s at %s", x.PythonVersion, x.RelayPython)}
	case x.Relay:
		return finding{What: fmt.Sprintf("%s at %s", x.PythonVersion, x.Python)}
	case x.Python == "":
		f.What = "there is no python3"
		for _, i := range x.Installs {
			if i.Python != "" { // found without any of the system's
				f.Try = x.ssh("", "mkdir -p ~/.local/bin && ln -sf "+shellWord(i.Python)+" ~/.local/bin/python3")
				break
			}
		}
	case x.PythonVersion != "":
		f.What = fmt.Sprintf("%s at %s is older than 3.8", x.PythonVersion, x.Python)
	default:
		f.What = x.Python + " gave no answer"
		if said := firstLine(strings.TrimSpace(x.PythonSaid)); said != "" {
			f.What = x.Python + " does not run: " + quoted(said)
		}
		f.Try = x.ssh("", shellWord(x.Python)+" --version")
	}
	return f
}

// installs is how a program is installed there.
func (x *examined) installs(program string) string {
	options := map[string]string{"apt-get": "install -y", "dnf": "install -y", "yum": "install -y", "zypper": "install -y", "apk": "add", "pacman": "-S --noconfirm"}
	switch o, known := options[x.Packages]; {
	case x.Packages == "brew":
		return x.ssh("", "brew install "+program)
	case known:
		return x.ssh("-t", "sudo "+x.Packages+" "+o+" "+program)
	}
	return "ask its administrator for " + program
}

func (x *examined) forwarding() finding {
	switch {
	case x.forwards == yes:
		return finding{What: "its SSH server forwards connections"}
	case x.forwards == unknown:
		return finding{What: "not known"}
	}
	f := finding{State: warned, What: "its SSH server forwards nothing", Try: "AllowTcpForwarding yes in the sshd_config of " + x.target.Name}
	if !x.canRelay() {
		f.State, f.Why = failed, "and there is no relay: Jupyter cannot be reached"
	}
	return f
}

func (x *examined) sessionCount() finding {
	switch x.sessions {
	case yes:
		return finding{What: "its SSH server gives a connection several"}
	case no:
		return finding{State: warned, What: "its SSH server gives a connection one session only", Try: "MaxSessions 10 in the sshd_config of " + x.target.Name}
	}
	return finding{What: "not asked for: the line is in use"}
}

// canRelay: the relay runs there, or could.
func (x *examined) canRelay() bool {
	if x.link != nil && (x.link.On || x.link.Why != "") {
		return x.link.On
	}
	return x.Relay && x.Place != "" && x.written() == ""
}

func (x *examined) rung() finding {
	switch {
	case x.link != nil && x.link.On:
		return finding{What: "by the relay: a lost line loses no output; round trip " + milliseconds(x.link.RTTMS)}
	case x.canRelay():
		return finding{What: "a relay can run there: a lost line will lose no output"}
	case x.forwards == no:
		return finding{State: failed, What: "neither a relay nor forwarding", Why: "Jupyter cannot be reached", Try: x.python().Try}
	}
	f := finding{State: warned, What: "direct, without a relay", Try: x.python().Try}
	if x.link != nil && x.link.Why != "" {
		f.What = "direct: " + x.link.Why
	}
	if x.Relay {
		f.Try = "see disk and sockets; then nbremote close " + shellWord(x.w.Host) + " and open it again"
	}
	return f
}

func (x *examined) tmux() finding {
	if x.Tmux == "" {
		return finding{State: warned, What: "there is none", Try: x.installs("tmux")}
	}
	return finding{What: fmt.Sprintf("%s at %s", strings.TrimPrefix(x.TmuxVersion, "tmux "), x.Tmux)}
}

func (x *examined) linger() finding {
	switch {
	case x.Linger:
		return finding{What: "on: what runs outlives a logout"}
	case isYes(x.KillUser):
		return finding{State: warned, What: "off, and KillUserProcesses is on", Try: x.ssh("", "loginctl enable-linger")}
	}
	return finding{What: "not needed: a logout ends nothing"}
}

func isYes(s string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(s))
}

func (x *examined) jupyter() finding {
	if len(x.Installs) == 0 {
		return finding{State: failed, What: "none (PATH, conda, ~/.venv, pipx, uv)", Try: "nbremote open " + shellWord(x.w.Host) + " -y (installs it), or --env PATH"}
	}
	text := x.Installs[0].String() + alsoThere(x.Installs[0], x.Installs)
	var running []string
	for _, s := range x.Sessions {
		if s.Jupyter && s.Running {
			running = append(running, s.Name)
		}
	}
	if len(running) > 0 {
		text += "; runs: " + strings.Join(running, ", ")
	}
	return finding{What: text}
}

func (x *examined) holes() finding {
	for _, i := range x.Installs {
		if text, mend := i.Holes(); text != "" {
			return finding{State: warned, What: text, Try: x.ssh("", mend)}
		}
	}
	for _, s := range x.Sessions {
		server := x.Running(s.Name)
		if server == nil || server.Warning() == "" {
			continue
		}
		return finding{State: warned, What: s.Name + ": " + server.Warning() + "; what is installed is newer", Try: "nbremote restart " + shellWord(x.w.Host+"/"+s.Name)}
	}
	return finding{What: "none known in these versions"}
}

const nearlyFull = 95 // per cent

// written says why nothing can be written in the home; "" is that it can.
func (x *examined) written() string {
	switch x.Write {
	case "ENOSPC":
		return "it is full"
	case "EDQUOT":
		return "it is over its quota"
	case "EROFS":
		return "it is read-only"
	case "EACCES", "EPERM":
		return "no permission"
	}
	if x.Disk.Total > 0 && x.Disk.Available <= 0 {
		return "it is full"
	}
	return ""
}

func (x *examined) disk() finding {
	text := "nothing is known of the home's"
	if x.Disk.Total > 0 {
		text = fmt.Sprintf("the home's is %d %% full, %s left", x.Disk.Full(), size(x.Disk.Available))
	}
	largest := x.ssh("", "du -xak ~ 2>/dev/null | sort -n | tail -20") + "; remove what is not needed"
	switch why := x.written(); {
	case why == "it is read-only" || why == "no permission":
		return finding{State: failed, What: "the home cannot be written: " + why, Try: x.ssh("", "ls -ld ~; df -h ~; mount | grep \"$(df -P ~ | tail -1 | cut -d' ' -f1)\"")}
	case why != "":
		return finding{State: failed, What: "the home cannot be written: " + why + " (" + text + ")", Try: largest}
	case x.Disk.Total > 0 && x.Disk.Full() >= nearlyFull:
		return finding{State: warned, What: text, Try: largest}
	case x.Inodes >= nearlyFull:
		return finding{State: warned, What: fmt.Sprintf("%s, but %d %% of its inodes are taken", text, x.Inodes), Try: x.ssh("", "du --inodes -xa ~ 2>/dev/null | sort -n | tail -20") + "; remove what is not needed"}
	}
	return finding{What: text}
}

// remoteTypes are file systems on which sockets and locks do not work, or not
// for this machine alone.
var remoteTypes = []string{"nfs", "nfs4", "lustre", "gpfs", "cifs", "smb2", "smbfs", "afs", "ceph", "fuseblk", "fuse", "v9fs", "beegfs", "panfs"}

func (x *examined) sockets() finding {
	left := strings.Join(x.NoPlace, "; ")
	switch {
	case x.Place == "":
		return finding{State: failed, What: "no place for them: " + left, Try: x.ssh("", "mkdir -p ~/.cache && chmod u+rwx ~/.cache") + ", or have /dev/shm and /tmp as they should be (mode 1777)"}
	case slices.Contains(remoteTypes, x.PlaceType):
		return finding{State: failed, What: fmt.Sprintf("%s is on %s", x.Place, x.PlaceType), Why: "sockets do not work there", Try: "have /tmp on " + x.target.Name + " on a disk of its own, mode 1777"}
	case left != "":
		return finding{What: "in " + x.Place + ", for " + left}
	}
	return finding{What: "in " + x.Place}
}

const clocksDiffer = time.Minute

func (x *examined) clock() finding {
	var off time.Duration
	switch {
	case x.Now.IsZero():
		return finding{What: "not known"}
	case x.Now.After(x.told.Add(time.Second)):
		off = x.Now.Sub(x.told)
	case x.Now.Before(x.asked.Add(-time.Second)):
		off = x.Now.Sub(x.asked)
	}
	if off.Abs() < clocksDiffer {
		return finding{What: "as here"}
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	return finding{
		State: warned, What: fmt.Sprintf("%s %s this computer's", ui.Long(off.Abs().Round(time.Second)), side),
		Try: x.ssh("-t", "sudo timedatectl set-ntp true") + ", or set the clock here: whichever is wrong",
	}
}

func (x *examined) gpus() finding {
	said := strings.TrimSpace(x.SMI)
	switch {
	case said == "" && !x.Cards:
		return finding{What: "none of NVIDIA"}
	case said == "":
		return finding{State: warned, What: "there are devices, but no nvidia-smi", Try: x.installs("nvidia-utils")}
	case strings.Contains(said, "version mismatch"):
		return finding{State: warned, What: firstLine(said), Why: "the driver was updated while it was loaded", Try: x.ssh("-t", "sudo reboot")}
	case !strings.Contains(said, "GPU 0"):
		return finding{State: warned, What: firstLine(said), Try: x.ssh("", "nvidia-smi")}
	}
	if text := gpus(x.Machine.GPUs); text != "" {
		return finding{What: text}
	}
	return finding{What: firstLine(said)}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return cut(line, 100)
}
