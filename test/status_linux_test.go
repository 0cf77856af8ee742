package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// hostStatus is what `status --json` prints of one host.
type hostStatus struct {
	Host   string    `json:"host"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Hop    string    `json:"hop"`
	Via    []string  `json:"via"`
	Link   *struct {
		On    bool    `json:"on"`
		RTT   float64 `json:"round_trip_ms"`
		Quota int64   `json:"spool_quota"`
		Lost  int     `json:"streams_lost"`
		Cuts  []struct {
			From time.Time `json:"from"`
			To   time.Time `json:"to"`
		} `json:"cuts"`
	} `json:"link"`
	Pages []struct {
		Session string `json:"session"`
		Port    int    `json:"port"`
		Tabs    int    `json:"tabs"`
		Busy    int    `json:"busy"`
		Waiting int    `json:"requests"`
		Kept    []struct {
			Messages int64     `json:"messages"`
			Away     time.Time `json:"away"`
		} `json:"kept"`
	} `json:"pages"`
	Machine struct {
		Memory struct {
			Total int64 `json:"total"`
		} `json:"memory"`
		Home struct {
			Total int64 `json:"total"`
		} `json:"home"`
		Old bool `json:"old"`
	} `json:"machine"`
}

// statusOf is the one host of `status gpu1 --json`.
func statusOf(t *testing.T, l *lab.Lab) hostStatus {
	t.Helper()
	var all []hostStatus
	r := l.Must("status", "gpu1", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v in:\n%s", err, r.Stdout)
	}
	return all[0]
}

// heldRequests begins requests of a page, and gives how each was answered.
func heldRequests(t *testing.T, l *lab.Lab, o opened, n int) <-chan int {
	codes := make(chan int, n)
	client := &http.Client{Transport: &http.Transport{DialContext: l.Dial}}
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://127.0.0.1:%d/api/contents", o.Port), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+o.Token)
		go func() {
			resp, err := client.Do(req)
			if err != nil {
				codes <- 0
				return
			}
			resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	return codes
}

// A cut is seen while it lasts, by status, by its --watch and by a command that
// stays; afterwards it is listed.
func TestStatus_OverACut(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	o := open(t, l, "gpu1")
	before := statusOf(t, l)
	if before.Host != "gpu1" || before.State != "up" || before.Link == nil || !before.Link.On || before.Link.RTT <= 0 || before.Link.Quota <= 0 || len(before.Link.Cuts) != 0 {
		t.Errorf("%+v", before)
	}
	if len(before.Pages) != 1 || before.Pages[0].Session != "main" || before.Pages[0].Port != o.Port || before.Machine.Memory.Total == 0 || before.Machine.Home.Total == 0 || before.Machine.Old {
		t.Errorf("%+v", before)
	}
	stays := l.Start("open", "--foreground", "--no-browser", "--progress=plain", "gpu1")
	watch := l.Start("status", "--watch")
	stays.Expect("Ctrl-C closes", 30*time.Second)
	watch.Expect("by the relay: a lost line loses no output", 10*time.Second)
	page := newPage(t, l, o.Port, o.Token)
	page.run(t.Context(), counting(1200, 0, tick)) // while something is printed, silence is noticed soon
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := page.got(1200); return lost < 1190 })
	if s := statusOf(t, l); len(s.Pages) != 1 || s.Pages[0].Busy != 1 {
		t.Errorf("while a cell runs: %+v", s.Pages)
	}

	l.Laptop.Cut()
	stays.Expect("gpu1: line down (gw1)", 25*time.Second)
	served := heldRequests(t, l, o, 3)
	lab.Wait(t, 10*time.Second, "the requests to be seen", func() bool { s := statusOf(t, l); return len(s.Pages) == 1 && s.Pages[0].Waiting == 3 })
	during := l.Must("status", "gpu1")
	if !strings.Contains(during.Stdout, "  line   down since ") || !strings.Contains(during.Stdout, "gw1 does not answer") || !strings.Contains(during.Stdout, "  kept   1 cell running, 3 requests waiting, 0 lost; ") || !strings.Contains(during.Stdout, "as far as is known") || !regexp.MustCompile(`\(at \d\d:\d\d\)`).MatchString(during.Stdout) {
		t.Errorf("while it is cut:\n%s", during.Stdout)
	}
	if during.Took > 2*time.Second {
		t.Errorf("it took %v to say that the line is down", during.Took)
	}
	if r := l.Must("ls"); !regexp.MustCompile(`gpu1/main +down \d+s +.*output kept +127\.0\.0\.1:`).MatchString(r.Stdout) {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	watch.Expect("down since", 5*time.Second)
	l.Laptop.Mend()
	for range 3 {
		if code := <-served; code != 200 {
			t.Errorf("a request that was held is answered %d", code)
		}
	}

	stays.Expect(", 0 lost", 30*time.Second)
	if said := stays.Stderr(); !regexp.MustCompile(`(?m)^nbremote: \d\d:\d\d:\d\d gpu1: line down \(gw1\); output is kept$`).MatchString(said) ||
		!regexp.MustCompile(`(?m)^nbremote: \d\d:\d\d:\d\d gpu1: back after \d+ s, 0 lost$`).MatchString(said) || strings.Contains(said, "suspect") {
		t.Errorf("it said:\n%s", said)
	}
	after := statusOf(t, l)
	if len(after.Pages) != 1 || after.Pages[0].Waiting != 0 || after.Pages[0].Busy != 1 {
		t.Errorf("after it: %+v", after.Pages)
	}
	if after.State != "up" || after.Link == nil || len(after.Link.Cuts) != 1 || after.Link.Cuts[0].To.Sub(after.Link.Cuts[0].From) < 5*time.Second {
		t.Errorf("after it: %+v", after)
	}
	if text := l.Must("status").Stdout; !strings.HasPrefix(text, "gpu1\n  line   up since ") || !strings.Contains(text, "last cut: ") || !strings.Contains(text, "\ngw1\n  line   up since ") {
		t.Errorf("after it:\n%s", text)
	}
	for _, said := range []string{stays.Stderr(), stays.Stdout(), watch.Stdout(), during.Stdout} {
		if strings.Contains(said, o.Token) {
			t.Error("the token is told")
		}
	}
}
