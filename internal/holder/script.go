package holder

import "unicode/utf8"

// scriptRequest asks for a script to be run on the host.
type scriptRequest struct {
	Script string `json:"script"`
	Bytes  []byte `json:"bytes,omitempty"`  // instead, where it is not UTF-8
	Direct bool   `json:"direct,omitempty"` // start no relay for it
}

// newScript is the request for a script, whatever bytes it has.
func newScript(text string) scriptRequest {
	if utf8.ValidString(text) {
		return scriptRequest{Script: text}
	}
	return scriptRequest{Bytes: []byte(text)}
}

func (r scriptRequest) text() string {
	if r.Bytes != nil {
		return string(r.Bytes)
	}
	return r.Script
}

// scriptFailure is how an error of a script crosses the socket.
type scriptFailure struct {
	*Error
	Exit   *int   `json:"exit,omitempty"` // nil: the script did not run to its end
	Stdout []byte `json:"stdout,omitempty"`
}
