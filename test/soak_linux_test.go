package test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/test/lab"
)

// soakTime is how long TestSoak goes on: a minute, or what `make soak` says.
func soakTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NBREMOTE_SOAK")); err == nil {
		return d
	}
	return time.Minute
}

// Cuts every 5 s and 20 requests a second, here and there: each request is
// answered, and nothing piles up at either end.
func TestSoak(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Program: asInstalled(t)})
	o := open(t, l, "gpu1")
	// Connections that wait for the next request are kept: as many as the cuts
	// will ever need at once are there before anything is counted.
	var first sync.WaitGroup
	for range 64 {
		first.Go(func() { answered(l, o) })
	}
	first.Wait()
	s := newSoak(t, l)
	began, limit := time.Now(), soakTime()
	var asking sync.WaitGroup
	var asked, wrong atomic.Int64
	var slowest atomic.Int64
	second := time.NewTicker(time.Second)
	defer second.Stop()
	request := time.NewTicker(50 * time.Millisecond)
	defer request.Stop()
	cut := time.NewTicker(5 * time.Second)
	defer cut.Stop()
	cuts, places := 0, []*lab.Machine{l.Host("gpu1"), l.Host("gw1")}
	for time.Since(began) < limit {
		select {
		case <-cut.C:
			places[cuts%2].HangUp()
			cuts++
		case <-second.C:
			s.measure(time.Since(began))
		case <-request.C:
			asking.Go(func() {
				sent := time.Now()
				if !answered(l, o) {
					wrong.Add(1)
				}
				asked.Add(1)
				for took := int64(time.Since(sent)); ; {
					if old := slowest.Load(); took <= old || slowest.CompareAndSwap(old, took) {
						return
					}
				}
			})
		}
	}
	asking.Wait()
	fmt.Printf("\nsoak, %v: %d cuts, %d requests, %d not answered, the slowest took %v\n", limit, cuts, asked.Load(), wrong.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
	if wrong.Load() != 0 {
		t.Errorf("%d requests were not answered", wrong.Load())
	}
	if least := int64(limit/time.Second) * 15; asked.Load() < least {
		t.Errorf("%d requests, want %d at least", asked.Load(), least)
	}
	s.judge(limit)
}

func answered(l *lab.Lab, o opened) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/status", o.Port), nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "token "+o.Token)
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// soak is what is measured once a second.
type soak struct {
	t       *testing.T
	l       *lab.Lab
	holders []lab.Process
	relay   []lab.Process
	at      []time.Duration
	all     map[string][]float64
}

const (
	goroutines = "holders: goroutines beside two for each stream"
	holderFDs  = "holders: descriptors"
	holderLive = "holders: memory in use"
	holderRSS  = "holders: resident memory"
	relayFDs   = "relay: descriptors"
	relayRSS   = "relay: resident memory"
)

func newSoak(t *testing.T, l *lab.Lab) *soak {
	t.Helper()
	s := &soak{t: t, l: l, holders: l.Laptop.Running("nbremote holder"), relay: l.Host("gpu1").Running("serve relay-"), all: map[string][]float64{}}
	if len(s.holders) != 2 || len(s.relay) != 1 {
		t.Fatalf("%d holders, %d relays", len(s.holders), len(s.relay))
	}
	return s
}

func (s *soak) measure(at time.Duration) {
	s.t.Helper()
	now := map[string]float64{}
	count := func(processes []lab.Process, fds, rss string) {
		for _, p := range processes {
			all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
			now[fds] += float64(len(all))
			now[rss] += float64(resident(s.t, p.PID))
		}
	}
	count(s.holders, holderFDs, holderRSS)
	count(s.relay, relayFDs, relayRSS)
	for _, c := range holdersOf(s.l) {
		if st, err := c.Status(context.Background()); err == nil {
			now[goroutines] += float64(st.Goroutines)
			now[holderLive] += float64(st.Live)
		}
	}
	// Streams kept for the next request come and go: each is a descriptor there.
	now[goroutines] -= 2 * now[relayFDs]
	s.at = append(s.at, at)
	for what, n := range now {
		s.all[what] = append(s.all[what], n)
	}
}

// judge compares the last quarter with the second, and what memory does in the
// second half.
func (s *soak) judge(limit time.Duration) {
	half := len(s.at) / 2
	for _, c := range []struct {
		what string
		more float64 // than this is growth
	}{{goroutines, 4}, {holderFDs, 5}, {relayFDs, 8}, {holderRSS, 8e6}, {relayRSS, 1e6}} {
		what, more := c.what, c.more
		then, now := median(s.all[what][half/2:half]), median(s.all[what][half+half/2:])
		fmt.Printf("%s: %.0f in the second quarter, %.0f in the last (medians)\n", what, then, now)
		if now > then+more {
			s.t.Errorf("%s: from %.0f to %.0f", what, then, now)
		}
	}
	for _, what := range []string{holderLive, relayRSS} {
		slope, sure := floorSlope(s.all[what][half:], s.at[half:])
		fmt.Printf("%s: slope in the second half %+.2f MB an hour, give or take %.2f\n", what, slope/1e6, sure/1e6)
		// A minute is too short to tell 1 MB an hour from chance.
		if limit >= 10*time.Minute && slope-2*sure > 1e6 {
			s.t.Errorf("%s grows by %.2f MB an hour", what, slope/1e6)
		}
	}
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// floorSlope is the slope, in bytes an hour, of the line through the least of
// each tenth, and its standard error: what is under way comes and goes, and
// what piles up lifts the floor.
func floorSlope(bytes []float64, at []time.Duration) (slope, sure float64) {
	var x, y []float64
	var mx, my float64
	for i := range 10 {
		from, to := i*len(bytes)/10, (i+1)*len(bytes)/10
		x = append(x, ((at[from] + at[to-1]) / 2).Hours())
		y = append(y, slices.Min(bytes[from:to]))
		mx, my = mx+x[i]/10, my+y[i]/10
	}
	var xx, xy, rest float64
	for i := range x {
		xx, xy = xx+(x[i]-mx)*(x[i]-mx), xy+(x[i]-mx)*(y[i]-my)
	}
	slope = xy / xx
	for i := range x {
		d := y[i] - my - slope*(x[i]-mx)
		rest += d * d
	}
	return slope, math.Sqrt(rest / 8 / xx)
}

// Cuts too long for CI cost nothing either.
func TestSoak_LongCuts(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("a measurement: make soak")
	}
	for _, c := range []lossTest{
		{name: "cut of 600 s", lines: 12800, twinLoses: true, do: cutFor(600 * time.Second)},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
