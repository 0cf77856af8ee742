package holder

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"nbremote/sshx"
)

// attached are the commands connected now: each hears every event; a question
// goes to the first that can ask a person, and to the next if that one leaves.
type attached struct {
	mu      sync.Mutex
	nextID  int64
	subs    []*subscriber
	pending map[int64]*pending
}

type subscriber struct {
	canAsk bool
	events chan Event // never blocks the sender: a full one loses state events only
}

type pending struct {
	question Question
	asked    *subscriber
	answer   chan Answer
}

func newAttached() *attached { return &attached{pending: map[int64]*pending{}} }

func (a *attached) join(canAsk bool) *subscriber {
	s := &subscriber{canAsk: canAsk, events: make(chan Event, 256)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subs = append(a.subs, s)
	a.assign()
	return s
}

func (a *attached) leave(s *subscriber) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, x := range a.subs {
		if x == s {
			a.subs = append(a.subs[:i], a.subs[i+1:]...)
			break
		}
	}
	for _, p := range a.pending {
		if p.asked == s {
			p.asked = nil
		}
	}
	a.assign()
}

// assign gives questions that nobody is asked to somebody, or refuses them
// when nobody is left. a.mu is held.
func (a *attached) assign() {
	for id, p := range a.pending {
		if p.asked != nil {
			continue
		}
		p.asked = a.asker()
		if p.asked == nil {
			delete(a.pending, id)
			p.answer <- Answer{ID: id, Refused: true}
			continue
		}
		q := p.question
		p.asked.send(Event{Kind: "question", ID: id, Hop: q.Hop, Question: &q})
	}
}

func (a *attached) asker() *subscriber {
	for _, s := range a.subs {
		if s.canAsk {
			return s
		}
	}
	return nil
}

func (a *attached) canAsk() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asker() != nil
}

// asking says whether a question is open.
func (a *attached) asking() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending) > 0
}

func (a *attached) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.subs)
}

func (a *attached) tell(e Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.subs {
		s.send(e)
	}
}

func (s *subscriber) send(e Event) {
	select {
	case s.events <- e:
	default:
	}
}

// ask puts q to a person and waits for the answer, as long as ctx lasts and
// somebody who can ask is connected.
func (a *attached) ask(ctx context.Context, q Question) (string, error) {
	p := &pending{question: q, answer: make(chan Answer, 1)}
	a.mu.Lock()
	a.nextID++
	id := a.nextID
	a.pending[id] = p
	a.assign()
	a.mu.Unlock()
	defer a.forget(id)
	select {
	case ans := <-p.answer:
		if ans.Refused {
			return "", sshx.ErrNobodyToAsk
		}
		return ans.Text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (a *attached) forget(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, id)
	for _, s := range a.subs {
		s.send(Event{Kind: "answered", ID: id})
	}
}

// answer takes a reply; false: the question is no longer open.
func (a *attached) answer(ans Answer) bool {
	a.mu.Lock()
	p, ok := a.pending[ans.ID]
	if ok {
		delete(a.pending, ans.ID)
	}
	a.mu.Unlock()
	if ok {
		p.answer <- ans
	}
	return ok
}

// askForChild puts the question of a child of ours, such as the ssh of a
// ProxyCommand, to a person.
func (h *holder) askForChild(w http.ResponseWriter, r *http.Request) {
	q, ok := read[Question](w, r)
	if !ok {
		return
	}
	q.Hop = h.spec.Target.Name
	h.mu.Lock()
	h.ownAsks++
	if !strings.Contains(q.Text, "(yes/no") { // a host key is asked for once, and is no sign-in
		h.childAsks++
	}
	h.mu.Unlock()
	text, err := h.asks.ask(r.Context(), q)
	reply(w, Answer{Text: text}, err)
}
