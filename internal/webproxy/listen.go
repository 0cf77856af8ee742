package webproxy

import (
	"fmt"
	"net"
	"strconv"
)

// TakenError is a local port that somebody else listens on.
type TakenError struct {
	Port int
	By   string // "jupyter-lab, pid 4711", "" = not known
}

func (e *TakenError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("listen on 127.0.0.1:%d: the port is taken", e.Port)
	}
	return fmt.Sprintf("listen on 127.0.0.1:%d: the port is taken by %s", e.Port, e.By)
}

func (e *TakenError) Class() string { return "other" }

// Listen opens a local port, 0 = any. It is always the address 127.0.0.1, the
// one in the URL: what others hold on [::1] does not matter. Where the system
// tells whose a connection is, those of other users are closed unanswered.
// A port that is taken is a *TakenError.
func Listen(port int) (net.Listener, error) {
	l, err := Try(port)
	if taken, ok := err.(*TakenError); ok {
		taken.By = listenerOf(port)
	}
	return l, err
}

// Try is Listen for whoever comes again and again: who has the port is not
// looked up, which takes a walk through all processes.
func Try(port int) (net.Listener, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		if isTaken(err) {
			return nil, &TakenError{Port: port}
		}
		return nil, fmt.Errorf("listen on 127.0.0.1:%d: %w", port, err)
	}
	return guard(l), nil
}
