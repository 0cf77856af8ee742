package holder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

// Silent is the state of a holder that is there and answers nobody, as one that
// was stopped, in what List gives of it: Key, Name as it was known last, PID (0:
// not known) and Reason.
const Silent State = "no answer"

// listTime is how long List waits for a holder.
const listTime = time.Second

// errSilent ends what waits for a holder that says nothing.
var errSilent = errors.New("no answer")

// SilentError says that a holder is there and answers nobody.
type SilentError struct{ PID int }

func (e *SilentError) Error() string {
	if e.PID == 0 {
		return "the background process that holds the line does not answer"
	}
	return fmt.Sprintf("the background process that holds the line (pid %d) does not answer", e.PID)
}

// Class is line.
func (e *SilentError) Class() string { return "line" }

// Hint is how to go on with it, or without.
func (e *SilentError) Hint() string {
	if e.PID == 0 {
		return "see whether it is stopped: ps -o pid,stat,args -C nbremote"
	}
	pid := strconv.Itoa(e.PID)
	return "kill -CONT " + pid + ", if it was stopped; kill -9 " + pid + " ends it, and what is on the host runs on"
}

// silent is the error of a holder that says nothing.
func (c *Client) silent() error {
	conn, err := net.DialTimeout("unix", c.Sock, listTime)
	if err != nil {
		return &SilentError{}
	}
	defer conn.Close()
	return &SilentError{PID: listenerPID(conn.(*net.UnixConn))}
}

// Look is what there is to say of a holder, in listTime; false: none is there.
func (c *Client) Look(ctx context.Context, place Place) (Status, bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, errSilent)
	defer cancel()
	s, err := c.Status(ctx)
	if err == nil {
		return s, true
	}
	var silent *SilentError
	if !errors.As(err, &silent) {
		return Status{}, false
	}
	key := c.Key()
	s = Status{Key: key, Name: loadMemory(place, key).name(), PID: silent.PID, State: Silent, Reason: err.Error(), Since: time.Now()}
	if s.Name == "" {
		s.Name = filepath.Base(c.Sock)
	}
	return s, true
}
