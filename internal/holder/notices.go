package holder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"sync"
	"time"
)

// NoticeCommand is the hidden command of the program that shows a desktop
// notice: it reads a Notice on stdin.
const NoticeCommand = "notice"

const (
	noticeAfter = 30 * time.Second // of a cut with a page waiting
	noticeTime  = 5 * time.Second  // that showing one may take
	noticeEvery = 5 * time.Second  // to look whether a page waits by now
)

// Notice is one desktop notice.
type Notice struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// notices tell a person at the desktop what becomes of the line. Each is shown
// by a process of its own, so that no desktop can hold the line up.
type notices struct {
	name    string
	waiting func() bool  // a page waits
	alone   func() bool  // nobody at a terminal sees what happens
	ours    func() bool  // the sign-in that is needed is this host's, not a gateway's
	kept    func() bool  // nothing is lost meanwhile
	show    func(Notice) // nil: none is wanted
	after   time.Duration

	mu     sync.Mutex
	wasUp  bool
	down   time.Time   // zero: it is not
	timer  *time.Timer // nil: no notice of it is due
	told   bool        // that it is down
	signIn bool        // told that it is needed
}

// hear is told each state of the line.
func (n *notices) hear(s State, since time.Time) {
	if n.show == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch s {
	case Up:
		n.back()
		return
	case Connecting:
		return
	case NeedsSignIn:
		if n.wasUp && !n.signIn && n.alone() && n.ours() {
			n.signIn = true
			n.say(n.name+" needs a sign-in", "In a terminal: nbremote open "+n.name)
		}
	}
	if n.wasUp && n.down.IsZero() {
		n.down = since
		n.timer = time.AfterFunc(max(0, n.after-time.Since(since)), n.long)
	}
}

// long is called when the line has been down for a while.
func (n *notices) long() {
	waiting := n.waiting()
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.timer == nil || n.told:
		return
	case !waiting:
		n.timer.Reset(noticeEvery)
		return
	}
	n.told = true
	text := "Jupyter runs on; the page waits."
	if n.kept() {
		text = "Output is kept; the page waits. Do not reload it."
	}
	n.say("The line to "+n.name+" is down", "Since "+n.down.Format("15:04:05")+". "+text)
}

// back is the end of a time without the line. n.mu is held.
func (n *notices) back() {
	if n.timer != nil {
		n.timer.Stop()
	}
	if n.told || n.signIn && !n.down.IsZero() {
		n.say("The line to "+n.name+" is back", "After "+time.Since(n.down).Round(time.Second).String()+".")
	}
	n.wasUp, n.down, n.timer, n.told, n.signIn = true, time.Time{}, nil, false, false
}

func (n *notices) say(title, text string) { go n.show(Notice{Title: title, Text: text}) }

// close ends what is due.
func (n *notices) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// showNotice has the desktop show it, within a limit, and with no stream of ours.
func showNotice(ctx context.Context, n Notice) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, NoticeCommand)
	cmd.Stdin, cmd.Dir, cmd.WaitDelay = bytes.NewReader(raw), os.TempDir(), time.Second
	detach(cmd)
	cmd.Cancel = func() error { return killAll(cmd) }
	err = cmd.Run()
	if ctx.Err() != nil {
		return errors.New("the desktop did not answer in time")
	}
	return err
}

func (h *holder) newNotices() *notices {
	n := &notices{
		name: h.spec.Target.Name, after: noticeAfter,
		waiting: h.pages.waiting,
		alone:   func() bool { return !h.asks.canAsk() },
		ours:    func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.viaErr == nil },
		kept:    h.linked.isOn,
	}
	if h.spec.NoNotices {
		return n
	}
	n.show = func(one Notice) {
		if err := showNotice(h.ctx, one); err != nil {
			h.log.Printf("desktop notice %q: %v", one.Title, err)
		}
	}
	return n
}
