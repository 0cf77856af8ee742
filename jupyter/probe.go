package jupyter

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed common.sh
var commonText string

//go:embed machine.sh
var machineText string

//go:embed probe.sh
var probeText string

var probeLib = remote.Compact(environ.Lib + environ.Login)

// script is our part behind the common ones, with variables set before it.
func script(text string, values ...string) string {
	var b strings.Builder
	b.WriteString(remote.Prelude + remote.Dirs + session.Lib + remote.Compact(commonText))
	for i := 0; i < len(values); i += 2 {
		b.WriteString(values[i] + "=" + remote.Quote(values[i+1]) + "\n")
	}
	b.WriteString(remote.Compact(text))
	return b.String()
}

// probeTime is how long a host may take to look around: one that swallows what
// it is told must not be waited for without end.
const probeTime = 45 * time.Second

// Probe looks around on the host: one script, one answer, no Python. A path
// that is not there is a *NotFoundError.
func Probe(ctx context.Context, r remote.Runner, look Look) (*Host, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTime, &MissingError{
		What: fmt.Sprintf("the host has not answered in %v; perhaps it runs no commands (ForceCommand)", probeTime), Try: "ssh HOST echo hello",
	})
	defer cancel()
	out, err := r.Run(ctx, script(probeLib+machineText+byHandText+probeText, "J_PATH", look.Path, "J_ENV", look.Env, "J_REACHED", look.Reached))
	if err != nil {
		return nil, err
	}
	return parseProbe(out)
}

// Measure asks what the machine has left, and nothing else.
func Measure(ctx context.Context, r remote.Runner) (*Machine, error) {
	out, err := r.Run(ctx, remote.Prelude+remote.Dirs+remote.Compact("J_TENTHS=20\n"+machineText+"j_machine\nput done 1\n"))
	if err != nil {
		return nil, err
	}
	p, err := readProbe(out)
	if err != nil {
		return nil, err
	}
	return &p.host.Machine, nil
}

// parseProbe reads the answer of probe.sh. What the host says of one thing is
// left out when it makes no sense; the rest counts.
func parseProbe(out []byte) (*Host, error) {
	p, err := readProbe(out)
	if err != nil {
		return nil, err
	}
	if p.missing != "" {
		return nil, &NotFoundError{Path: p.missing, Reason: p.missingWhy}
	}
	if p.host.Dir == "" {
		return nil, errBrokeOff
	}
	p.finish()
	return p.host, nil
}

var errBrokeOff = errors.New("read what the host answers: it broke off")

// readProbe reads all fields, up to the last.
func readProbe(out []byte) (*probe, error) {
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("read what the host answers: %w", err)
	}
	p := &probe{host: &Host{servers: map[string]*Server{}}, found: map[string]*Server{}, now: time.Now()}
	for _, f := range fields {
		p.field(f.Name, string(f.Value))
	}
	if !p.done && p.missing == "" {
		return nil, errBrokeOff
	}
	p.host.GPUs = parseGPUs(p.gpus, p.apps, p.pids)
	return p, nil
}

// probe is an answer as it is read, field by field: a field such as install
// begins a group, and those that follow belong to it.
type probe struct {
	host       *Host
	now        time.Time
	installs   []Install
	onPath     map[string]bool
	asked      string
	sessions   []ours
	foreign    []*foreign
	enc        string             // whose runtime file comes next
	found      map[string]*Server // by the session's encoded name
	group      string
	listeners  string
	configFile string
	uptime     float64
	gpus, apps string
	pids       string
	missing    string
	missingWhy string
	done       bool
}

// ours is a group of session_list.
type ours struct {
	Session
	enc, dir  string
	started   time.Time
	tmux, pid string
	spec      spec
}

func (p *probe) field(name, value string) {
	h := p.host
	switch name {
	case "home":
		h.Home = value
	case "shell":
		h.Shell = value
	case "uid":
		h.UID, _ = strconv.Atoi(value)
	case "linger":
		h.Linger = value != ""
	case "kills":
		h.KillsAtLogout = true
	case "python":
		h.Python = value
	case "ensurepip":
		h.ensurePip = true
	case "uv":
		h.UV = value
	case "tmux":
		if p.group == "session" {
			p.sessions[len(p.sessions)-1].tmux = value
		} else {
			h.Tmux = value
		}
	case "dir":
		if p.group == "session" {
			p.sessions[len(p.sessions)-1].dir = value
		} else {
			h.Dir = value
		}
	case "file":
		h.File = value
	case "no-dir":
		p.missing, p.missingWhy = value, "no such file or directory"
	case "no-dir-why":
		p.missingWhy = value
	case "install", "kind", "name", "programs", "dists", "asked-prefix", "at-python", "on-path":
		p.install(name, value)
	case "project", "project-kind", "project-python", "project-dists":
		p.project(name, value)
	case "session", "enc", "running", "pid", "started", "ended", "exit", "spec":
		p.session(name, value)
	case "session-enc":
		p.enc, p.group = value, name
	case "foreign", "stat", "foreign-dir", "said":
		p.foreigner(name, value)
	case "runtime":
		p.runtime(value)
	case "elsewhere", "elsewhere-enc", "elsewhere-machine", "elsewhere-node", "elsewhere-spec", "elsewhere-gone":
		p.elsewhere(name, value)
	default:
		p.machine(name, value)
	}
}

func (p *probe) machine(name, value string) {
	switch name {
	case "tcp":
		p.listeners = value
	case "config-file":
		p.configFile = strings.TrimSuffix(value, ".")
	case "uptime":
		p.uptime, _ = strconv.ParseFloat(value, 64)
	case "MemTotal":
		p.host.Memory.Total = kib(value)
	case "MemAvailable":
		p.host.Memory.Available = kib(value)
	case "disk":
		p.host.Disk = parseDisk(value)
	case "gpus":
		p.gpus = value
	case "gpu-apps":
		p.apps = value
	case "my-pids":
		p.pids = value
	case "done":
		p.done = true
	}
}

func (p *probe) install(name, value string) {
	switch name {
	case "install":
		p.installs, p.group = append(p.installs, Install{Prefix: value}), name
		return
	case "asked-prefix":
		p.asked = value
		return
	case "on-path":
		if p.onPath == nil {
			p.onPath = map[string]bool{}
		}
		p.onPath[value] = true
		return
	}
	if len(p.installs) == 0 {
		return
	}
	i := &p.installs[len(p.installs)-1]
	switch name {
	case "kind":
		i.Kind = value
	case "name":
		i.Name = value
	case "programs":
		i.programs = strings.Fields(value)
	case "dists":
		i.versions(value)
	case "at-python":
		i.Python = value
	}
}

func (p *probe) project(name, value string) {
	h := p.host
	if name == "project" && path.IsAbs(value) {
		h.Project = &ProjectEnv{Name: path.Base(h.Dir), Kind: "venv", Prefix: value}
	}
	if h.Project == nil {
		return
	}
	switch name {
	case "project-kind":
		h.Project.Kind = value
	case "project-python":
		h.Project.Python = value
	case "project-dists":
		var i Install
		i.versions(value)
		h.Project.IPykernel = i.Kernel
	}
}

func (p *probe) session(name, value string) {
	if name == "session" {
		p.sessions = append(p.sessions, ours{Session: Session{Name: value, Exit: -1}})
		p.group = name
		return
	}
	if p.group != "session" {
		return
	}
	s := &p.sessions[len(p.sessions)-1]
	switch name {
	case "enc":
		s.enc = value
	case "running":
		s.Running = value != ""
	case "pid":
		s.pid = value
	case "started":
		s.started = epoch(value)
	case "ended":
		s.Ended = epoch(value)
	case "exit":
		if code, err := strconv.Atoi(value); err == nil {
			s.Exit = code
		}
	case "spec":
		if json.Unmarshal([]byte(value), &s.spec) == nil && s.spec.Kind == kindJupyter {
			s.Jupyter, s.Session.Dir = true, s.spec.Dir
		}
		if script, ok := session.ParseScript([]byte(value)); ok {
			s.Command, s.Started = script.Command, s.started
		}
	}
}

func (p *probe) runtime(value string) {
	s, err := parseRuntime([]byte(value))
	if err != nil {
		return
	}
	if p.group == "foreign" {
		p.foreign[len(p.foreign)-1].server = s
	} else if p.group == "session-enc" {
		p.found[p.enc] = s
	}
}

func kib(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n > 1<<50 {
		return 0
	}
	return n << 10
}

func epoch(value string) time.Time {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
