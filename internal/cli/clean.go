package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// cleanCmd removes from a host what nbremote left there. It starts no relay,
// and needs no room in the home.
type cleanCmd struct {
	Host     string `arg:"" optional:"" predictor:"host" help:"HOST; left out: the last one used here."`
	All      bool   `help:"All of these that nothing uses."`
	Sessions bool   `help:"Sessions that have ended, with their logs and tokens, and what else nobody needs any more."`
	Jupyter  bool   `help:"The JupyterLab that nbremote installed."`
	Kernels  bool   `help:"The kernels that nbremote added, there and here; their environments stay."`
}

// cleanable is what may go from a host, and what stays; the --json of clean.
type cleanable struct {
	Host     string             `json:"host"`
	Sessions []cleanSession     `json:"sessions"`
	Left     []session.Leftover `json:"left"`
	Jupyter  int64              `json:"jupyter_bytes"` // 0: there is none, or it stays
	Kernels  []kernel.Spec      `json:"kernels"`
	Here     []kernel.Here      `json:"kernels_here"` // of this computer, which stand for one there
	Stays    []string           `json:"stays"`
	Removed  []string           `json:"removed"`
	Bytes    int64              `json:"removed_bytes"`
}

// cleanSession is a session that has ended.
type cleanSession struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what"`
	enc   string
}

// Run tells what is there, asks, and removes.
func (c *cleanCmd) Run(a *app) error {
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	there := holder.Direct{Client: line.Client}
	found, err := a.cleanable(w, there)
	if err != nil {
		return fmt.Errorf("look around on %s: %w", w.Host, err)
	}
	chosen, err := c.choose(a, found)
	if err == nil && chosen.any() {
		err = chosen.remove(a, line, there, found)
	}
	if err != nil || !a.JSON {
		return err
	}
	return a.printJSON(found)
}

// cleanable asks the host three things: each costs a round trip, and nothing is
// changed.
func (a *app) cleanable(w where, there holder.Direct) (*cleanable, error) {
	f := &cleanable{Host: w.Host, Sessions: []cleanSession{}, Left: []session.Leftover{}, Kernels: []kernel.Spec{}, Here: []kernel.Here{}, Stays: []string{}, Removed: []string{}}
	kept, err := session.Look(a.ctx, there)
	if err != nil {
		return nil, err
	}
	running := f.sessions(kept)
	installed, err := jupyter.FindInstalled(a.ctx, there)
	if err != nil {
		return nil, err
	}
	f.installed(installed)
	used := laptopKernels(kept)
	f.here(used)
	return f, f.kernels(a.ctx, there, running, used)
}

// laptopKernels are the kernels of which one runs for an editor's window.
func laptopKernels(kept *session.Kept) map[string]bool {
	used := map[string]bool{}
	for _, s := range kept.Sessions {
		if name, ok := strings.CutPrefix(s.Name, "kernel-"); ok && s.Running {
			used[name] = true
			if i := strings.LastIndexByte(name, '-'); i > 0 { // the second of its kind is kernel-ds-2
				used[name[:i]] = true
			}
		}
	}
	return used
}

// here are the kernels of this computer that stand for those of the host.
func (f *cleanable) here(used map[string]bool) {
	folder, err := kernel.FolderHere()
	if err != nil {
		return
	}
	for _, k := range kernel.ListHere(folder, f.Host) {
		if used[k.Kernel] {
			f.stays("the kernel " + k.Name + " of this computer runs")
			continue
		}
		f.Here = append(f.Here, k)
	}
}

// sessions sorts what is kept; it gives how many run.
func (f *cleanable) sessions(kept *session.Kept) (running int) {
	for _, s := range kept.Sessions {
		owner1 := jupyter.OwnerOf(s.Spec)
		switch {
		case s.Running:
			running++
			f.stays(s.Name + " runs")
		case owner1 != "" && owner1 != owner():
			f.stays(fmt.Sprintf("%s has ended, but is %s's", s.Name, owner1))
		default:
			f.Sessions = append(f.Sessions, cleanSession{s.Name, s.Bytes, howEnded(s.Info), s.Enc})
		}
	}
	if kept.Relays > 0 {
		f.stays("the relay runs: it ends by itself ten minutes after the last line")
	}
	for _, o := range kept.Others {
		text := fmt.Sprintf("sessions of another machine with this home, %s (%s)", o.Machine, size(o.Bytes))
		if o.Perhaps {
			text += ", one of which may run"
		}
		f.stays(text)
	}
	for _, path := range kept.Strange {
		f.stays(path + " is not as nbremote makes it")
	}
	f.Left = append(f.Left, kept.Left...)
	return running
}

func howEnded(s session.Info) string {
	text := "ended"
	if s.Exit > 0 {
		text = fmt.Sprintf("exit %d", s.Exit)
	}
	if !s.Ended.IsZero() {
		text += ", " + ui.Since(s.Ended)
	}
	return text
}

func (f *cleanable) stays(text string) { f.Stays = append(f.Stays, text) }

func (f *cleanable) installed(i *jupyter.Installed) {
	const what = "the JupyterLab that nbremote installed"
	switch {
	case i.Strange != "":
		f.stays(i.Strange + " is not as nbremote makes it")
	case i.Bytes == 0:
	case i.Used:
		f.stays(fmt.Sprintf("%s (%s) is in use", what, size(i.Bytes)))
	case len(i.Elsewhere) > 0:
		f.stays(fmt.Sprintf("%s (%s) may be in use on %s", what, size(i.Bytes), strings.Join(i.Elsewhere, ", ")))
	default:
		f.Jupyter = i.Bytes
	}
}

// kernels are those that nbremote added and that nothing is seen to run.
func (f *cleanable) kernels(ctx context.Context, there holder.Direct, running int, used map[string]bool) error {
	specs, err := kernel.Kernelspecs(ctx, there)
	if err != nil {
		return err
	}
	specs = slices.DeleteFunc(specs, func(k kernel.Spec) bool { return !k.Ours })
	if len(specs) == 0 {
		return nil
	}
	unseen := ""
	host, err := jupyter.Probe(ctx, there, jupyter.Look{})
	if err != nil {
		return err
	}
	servers := host.Foreign
	for _, s := range host.Sessions {
		if server := host.Running(s.Name); server != nil {
			servers = append(servers, server)
		}
	}
	for _, s := range servers {
		network, addr := s.Far()
		now, err := kernel.Runs(ctx, func(ctx context.Context) (net.Conn, error) { return there.Dial(ctx, network, addr) }, *forKernel(s))
		if err != nil {
			unseen = err.Error()
		}
		for _, r := range now {
			used[r.Spec] = true
		}
	}
	for _, k := range specs {
		switch {
		case used[k.Name]: // by a Jupyter, or an editor's window
			f.stays("the kernel " + k.Name + " runs")
		case unseen != "" && running > 0:
			f.stays("whether the kernel " + k.Name + " runs cannot be seen: " + unseen)
		default:
			f.Kernels = append(f.Kernels, k)
		}
	}
	return nil
}
