package holder

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"nbremote/internal/remote"
	"nbremote/internal/sshd"
)

func TestRun_GivesOutputAndStatus(t *testing.T) {
	c := newRig(t).serve()
	up(t, c)
	out, err := c.Run(limit(t), "echo hello; exit 0")
	if err != nil || string(out) != "hello\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	_, err = c.Run(limit(t), "echo no; exit 7")
	var ended *remote.ScriptError
	if !errors.As(err, &ended) || ended.Exit != 7 || string(ended.Stdout) != "no\n" {
		t.Fatalf("got %v, want exit 7", err)
	}
}

// A server that allows one session only is enough: the others wait.
func TestRun_OneSessionIsEnough(t *testing.T) {
	r := newRig(t)
	r.server.SetFaults(sshd.Faults{MaxSessions: 1})
	c := r.serve()
	up(t, c)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if out, err := c.Run(limit(t), "sleep 0.02; echo hello"); err != nil || string(out) != "hello\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	wg.Wait()
}

func TestStream_PassesOutputAsItComes(t *testing.T) {
	c := newRig(t).serve()
	up(t, c)
	dir := t.TempDir()
	s, err := c.Stream(limit(t), "echo one; while [ ! -e "+remote.Quote(filepath.Join(dir, "go"))+" ]; do sleep 0.01; done; echo two")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "one\n" {
		t.Fatalf("got %q, %v", buf, err)
	}
	os.WriteFile(filepath.Join(dir, "go"), nil, 0o600)
	if rest, err := io.ReadAll(s); err != nil || string(rest) != "two\n" {
		t.Fatalf("got %q, %v", rest, err)
	}
}

func TestDial_PassesHalfCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		got, _ := io.ReadAll(conn)
		conn.Write([]byte("answer to " + string(got)))
		conn.Close()
	}()
	c := newRig(t).serve()
	up(t, c)
	conn, err := c.Dial(limit(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("question"))
	conn.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "answer to question" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestLine_RedialsWhenItIsCut(t *testing.T) {
	r := newRig(t)
	c := r.serve()
	a := up(t, c)
	r.server.CutAll()
	waitEvent(t, limit(t), a, "up")
	if out, err := c.Run(limit(t), "echo back"); err != nil || string(out) != "back\n" {
		t.Fatalf("got %q, %v", out, err)
	}
}

// A changed host key is refused on a redial as on the first dial, and nothing
// is tried again by itself.
func TestE1_ChangedHostKeyOnRedial(t *testing.T) {
	r := newRig(t)
	c := r.serve()
	a := up(t, c)
	key, _, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	r.server.SetHostKeys([]ssh.Signer{key}...)
	r.server.CutAll()
	for {
		e, err := a.Next(limit(t))
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "error" {
			if e.Error.Class() != "host-key" {
				t.Fatalf("class %q: %v", e.Error.Class(), e.Error)
			}
			break
		}
	}
	s, err := c.Status(limit(t))
	if err != nil || s.State != Stopped || !s.NextTry.IsZero() {
		t.Fatalf("state %q, next try %v, %v", s.State, s.NextTry, err)
	}
}

// Fifty commands at once make one holder.
func TestL2_FiftyHoldersAreOne(t *testing.T) {
	r := newRig(t)
	pids := make([]int, 50)
	var wg sync.WaitGroup
	for i := range pids {
		wg.Go(func() {
			c, err := Ensure(limit(t), Spec{Place: r.place, Target: r.target})
			if err != nil {
				t.Error(err)
				return
			}
			a, err := c.Attach(context.Background(), AttachOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			waitEvent(t, limit(t), a, "up")
			s, err := c.Status(limit(t))
			if err != nil {
				t.Error(err)
			}
			pids[i] = s.PID
		})
	}
	wg.Wait()
	c := ByKey(r.place, r.target.Key())
	defer until(t, "the holder has ended", func() bool { _, err := c.Status(limit(t)); return errors.Is(err, ErrNone) })
	defer c.Close(limit(t))
	for _, pid := range pids {
		if pid == 0 || pid != pids[0] {
			t.Fatalf("more than one holder: %v", pids)
		}
	}
	if n := r.server.Accepted(); n != 1 {
		t.Fatalf("%d connections", n)
	}
}

// Two hosts behind one gateway cost one sign-in there.
func TestGateway_IsShared(t *testing.T) {
	place := newPlace(t)
	gw, gwTarget := newServer(t, place.State, "bastion")
	var clients []*Client
	for _, name := range []string{"gpu1", "gpu2"} {
		_, target := newServer(t, place.State, name)
		target.Via = gwTarget
		r := &rig{t: t, place: place, target: target, log: &lockedBuffer{}}
		c := r.serve()
		up(t, c)
		clients = append(clients, c)
	}
	t.Cleanup(func() { ByKey(place, gwTarget.Key()).Close(context.Background()) })
	for _, c := range clients {
		if out, err := c.Run(limit(t), "echo hi"); err != nil || string(out) != "hi\n" {
			t.Fatalf("got %q, %v", out, err)
		}
	}
	if n := gw.Accepted(); n != 1 {
		t.Fatalf("%d connections to the gateway", n)
	}
	s, err := ByKey(place, gwTarget.Key()).Status(limit(t))
	if err != nil || s.Behind != 2 {
		t.Fatalf("behind %d, %v", s.Behind, err)
	}
}

// A question goes to the command that can ask; when it leaves, to the next.
func TestQuestion_GoesToWhoCanAsk(t *testing.T) {
	r := withPassword(t)
	c := r.serve()
	first, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	waitEvent(t, limit(t), first, "question")
	second, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	e := waitEvent(t, limit(t), second, "question")
	if e.Question.Kind != "password" || e.Question.Hop != "gpu1" || e.Question.Echo {
		t.Fatalf("asked %+v", e.Question)
	}
	if err := c.Answer(limit(t), Answer{ID: e.ID, Text: "secret"}); err != nil {
		t.Fatal(err)
	}
	waitEvent(t, limit(t), second, "up")
	if strings.Contains(r.log.String(), "secret") {
		t.Fatal("the password is in the log")
	}
}

// A child of the holder asks through it, and what it needed a person for is
// not dialled again unasked.
func TestQuestion_OfAChild(t *testing.T) {
	r := newRig(t)
	c := r.serve()
	up(t, c).Close()
	until(t, "nobody can be asked", func() bool { _, err := c.Ask(limit(t), Question{Text: "code?"}); return err != nil })
	a, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	got := make(chan string, 1)
	go func() {
		text, _ := c.Ask(limit(t), Question{Kind: "keyboard", Text: "code?"})
		got <- text
	}()
	e := waitEvent(t, limit(t), a, "question")
	if e.Question.Text != "code?" || e.Question.Hop != "gpu1" {
		t.Fatalf("asked %+v", e.Question)
	}
	c.Answer(limit(t), Answer{ID: e.ID, Text: "123"})
	if text := <-got; text != "123" {
		t.Fatalf("got %q", text)
	}
}

// After a sign-in that needed a person, nothing is dialled unasked.
func TestLine_NeedsSignIn(t *testing.T) {
	r := withPassword(t)
	c := r.serve()
	a, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	e := waitEvent(t, limit(t), a, "question")
	c.Answer(limit(t), Answer{ID: e.ID, Text: "secret"})
	waitEvent(t, limit(t), a, "up")
	a.Close()
	until(t, "the command has left", func() bool { r.server.CutAll(); s, _ := c.Status(limit(t)); return s.State == NeedsSignIn })
	b, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	e = waitEvent(t, limit(t), b, "question")
	c.Answer(limit(t), Answer{ID: e.ID, Text: "secret"})
	waitEvent(t, limit(t), b, "up")
}

func TestPage_ServesAndKeepsItsPort(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"host":"`+r.Host+`"}`) })}
	go web.Serve(far)
	defer web.Close()
	r := newRig(t)
	c := r.serve()
	up(t, c)
	spec := PageSpec{Session: "main", Network: "tcp", Addr: far.Addr().String(), Token: "abc", Path: "/lab", Watch: []string{"/api/kernels"}}
	page, err := c.AddPage(limit(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if want := `{"host":"127.0.0.1:` + itoa(page.Port) + `"}`; string(body) != want {
		t.Fatalf("got %s, want %s", body, want)
	}
	until(t, "the page is reported", func() bool {
		s, err := c.Status(limit(t))
		return err == nil && len(s.Pages) == 1 && len(s.Pages[0].Report) == 1 && !s.Pages[0].Gone
	})
	again, err := c.AddPage(limit(t), spec)
	if err != nil || again.Port != page.Port {
		t.Fatalf("again: port %d, %v", again.Port, err)
	}
	web.Close()
	until(t, "its end is noticed", func() bool { s, _ := c.Status(limit(t)); return len(s.Pages) == 1 && s.Pages[0].Gone })
}

// The control socket and what is kept beside it are for this user only.
func TestB7_ModesOfSocketAndState(t *testing.T) {
	r := newRig(t)
	c := r.serve()
	up(t, c)
	until(t, "the alias is there", func() bool { _, err := Find(r.place, "gpu1"); return err == nil })
	for _, dir := range []string{r.place.Run, filepath.Join(r.place.State, "hosts")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(e.Name(), ".lock") {
				t.Errorf("%s/%s has mode %v", dir, e.Name(), info.Mode())
			}
		}
	}
}
