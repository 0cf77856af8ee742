package test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// bigFile puts a file of random bytes into the home on gpu1.
func bigFile(t *testing.T, l *lab.Lab, name string, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	rand.Read(b)
	l.Host("gpu1").WriteFile(lab.Me, "/home/me/"+name, string(b))
	return b
}

// fetch gets a file from Jupyter through the page's port.
func fetch(l *lab.Lab, o opened, name string) ([]byte, error) {
	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/files/%s", o.Port, name), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+o.Token)
	c := &http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true, DisableCompression: true}, Timeout: 100 * time.Second}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("GET %s: %s", name, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// put saves a file by Jupyter through the page's port.
func put(t *testing.T, l *lab.Lab, o opened, name string, content []byte) {
	t.Helper()
	body := `{"type": "file", "format": "base64", "content": "` + base64.StdEncoding.EncodeToString(content) + `"}`
	req, err := http.NewRequest("PUT", fmt.Sprintf("http://127.0.0.1:%d/api/contents/%s", o.Port, name), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+o.Token)
	c := &http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 100 * time.Second}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("PUT %s: %s", name, resp.Status)
	}
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Errorf("%s: %d bytes are not the %d that were sent", what, len(got), len(want))
	}
}

// Keys that are exchanged again after each MiB, and each five seconds, under
// load both ways: every byte is as it was, and the connection is the first.
func TestN24_Rekeying(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "RekeyLimit 1M 5\nLogLevel DEBUG\n"})
	o := open(t, l, "gpu1")
	down, up := bigFile(t, l, "down.bin", 48<<20), make([]byte, 16<<20)
	rand.Read(up)
	keys := func() int { return strings.Count(l.Host("gpu1").SSHDLog(), "rekey ") }
	before := keys()
	got := make(chan []byte, 1)
	go func() {
		b, err := fetch(l, o, "down.bin")
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	put(t, l, o, "up.bin", up)
	same(t, "down", <-got, down)
	b, err := os.ReadFile(l.Host("gpu1").Path("/home/me/up.bin"))
	if err != nil {
		t.Error(err)
	}
	same(t, "up", b, up)
	if n := keys() - before; n < 40 {
		t.Errorf("keys were exchanged %d times", n)
	} else {
		t.Logf("keys were exchanged %d times", n)
	}
	if s := statusOf(t, l); len(s.Link.Cuts) != 0 {
		t.Errorf("cut: %+v", s.Link.Cuts)
	}
}

// A bit that is turned over on the way ends the connection, is never delivered,
// and costs nothing.
func TestN25_BitFlip(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	box := l.Box(l.Host("gpu1"), "gpu1")
	o := open(t, l, "gpu1")
	want := bigFile(t, l, "big.bin", 12<<20)
	const flips = 8
	for i := range flips {
		box.Flip(int64(i) * 1_300_007)
		got, err := fetch(l, o, "big.bin")
		if err != nil {
			t.Error(err)
		}
		same(t, fmt.Sprintf("with bit flip %d", i), got, want)
		if box.Flipped() != i+1 {
			t.Errorf("%d bits were turned over", box.Flipped())
		}
	}
	if s := statusOf(t, l); len(s.Link.Cuts) != flips {
		t.Errorf("%d cuts", len(s.Link.Cuts))
	}
	said := l.Laptop.Sh("cat $(find /home/me/.local/state/nbremote -name '*.log')")
	if n := strings.Count(said, "message authentication failed"); n < flips-1 { // one may be in a length
		t.Errorf("it was not the bits that ended the connections, but for %d:\n%s", n, said)
	}
}

// sshd ends what it takes for idle. A channel that it ends, or a connection, is
// the link's to replace: the page's socket lives. The twin's does not.
func TestN21_IdleTimeouts(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"ChannelTimeout":          "ChannelTimeout session:command=3s direct-streamlocal@openssh.com=3s\n",
		"UnusedConnectionTimeout": "ChannelTimeout session:command=3s direct-streamlocal@openssh.com=3s\nUnusedConnectionTimeout 2s\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Sshd: lines})
			p := pairIn(t, l, 4, "import time\nfor i in range(4):\n    print(i, flush=True)\n    time.sleep(16)\n")
			p.nothingLost(90 * time.Second)
			works(t, l, p.o)
			t.Logf("%d connections", len(p.box.Dials()))
		})
	}
}

// sshd that asks each second whether we live is answered, however busy we are:
// one connection carries all of it.
func TestN21_ClientAlive(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "ClientAliveInterval 1\nClientAliveCountMax 2\n"})
	box := l.Box(l.Host("gpu1"), "gpu1")
	o := open(t, l, "gpu1")
	want := bigFile(t, l, "big.bin", 16<<20)
	before := len(box.Dials())
	for since := time.Now(); time.Since(since) < 12*time.Second; {
		got, err := fetch(l, o, "big.bin")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "big.bin", got, want)
	}
	time.Sleep(6 * time.Second) // and at rest
	works(t, l, o)
	if n := len(box.Dials()); n != before {
		t.Errorf("%d connections more", n-before)
	}
}
