package holder

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"nbremote/internal/webproxy"
	"nbremote/sshx"
)

// newPagesOf gives the pages of a holder that has no line.
func newPagesOf(t *testing.T, place Place, name string) *pages {
	t.Helper()
	h := newHolder(Spec{Place: place, Target: &sshx.Target{Name: name, Host: name, User: "me", Port: 22}}, "test", log.New(io.Discard, "", 0), func() {})
	t.Cleanup(h.pages.close)
	return h.pages
}

func addPage(t *testing.T, ps *pages, session string, port int) Page {
	t.Helper()
	p, err := ps.add(PageSpec{Session: session, Network: "tcp", Addr: "127.0.0.1:1", Path: "/lab", Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// take listens on a port, as any other program would.
func take(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:"+itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func freePort(t *testing.T) int {
	t.Helper()
	l := take(t, 0)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// answers tells whether the page's guard answers at a port: it refuses a Host
// that is not its own, whatever the line does.
func answers(port int) bool {
	req, err := http.NewRequest("GET", localURL(port, "/"), nil)
	if err != nil {
		return false
	}
	req.Host = "evil.com"
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusForbidden
}

// A port that is taken is still the session's own: it is used again by the next
// holder, and by this one as soon as it is free.
func TestPort_TakenIsTakenBack(t *testing.T) {
	place := newPlace(t)
	first := newPagesOf(t, place, "gpu1")
	own := addPage(t, first, "main", freePort(t)).Port
	first.close()
	if left, _ := filepath.Glob(filepath.Join(place.State, "kept", "*")); len(left) != 0 {
		t.Errorf("an ended holder leaves %v", left)
	}
	other := take(t, own)

	ps := newPagesOf(t, place, "gpu1")
	moved := addPage(t, ps, "main", 0)
	if moved.Port == own || moved.Moved != own || moved.URL != localURL(moved.Port, "/lab") || moved.Back || moved.Also != nil {
		t.Fatalf("while it is taken: %+v", moved)
	}
	var taken *webproxy.TakenError
	if _, err := webproxy.Listen(own); !errors.As(err, &taken) || taken.By != moved.TakenBy {
		t.Errorf("taken by %q: %v", moved.TakenBy, err)
	}
	if again := addPage(t, ps, "main", 0); again.Port != moved.Port || again.Moved != own {
		t.Errorf("again: %+v", again)
	}
	sub := ps.h.asks.join(false)
	defer ps.h.asks.leave(sub)
	other.Close()
	until(t, "the port is taken back", func() bool { return ps.list()[0].Port == own })
	back := ps.list()[0]
	if back.Moved != 0 || back.TakenBy != "" || !back.Back || len(back.Also) != 1 || back.Also[0] != moved.Port || back.URL != localURL(own, "/lab") {
		t.Errorf("taken back: %+v", back)
	}
	if e := <-sub.events; e.Kind != "port" || e.Text != "port "+itoa(own)+" is free again and used" {
		t.Errorf("told %+v", e)
	}
	if !answers(own) || !answers(moved.Port) {
		t.Error("the page does not answer at both ports")
	}
}

// The next open does not wait for the next try.
func TestPort_TakenBackAtOnceByOpen(t *testing.T) {
	place := newPlace(t)
	ps := newPagesOf(t, place, "gpu1")
	own := addPage(t, ps, "main", freePort(t)).Port
	ps.remove("main")
	other := take(t, own)
	moved := addPage(t, ps, "main", 0)
	other.Close()
	if back := addPage(t, ps, "main", 0); back.Port != own || back.Moved != 0 || !back.Back || len(back.Also) != 1 || back.Also[0] != moved.Port {
		t.Errorf("got %+v", back)
	}
	if p := addPage(t, ps, "main", freePort(t)); p.Back || len(p.Also) != 2 {
		t.Errorf("another port: %+v", p)
	}
	addPage(t, ps, "main", own)
	next := newPagesOf(t, place, "gpu1")
	ps.close()
	if p := addPage(t, next, "main", 0); p.Port != own || p.Back || p.Also != nil {
		t.Errorf("the next holder: %+v", p)
	}
}

// The port that is no longer the address goes on while something there is under
// way, and for a while after.
func TestPort_OtherGoesOnWhileUsed(t *testing.T) {
	ps := newPagesOf(t, newPlace(t), "gpu1")
	before := addPage(t, ps, "main", 0).Port
	var page *page
	for _, page = range ps.all {
	}
	line, err := net.Dial("tcp", "127.0.0.1:"+itoa(before))
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	// Held: this holder has no line.
	io.WriteString(line, "GET /api HTTP/1.1\r\nHost: 127.0.0.1:"+itoa(before)+"\r\n\r\n")
	door := page.doors[0]
	until(t, "the request is under way", func() bool { door.mu.Lock(); defer door.mu.Unlock(); return door.busy == 1 })
	asked := addPage(t, ps, "main", freePort(t))
	if asked.Port == before || asked.Back || len(asked.Also) != 1 || asked.Also[0] != before {
		t.Fatalf("got %+v", asked)
	}
	if ps.settleNow(page, time.Now().Add(24*time.Hour)) || !answers(before) {
		t.Fatal("it was closed under a request")
	}
	line.Close()
	until(t, "the request has ended", func() bool { door.mu.Lock(); defer door.mu.Unlock(); return door.busy == 0 })
	if ps.settleNow(page, time.Now().Add(quiet-time.Minute)) || !answers(before) {
		t.Fatal("it was closed too soon")
	}
	if !ps.settleNow(page, time.Now().Add(quiet+time.Minute)) || answers(before) || !answers(asked.Port) {
		t.Error("it is not closed")
	}
	if now := ps.list()[0]; now.Also != nil || now.Port != asked.Port {
		t.Errorf("got %+v", now)
	}
}

// A port that is asked for is the session's own from then on; one that is taken
// changes nothing.
func TestPort_AskedFor(t *testing.T) {
	place := newPlace(t)
	ps := newPagesOf(t, place, "gpu1")
	first := addPage(t, ps, "main", freePort(t)).Port
	other := take(t, 0)
	taken := other.Addr().(*net.TCPAddr).Port
	if p, err := ps.add(PageSpec{Session: "main", Port: taken}); err == nil {
		t.Fatalf("got %+v", p)
	}
	if p := ps.list()[0]; p.Port != first || p.Path != "/lab" || !answers(first) {
		t.Fatalf("after a port that is taken: %+v", p)
	}
	other.Close()
	if p := addPage(t, ps, "main", taken); p.Port != taken || p.Moved != 0 {
		t.Fatalf("got %+v", p)
	}
	if p := addPage(t, ps, "main", 0); p.Port != taken {
		t.Errorf("again: %+v", p)
	}
	if p := addPage(t, ps, "main", first); p.Port != first || len(p.Also) != 1 || p.Also[0] != taken || p.Back {
		t.Errorf("the first again: %+v", p)
	}
	ps.remove("main")
	if p := addPage(t, ps, "main", 0); p.Port != first {
		t.Errorf("after it was removed: %+v", p)
	}
}

// What has an address saved must not find another session there: a port that is
// some session's own is not given to another.
func TestPort_OfOthersIsLeftAlone(t *testing.T) {
	place := newPlace(t)
	own := map[int]string{}
	for _, name := range []string{"gpu1", "gpu2"} {
		ps := newPagesOf(t, place, name)
		for _, session := range []string{"main", "proj"} {
			port := addPage(t, ps, session, 0).Port
			if who := own[port]; who != "" {
				t.Errorf("%s/%s has port %d of %s", name, session, port, who)
			}
			own[port] = name + "/" + session
			ps.remove(session) // free, as when nothing is open
		}
		ps.close()
	}
	for port := range own {
		if l, err := net.Listen("tcp4", "127.0.0.1:"+itoa(port)); err == nil {
			defer l.Close()
		} // else somebody has it already
	}
	for _, name := range []string{"gpu2", "gpu1"} {
		ps := newPagesOf(t, place, name)
		p := addPage(t, ps, "proj", 0)
		if own[p.Moved] != name+"/proj" || own[p.Port] != "" {
			t.Errorf("%s/proj: %+v", name, p)
		}
	}
}

// A file of another holder that cannot be read says nothing.
func TestPort_OthersFilesAreBroken(t *testing.T) {
	place := newPlace(t)
	ps := newPagesOf(t, place, "gpu1")
	addPage(t, ps, "main", 0)
	for name, text := range map[string]string{"a.json": "{", "b.json": `{"ports":{"x":"y"}}`, "c.json": `{"version":1,"ports":{"main":4711}}`} {
		if err := writeFile(filepath.Join(place.State, "hosts", name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := ps.h.memory.others("main"); len(got) != 1 || !got[4711] {
		t.Errorf("got %v", got)
	}
}

// A server that refuses the token is not the one that the page was opened for.
func TestPage_OtherTokenIsGone(t *testing.T) {
	far := take(t, 0)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token new" {
			w.WriteHeader(http.StatusForbidden)
		}
		io.WriteString(w, "[]")
	})}
	go web.Serve(far)
	defer web.Close()
	c := newRig(t).serve()
	up(t, c)
	spec := PageSpec{Session: "main", Network: "tcp", Addr: far.Addr().String(), Token: "old", Path: "/lab", Watch: []string{"/api/kernels"}}
	gone := func(want bool) func() bool {
		return func() bool {
			s, err := c.Status(limit(t))
			return err == nil && s.Pages[0].Gone == want && (want || len(s.Pages[0].Report) == 1)
		}
	}
	if _, err := c.AddPage(limit(t), spec); err != nil {
		t.Fatal(err)
	}
	until(t, "the page is said to be gone", gone(true))
	spec.Token = "new"
	if _, err := c.AddPage(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	until(t, "the page is there", gone(false))
}
