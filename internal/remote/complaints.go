package remote

import (
	"errors"
	"io"
	"time"
)

const (
	maxComplaints = 4 << 10
	// complaintTime is how long the rest of them is waited for, once nothing
	// answered.
	complaintTime = time.Second
)

// Complaints are the beginning of what a host prints on stderr. Where nobody is
// let in that is where it says why: a password that has expired, /etc/nologin.
type Complaints struct {
	kept []byte // not touched after over is closed
	over chan struct{}
}

// ReadComplaints reads r to its end, in the background.
func ReadComplaints(r io.Reader) *Complaints {
	c := &Complaints{over: make(chan struct{})}
	go func() {
		c.kept, _ = io.ReadAll(io.LimitReader(r, maxComplaints))
		close(c.over)
		io.Copy(io.Discard, r)
	}()
	return c
}

// Of adds them to what came instead of an answer, if err says that none came.
func (c *Complaints) Of(err error) error {
	var none *NoAnswerError
	if !errors.As(err, &none) || none.Begun {
		return err
	}
	limit := time.NewTimer(complaintTime)
	defer limit.Stop()
	select {
	case <-c.over:
		none.Noise = append(append([]byte{}, none.Noise...), c.kept...)
	case <-limit.C:
	}
	return err
}
