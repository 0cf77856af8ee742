package holder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/remote"
	"nbremote/sshx"
)

// Node is one of several machines behind a name, such as the login nodes of a
// cluster. What runs on one of them is reached from no other.
type Node struct {
	Machine string `json:"machine"` // its key, as remote.Dirs makes it
	Name    string `json:"name"`    // its own
	Port    int    `json:"port"`    // of its SSH server
}

// Sought is a Node that a sign-in did not get to.
type Sought struct {
	Node
	Gone bool   `json:"gone,omitempty"` // another machine has its name
	Why  string `json:"why,omitempty"`
}

// parseNode reads KEY NAME:PORT; nil: it is none.
func parseNode(text string) *Node {
	machine, at, ok := strings.Cut(text, " ")
	i := strings.LastIndexByte(at, ':')
	if !ok || machine == "" || i < 1 {
		return nil
	}
	port, err := strconv.Atoi(at[i+1:])
	if err != nil || port < 1 || port > 65535 || strings.Trim(at[:i], "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") != "" {
		return nil
	}
	return &Node{Machine: machine, Name: at[:i], Port: port}
}

// toNode goes on from the machine that a sign-in has led to, to the one where
// the line was, or where its sessions are. A first sign-in that cannot get
// there stays where it is; it has nothing yet that would be lost.
func (h *holder) toNode(ctx context.Context, conn *sshx.Conn, opts sshx.Options, again bool) (*sshx.Conn, error) {
	want := h.wanted(again)
	if want == nil {
		return conn, nil
	}
	at, err := nodeOf(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("see which machine %s is: %w", h.spec.Target.Name, err)
	}
	if at.Machine == want.Machine {
		h.linked.arrive(want)
		return conn, nil
	}
	next, err := h.onward(ctx, conn, at, want, opts)
	switch {
	case err == nil:
		h.linked.arrive(want)
		return next, nil
	case again || ctx.Err() != nil:
		conn.Close()
		return nil, fmt.Errorf("go on from %s to %s: %w", at.Name, want.Name, err)
	}
	h.log.Printf("go on from %s to %s: %v", at.Name, want.Name, err)
	sought := &Sought{Node: *want, Gone: errors.Is(err, errGone), Why: err.Error()}
	if sought.Gone {
		h.memory.setNode(nil)
	}
	h.mu.Lock()
	h.sought = sought
	h.mu.Unlock()
	return conn, nil
}

// errGone: the machine that was wanted is no longer behind its name.
var errGone = errors.New("its name is now that of another machine")

// wanted is the machine that a sign-in must lead to; nil: any.
func (h *holder) wanted(again bool) *Node {
	if n := h.memory.node(); n != nil {
		return n
	}
	if again && h.linked.isDecided() && !h.linked.isOn() {
		return h.linked.node() // a relay would have told
	}
	return nil
}

// onward signs in to another machine through a connection, which then ends with
// the new one.
func (h *holder) onward(ctx context.Context, conn *sshx.Conn, at, want *Node, opts sshx.Options) (*sshx.Conn, error) {
	start := time.Now()
	opts.Dial, opts.DialCommand, opts.Again = conn.Dial, "", nil
	h.mu.Lock()
	opts.PinnedHostKey = h.pinnedNext
	h.mu.Unlock()
	next, err := sshx.Connect(ctx, h.spec.Target.Sibling(want.Name, want.Port), opts)
	if err != nil {
		return nil, err
	}
	there, err := nodeOf(ctx, next)
	if err == nil && there.Machine != want.Machine {
		err = errGone
	}
	if err != nil {
		next.Close()
		return nil, err
	}
	conn.Patient() // the new one sees to that
	go func() {
		<-next.Done()
		conn.Close()
	}()
	h.mu.Lock()
	person := h.signed.Person
	h.signed = next.Signed()
	h.signed.Person, h.pinnedNext = h.signed.Person || person, h.signed.HostKey
	h.mu.Unlock()
	h.log.Printf("went on from %s to %s", at.Name, want.Name)
	h.tell(Event{Kind: "start", Hop: want.Name, Text: "going on from " + at.Name})
	h.tell(Event{Kind: "done", Hop: want.Name, Text: "signed in from " + at.Name + ", which is behind the same name", MS: time.Since(start).Milliseconds()})
	return next, nil
}

// nodeOf asks a machine which it is.
func nodeOf(ctx context.Context, conn *sshx.Conn) (*Node, error) {
	sh := directShells(conn)
	defer sh.pause(ctx) // a server may have few sessions
	out, err := sh.run(ctx, remote.Prelude+remote.Places+"put node \"$NBR_HOST $NBR_NODE\"\n")
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if f.Name == "node" {
			if n := parseNode(string(f.Value)); n != nil {
				return n, nil
			}
		}
	}
	return nil, fmt.Errorf("it does not say which machine it is")
}

// heard notes on which machine a relay is asked for.
func (k *linked) heard(text string) {
	if n := parseNode(text); n != nil {
		k.arrive(n)
	}
}

func (k *linked) arrive(n *Node) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = n
}

// elsewhere: a dial has led to another machine than that of the link. The next
// goes on from there.
func (k *linked) elsewhere(err error) {
	if k.h.memory.node() == nil {
		k.h.log.Printf("dial: %v", err)
		k.h.memory.setNode(k.node())
	}
}

func (k *linked) node() *Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

func (k *linked) isDecided() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.decided:
		return true
	default:
		return false
	}
}

// nodeName is the machine's own name where several are behind the target's.
func (h *holder) nodeName() string {
	if n := h.linked.node(); n != nil && h.memory.node() != nil {
		return n.Name
	}
	return ""
}

// settle has sign-ins return to where a page is now, if they went elsewhere.
func (h *holder) settle() {
	if at := h.linked.node(); at != nil && h.memory.node() != nil {
		h.memory.setNode(at)
	}
}

func (h *holder) returnTo(w http.ResponseWriter, r *http.Request) {
	if n, ok := read[Node](w, r); ok {
		h.memory.setNode(&n)
		reply(w, struct{}{}, nil)
	}
}

func (m *memory) node() *Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.Node
}

func (m *memory) setNode(n *Node) {
	m.change(func(d *remembered) bool {
		same := n == nil && d.Node == nil || n != nil && d.Node != nil && *n == *d.Node
		d.Node = n
		return !same
	})
}
