package sshx

import "time"

// Trace is what a Connect saw on its way, whether it succeeded or not. It is
// filled in when Connect returns.
type Trace struct {
	Reached Phase         // the last phase that began
	Dialled time.Duration // until bytes could be sent; 0: they could not
	Took    time.Duration // in all
	Methods []string      // to sign in with, as the host named them last
}

// fill writes down what the attempt saw. The handshake has ended.
func (a *attempt) fill(t *Trace) {
	if t == nil {
		return
	}
	*t = Trace{Dialled: a.dialled, Took: time.Since(a.began), Reached: a.reached()}
	if a.auth != nil {
		t.Methods = a.auth.allowed
	}
}
