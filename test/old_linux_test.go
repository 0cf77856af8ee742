package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// oldJupyter has a Jupyter server 1.x, and the classic notebook 6.
const oldJupyter = lab.Jupyter + "-1.23"

// A page of the servers of other years, which know but the first protocol for a
// kernel's websocket: its sockets are reset and the line is cut. Nothing is lost,
// and what was asked for in the cut is answered after it. The twin, a second page
// on the kernel, goes by `ssh -L`, and loses.
func TestN13_OldServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ui, version string }{{"server", "1.23."}, {"notebook", "6.5."}} {
		t.Run(c.ui, func(t *testing.T) {
			t.Parallel()
			lab.Needs(t, oldJupyter+"/bin/jupyter-"+c.ui)
			l := lab.New(t, lab.Chain{Jupyter: oldJupyter})
			o := open(t, l, "--ui", c.ui, "gpu1")
			if version := get(t, l, o, "/api"); !strings.Contains(version, `"`+c.version) || !o.Link.On {
				t.Errorf("%s, %+v", version, o)
			}
			works(t, l, o)
			sleepWithOld(t, l, o)
		})
	}
}

func sleepWithOld(t *testing.T, l *lab.Lab, o opened) {
	want := bigFile(t, l, "small.bin", 1<<10)
	sock := strings.TrimSpace(l.Host("gpu1").ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	twinPort := plain(t, l, "gpu1", sock)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cell := sleepTest{seconds: 25, rate: 10}
	ours := newOldPage(t, l, o.Port, o.Token, "")
	twin := newOldPage(t, l, twinPort, o.Token, ours.kernel)
	twin.execute(ctx, "")
	ours.execute(ctx, fmt.Sprintf("import time\nfor i in range(%d):\n    print(i, flush=True)\n    time.sleep(1 / %d)\n", cell.seconds*cell.rate, cell.rate))
	lab.Wait(t, 30*time.Second, "both to print", func() bool {
		a, _, _, _, _, _ := ours.state()
		b, _, _, _, _, _ := twin.state()
		return a > cell.rate && b > cell.rate
	})
	ours.sleep()
	twin.sleep()
	time.Sleep(3 * time.Second) // so long they are away while the line is up
	l.Laptop.Cut()
	answered := make(chan time.Time, 1)
	go func() {
		got, err := fetch(l, o, "small.bin")
		if err != nil {
			t.Error(err)
		}
		same(t, "small.bin", got, want)
		answered <- time.Now()
	}()
	time.Sleep(8 * time.Second) // so long the cut lasts
	l.Laptop.Mend()
	mended := time.Now()
	took := (<-answered).Sub(mended)
	t.Logf("what was asked for in the cut was answered %v after the mend", took.Round(time.Millisecond))
	if took < 0 || took > 5*time.Second {
		t.Errorf("answered %v after the mend", took)
	}
	ours.wake()
	twin.wake()
	cell.judge(t, ours, twin)
}

// newOldPage is newSleepyPage for a server that may have no JupyterLab, with the
// protocol without a name.
func newOldPage(t *testing.T, l *lab.Lab, port int, token, kernel string) *sleepyPage {
	t.Helper()
	p := &sleepyPage{t: t, l: l, port: port, kernel: kernel, id: newNonce(), old: true}
	p.signIn(token, "/api/status")
	return p
}

// oldRequest is a message in the protocol without a name: JSON.
func oldRequest(session, code string) []byte {
	message, _ := json.Marshal(map[string]any{
		"channel": "shell", "header": map[string]any{"msg_id": newNonce(), "username": "me", "session": session, "msg_type": "execute_request", "version": "5.3"},
		"parent_header": map[string]any{}, "metadata": map[string]any{},
		"content": map[string]any{"code": code, "silent": false, "store_history": true, "user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true},
	})
	return message
}

// oldParts takes such a message apart.
func oldParts(b []byte) (channel string, header, parent, content []byte, ok bool) {
	var m struct {
		Channel string          `json:"channel"`
		Header  json.RawMessage `json:"header"`
		Parent  json.RawMessage `json:"parent_header"`
		Content json.RawMessage `json:"content"`
	}
	err := json.Unmarshal(b, &m)
	return m.Channel, m.Header, m.Parent, m.Content, err == nil
}
