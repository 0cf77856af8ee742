package jupyter

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/session"
)

// finish puts together what the fields told one by one.
func (p *probe) finish() {
	h := p.host
	for _, i := range p.installs {
		i.asked = p.asked != "" && i.Prefix == p.asked
		i.onPath = p.onPath[i.Prefix]
		if i.Name == i.Prefix {
			i.Name = h.Short(i.Prefix)
		}
		if i.runs() {
			h.Installs = append(h.Installs, i)
		} else {
			h.bare = append(h.bare, i)
		}
	}
	has := slices.ContainsFunc(h.Installs, func(i Install) bool { return i.Kind == "project" })
	if h.Project != nil && (has || !path.IsAbs(h.Project.Python)) {
		h.Project = nil
	}
	sortInstalls(h.Installs, h.Home)
	h.Others = slices.DeleteFunc(h.Others, func(o Elsewhere) bool { return o.Name == "" || o.Node == "" || o.Dir == "" || o.Machine == "" })
	for _, s := range p.sessions {
		if session.Encode(s.Name) != s.enc {
			continue
		}
		h.Sessions = append(h.Sessions, s.Session)
		if server := p.found[s.enc]; server != nil && s.Running && s.Jupyter && p.ours(server) {
			server.adopt(s)
			h.servers[s.Name] = server
		}
	}
	for _, f := range p.foreign {
		p.addForeign(f)
	}
}

// adopt gives the server of a runtime file what its session knows.
func (s *Server) adopt(o ours) {
	s.Session, s.Log = o.Name, o.dir+"/log"
	s.Dir, s.Owner, s.UI = o.spec.Dir, o.spec.Owner, o.spec.UI
	s.Started, s.Tmux = o.started, o.tmux != ""
	if pid, err := strconv.Atoi(o.pid); err == nil {
		s.PID = pid
	}
	s.Path = page(s.BaseURL, s.UI, o.spec.File)
}

// ours tells whether the listener is this account's, as far as can be seen.
func (p *probe) ours(s *Server) bool { return stranger(s, p.listeners, p.host.UID) == nil }

const nobodyListens = "nothing listens there any more"

// stranger is an error when somebody else listens where the server should: a
// port that was free for a moment is anybody's.
func stranger(s *Server, listeners string, uid int) error {
	if s.Sock != "" || listeners == "" {
		return nil
	}
	wanted := fmt.Sprintf(":%04X", s.Port)
	theirs := ""
	for line := range strings.Lines(listeners) {
		addr, who, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasSuffix(addr, wanted) || !reaches(strings.TrimSuffix(addr, wanted), s.Host) {
			continue
		}
		if who == strconv.Itoa(uid) {
			return nil
		}
		theirs = who
	}
	if theirs == "" {
		return &StrangerError{Where: s.Where(), Reason: nobodyListens}
	}
	return &StrangerError{Where: s.Where(), Reason: "user " + theirs + " listens there"}
}

// reaches tells whether a listener's address, in the kernel's hex, is what a
// dial to host arrives at.
func reaches(addr, host string) bool {
	switch addr {
	case "00000000", strings.Repeat("0", 32):
		return true
	case "0100007F", "0000000000000000FFFF00000100007F":
		return host == "" || host == "127.0.0.1"
	case "00000000000000000000000001000000":
		return host == "::1"
	}
	return host != "" && host != "::1" && host != "127.0.0.1"
}

// addForeign takes a server that was started by hand.
func (p *probe) addForeign(f *foreign) {
	s, h := f.server, p.host
	if s == nil && f.said != "" {
		s = f.fromOutput()
	}
	if s == nil || s.PID != f.pid || !p.ours(s) {
		return
	}
	for _, known := range h.servers {
		if s.same(known) {
			return
		}
	}
	s.Foreign, s.ConfigFile = true, h.Short(p.configFile)
	s.Started = p.startOf(f.stat)
	first := baseName(s.Dir, h.Home) + byHand
	s.Session = first
	for n := 2; h.servers[s.Session] != nil || h.session(s.Session) != nil; n++ {
		s.Session = fmt.Sprintf("%s-%d", first, n)
	}
	h.Foreign = append(h.Foreign, s)
	h.servers[s.Session] = s
}

// byHand ends the names of servers that were started by hand: they can be
// opened, but are not ours to end.
const byHand = "-by-hand"

// startOf reads field 22 of /proc/PID/stat: hundredths of seconds after boot.
func (p *probe) startOf(stat string) time.Time {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || p.uptime <= 0 {
		return time.Time{}
	}
	ticks, err := strconv.ParseFloat(fields[19], 64)
	age := p.uptime - ticks/100
	if err != nil || age < 0 || age > 20*365*86400 {
		return time.Time{}
	}
	return p.now.Add(-time.Duration(age * float64(time.Second))).Truncate(time.Second)
}

// parseDisk reads df -Pk.
func parseDisk(text string) Disk {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	for i := range fields {
		if strings.HasSuffix(fields[i], "%") && i >= 3 {
			return Disk{Total: kib(fields[i-3]), Available: kib(fields[i-1])}
		}
	}
	return Disk{}
}

// parseGPUs reads the two answers of nvidia-smi; mine are the pids of this
// account.
func parseGPUs(cards, apps, mine string) []GPU {
	var out []GPU
	byID := map[string]int{}
	for line := range strings.Lines(cards) {
		f := strings.Split(strings.TrimSpace(line), ", ")
		if len(f) != 6 || len(out) == 64 {
			continue
		}
		index, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		byID[f[1]] = len(out)
		out = append(out, GPU{Index: index, Name: f[2], Percent: number(f[3]), Used: max(0, number(f[4])), Total: max(0, number(f[5]))})
	}
	pids := strings.Fields(mine)
	for line := range strings.Lines(apps) {
		id, pid, ok := strings.Cut(strings.TrimSpace(line), ", ")
		i, known := byID[id]
		switch {
		case !ok || !known:
		case slices.Contains(pids, pid):
			out[i].Mine = true
		default:
			out[i].Foreign = true
		}
	}
	return out
}

func number(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return -1
	}
	return n
}
