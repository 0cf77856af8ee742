package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sampler reads the arguments of every process of every machine, this one
// included, about 200 times a second, and keeps them. It is what another user
// with `ps` in a loop would see.
type Sampler struct {
	t       testing.TB
	control string
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	mu      sync.Mutex
	seen    map[string]bool
	rounds  int
}

// Sample starts a Sampler, which ends with the test. It plants a secret of its
// own in short-lived processes, so that a blind sampler is noticed.
func Sample(t testing.TB) *Sampler {
	t.Helper()
	s := &Sampler{t: t, stop: make(chan struct{}), seen: map[string]bool{},
		control: fmt.Sprintf("planted-%016x", rand.Uint64())}
	s.wg.Go(func() { s.each(5*time.Millisecond, s.round) })
	s.wg.Go(func() { s.each(100*time.Millisecond, s.plant) })
	t.Cleanup(s.Stop)
	return s
}

func (s *Sampler) each(interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		f()
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
	}
}

func (s *Sampler) plant() {
	_ = exec.Command("/bin/sh", "-c", "sleep 0.05; true", s.control).Run()
}

func (s *Sampler) round() {
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rounds++
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if line, err := os.ReadFile("/proc/" + name + "/cmdline"); err == nil && len(line) > 0 {
			s.seen[string(line)] = true
		}
	}
}

// Stop ends the sampling; what was seen stays.
func (s *Sampler) Stop() {
	s.once.Do(func() { close(s.stop) })
	s.wg.Wait()
}

// Find stops the sampling and gives each command line that held the text. It
// fails the test when the sampler does not see even what it has planted.
func (s *Sampler) Find(text string) []string {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); len(s.lines(s.control)) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	s.Stop()
	if len(s.lines(s.control)) == 0 {
		s.t.Fatalf("the sampler is blind: its own secret was not seen in %d rounds", s.rounds)
	}
	return s.lines(text)
}

func (s *Sampler) lines(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for line := range s.seen {
		if strings.Contains(line, text) {
			found = append(found, strings.ReplaceAll(line, "\x00", " "))
		}
	}
	return found
}
