package holder

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	sessions "nbremote/internal/session"
)

const (
	scriptsEvery = 60 * time.Second // while one runs
	scriptsTime  = 20 * time.Second
	maxScripts   = 10 // of those that have ended
)

// Script is a script on the host, as it was last known.
type Script struct {
	Name    string    `json:"name"`
	Command string    `json:"command"`
	Running bool      `json:"running"`
	Exit    int       `json:"exit"` // 128+n for signal n; -1: it runs, or that is not known
	Signal  string    `json:"signal,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Notify  bool      `json:"notify,omitempty"` // the desktop is told of its end
}

// How is how it ended: "exit 1".
func (s Script) How() string {
	switch {
	case s.Running || s.Exit < 0:
		return "ended"
	case s.Signal != "":
		return "killed by " + s.Signal
	}
	return fmt.Sprintf("exit %d", s.Exit)
}

// scripts are those of this account on the host. One that runs keeps the
// holder.
type scripts struct {
	h    *holder
	mu   sync.Mutex
	all  []Script
	sets int // how often a command told something
	wish chan struct{}
}

func newScripts(h *holder) *scripts { return &scripts{h: h, wish: make(chan struct{}, 1)} }

// SetScript tells the holder what a command has just seen of a script.
func (c *Client) SetScript(ctx context.Context, s Script) error {
	return c.call(ctx, "POST", "/v1/scripts", s, nil)
}

func (h *holder) setScript(w http.ResponseWriter, r *http.Request) {
	if s, ok := read[Script](w, r); ok {
		h.scripts.set(s)
		reply(w, map[string]bool{"taken": true}, nil)
	}
}

func (s *scripts) set(one Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets++
	all := slices.DeleteFunc(slices.Clone(s.all), func(o Script) bool { return o.Name == one.Name })
	s.replace(append(all, one))
}

// replace takes what is known now, and tells of those that have ended, whose
// ports end too. s.mu is held.
func (s *scripts) replace(all []Script) {
	for i := range all {
		now := &all[i]
		if !now.Running {
			s.h.tunnels.removeOf(now.Name)
		}
		at := slices.IndexFunc(s.all, func(o Script) bool { return o.Name == now.Name && o.Running })
		if at < 0 || !s.all[at].Notify {
			continue
		}
		if now.Notify = now.Running; !now.Running && s.h.notices.show != nil {
			name := s.h.spec.Target.Name + "/" + now.Name
			s.h.notices.say(name+": "+now.How(), now.Command)
		}
	}
	s.all = sorted(all)
}

// sorted has those that run first, the newest first, and of the others the last
// ones.
func sorted(all []Script) []Script {
	slices.SortStableFunc(all, func(a, b Script) int {
		if a.Running != b.Running {
			if a.Running {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Ended.Compare(a.Ended), b.Started.Compare(a.Started))
	})
	running := slices.IndexFunc(all, func(s Script) bool { return !s.Running })
	if running < 0 {
		return all
	}
	return all[:min(len(all), running+maxScripts)]
}

func (s *scripts) list() []Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func (s *scripts) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) > 0 && s.all[0].Running
}

// later has the host asked before long.
func (s *scripts) later() {
	select {
	case s.wish <- struct{}{}:
	default:
	}
}

// laterTime lets what a command does at once go first.
const laterTime = 5 * time.Second

// watch asks the host each minute while a script runs there, and when wished.
func (s *scripts) watch(ctx context.Context) {
	tick := time.NewTicker(scriptsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !s.running() {
				continue
			}
		case <-s.wish:
			select {
			case <-time.After(laterTime):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
		if !s.h.pages.awaitLine(ctx) {
			return
		}
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.h.log.Printf("scripts: %v", err)
		}
	}
}

// look asks the host now.
func (s *scripts) look(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, scriptsTime)
	defer cancel()
	s.mu.Lock()
	sets := s.sets
	s.mu.Unlock()
	infos, err := sessions.List(limited, asRunner(s.h.run))
	if err != nil {
		return err
	}
	all := []Script{}
	for _, i := range infos {
		if spec, ok := sessions.ParseScript(i.Spec); ok {
			all = append(all, Script{Name: i.Name, Command: spec.Command, Running: i.Running, Exit: i.Exit, Signal: i.Signal, Started: i.Started, Ended: i.Ended})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == sets { // else a command knows better
		s.replace(all)
	}
	return nil
}

// lookNow is look for who waits, if the line is up and there is any.
func (s *scripts) lookNow(ctx context.Context) {
	if _, state, _, _ := s.h.line.now(); state != Up || len(s.list()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s.look(ctx)
}

// asRunner is a remote.Runner of a function.
type asRunner func(ctx context.Context, script string) ([]byte, error)

func (r asRunner) Run(ctx context.Context, script string) ([]byte, error) { return r(ctx, script) }
