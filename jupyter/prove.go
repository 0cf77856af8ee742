package jupyter

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
)

// Prove asks the server twice on one connection: without a token, which must
// be refused, and with its token, which must do. /api/status is what every
// Jupyter guards (/api is open to all). A server that lets everybody in is an
// *OpenServerError, one that does not know the token a *StrangerError. The
// address should be known to be ours before: the token is sent.
func Prove(ctx context.Context, dial func(ctx context.Context) (net.Conn, error), s *Server) error {
	questions := []question{{path: "api/status"}}
	if s.Token != "" {
		questions = append(questions, question{path: "api/status", token: s.Token})
	}
	got, err := ask(ctx, dial, s, questions...)
	if err != nil {
		return err
	}
	switch without := got[0].status; {
	case without == http.StatusOK:
		return &OpenServerError{Where: s.Where(), ConfigFile: s.ConfigFile}
	case without != http.StatusForbidden && without != http.StatusUnauthorized && without != http.StatusFound:
		return &StrangerError{Where: s.Where(), Status: without}
	case s.Token == "" && s.Password:
		return nil // it asks for its password in the page
	case s.Token == "":
		return &StrangerError{Where: s.Where(), Status: without}
	}
	with := got[1]
	if with.status != http.StatusOK || !isStatus(with.body) {
		return &StrangerError{Where: s.Where(), Status: with.status}
	}
	return nil
}

// isStatus holds for the answer of /api/status.
func isStatus(body []byte) bool {
	var status struct {
		Started *string `json:"started"`
		Kernels *int    `json:"kernels"`
	}
	return json.Unmarshal(body, &status) == nil && status.Started != nil && status.Kernels != nil
}
