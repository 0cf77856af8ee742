// Package holder is the background process on the laptop that owns the SSH
// connection to one target and the local ports in front of it, and the client
// that commands use to talk to it. It knows nothing of Jupyter: a page is an
// address on the host, a token for the browser, and paths to look at.
package holder

import (
	"encoding/json"
	"errors"
	"time"

	"nbremote/sshx"
)

// API is the version of the control API. It only grows: a newer command can
// always list, read and close an older holder.
const API = 1

// State is what the line to the target is doing.
type State string

// The states of a line.
const (
	Connecting  State = "connecting"
	Up          State = "up"
	Suspect     State = "suspect" // silent for too long: another connection is being made beside it
	Down        State = "down"
	NeedsSignIn State = "needs sign-in" // a person must answer; no dial starts by itself
	Stopped     State = "stopped"       // a changed host key: nothing is tried until a command asks
)

// Place is where the holders of one user keep their files: sockets and locks
// in Run, what must outlive a restart in State. Both are 0700 directories.
type Place struct {
	Run   string `json:"run"`
	State string `json:"state"`
}

// Spec is what a new holder reads on its stdin.
type Spec struct {
	Place  Place        `json:"place"`
	Target *sshx.Target `json:"target"`
	// ConnectTimeout bounds the phases of a sign-in that need no person; 0 is 15 s.
	ConnectTimeout time.Duration `json:"connect_timeout"`
	// RelayIdle is how long the relay on the host stays with nothing to do; 0
	// is ten minutes.
	RelayIdle time.Duration `json:"relay_idle,omitempty"`
	// NoNotices: the person wants no desktop notices.
	NoNotices bool `json:"no_notices,omitempty"`
}

// Status is what a holder says of itself.
type Status struct {
	API     int       `json:"api"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Key     string    `json:"key"`
	Name    string    `json:"name"`
	Address string    `json:"address"`
	User    string    `json:"user"`
	Via     []string  `json:"via"`
	Aliases []string  `json:"aliases"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason,omitempty"`
	NextTry time.Time `json:"next_try,omitzero"`
	SignIn  string    `json:"sign_in,omitempty"`
	Link    *Link     `json:"link,omitempty"` // how bytes go; nil: nothing was asked of the host yet
	Behind  int       `json:"behind"`         // connections that other holders run through this one
	// Node is the machine's own name, where several are behind this one, and
	// Sought the one of them that was wanted and not reached.
	Node   string  `json:"node,omitempty"`
	Sought *Sought `json:"sought,omitempty"`
	Pages  []Page  `json:"pages"`
	// Tunnels are the other local ports: proxies and forwards.
	Tunnels []Tunnel `json:"tunnels,omitempty"`
	// Scripts of the account that are known: those that run, and the last ten
	// that have ended.
	Scripts []Script `json:"scripts,omitempty"`
	// Goroutines of the holder, and the bytes that its garbage collector found in
	// use last: what it leaves behind shows here first.
	Goroutines int    `json:"goroutines,omitempty"`
	Live       uint64 `json:"live_bytes,omitempty"`
}

// Link is how bytes go over the line.
type Link struct {
	On    bool    `json:"on"` // by the relay on the host: streams outlive connections
	Why   string  `json:"why,omitempty"`
	RTTMS float64 `json:"round_trip_ms,omitempty"`
	Here  int64   `json:"waiting_here,omitempty"`  // bytes for the host
	There int64   `json:"waiting_there,omitempty"` // bytes on the host for us
	Spool int64   `json:"spool,omitempty"`         // on the host's disk, of all links
	Quota int64   `json:"spool_quota,omitempty"`
	Cuts  []Cut   `json:"cuts,omitempty"`         // the last ten
	Lost  int     `json:"streams_lost,omitempty"` // ended early: the relay did, or its room was full
}

// Cut is a time when the line was down.
type Cut struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// PageSpec asks for a local port in front of one web server on the host.
type PageSpec struct {
	Session string `json:"session"`
	Network string `json:"network"` // "unix" or "tcp", on the host, or Elsewhere
	Addr    string `json:"addr"`
	Token   string `json:"token"`
	Path    string `json:"path"` // of the page to open, e.g. /lab
	// Port is the local port to take, or nothing, and the session's own from
	// then on: 0 is its own, else a free one.
	Port int `json:"port"`
	// Watch are paths asked for each minute with the token; the last answers
	// stand in Page.Report.
	Watch []string `json:"watch,omitempty"`
	// Origin is that of a server Elsewhere, "https://box:8443", and TLS how it
	// proves itself, nil = it does not.
	Origin string `json:"origin,omitempty"`
	TLS    *TLS   `json:"tls,omitempty"`
	// Again is the command that opens it again, "" = nbremote open and the host.
	Again string `json:"again,omitempty"`
	// Follow: ports of what the host's sessions began are forwarded meanwhile.
	Follow bool `json:"follow,omitempty"`
	// Info is kept for the commands and not looked at.
	Info json.RawMessage `json:"info,omitempty"`
}

// Page is one local port and what is behind it.
type Page struct {
	PageSpec
	URL      string                     `json:"url"` // http://127.0.0.1:PORT/PATH, without the token
	Tabs     int                        `json:"tabs"`
	Waiting  int                        `json:"waiting"`            // requests without an answer: while the line is down, held ones
	Gone     bool                       `json:"gone"`               // the server on the host has ended
	Rebooted bool                       `json:"rebooted,omitempty"` // because the host was started again
	Moved    int                        `json:"moved,omitempty"`    // the session's own port, while somebody else has it
	TakenBy  string                     `json:"taken_by,omitempty"`
	Back     bool                       `json:"back,omitempty"` // it was moved, and has its own port again
	Also     []int                      `json:"also,omitempty"` // ports that go on while tabs opened there use them
	Kept     []Kept                     `json:"kept,omitempty"`
	Dropped  []Dropped                  `json:"dropped,omitempty"` // the last ten
	Report   map[string]json.RawMessage `json:"report,omitempty"`
	Reported time.Time                  `json:"reported,omitzero"`
}

// Kept is what waits for a page of a kernel's messages: it is away, or does not
// take what comes.
type Kept struct {
	Kernel   string    `json:"kernel"`
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Away     time.Time `json:"away,omitzero"` // since when the page is
}

// Dropped is messages of a kernel that no page will get.
type Dropped struct {
	Kernel   string    `json:"kernel"`
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Why      string    `json:"why"`
}

// Opening is the answer to a wish to show a page in the browser.
type Opening struct {
	// Connected: a tab is there already; URL is empty.
	Connected bool `json:"connected"`
	// Underway: the browser was sent there a moment ago; URL is empty.
	Underway bool `json:"underway,omitempty"`
	// URL is good once, for a minute, from this user; it carries no token.
	URL string `json:"url,omitempty"`
}

// Event is one line of what an attached command is told.
type Event struct {
	Kind     string        `json:"event"` // start, done, notice, warning, question, answered, state, up, port, gone, error
	Hop      string        `json:"hop,omitempty"`
	Text     string        `json:"text,omitempty"`
	MS       int64         `json:"ms,omitempty"`
	ID       int64         `json:"id,omitempty"` // of a question
	Question *Question     `json:"question,omitempty"`
	State    State         `json:"state,omitempty"`
	Error    *Error        `json:"error,omitempty"`
	Took     time.Duration `json:"took,omitempty"`
}

// Question is put to a person by whichever command is attached.
type Question = sshx.Question

// Answer is the reply to a question. Refused: the person would not, or could
// not, answer.
type Answer struct {
	ID      int64  `json:"id"`
	Text    string `json:"text"`
	Refused bool   `json:"refused,omitempty"`
}

// Ran is the answer of a script on the host.
type Ran struct {
	Stdout []byte `json:"stdout"`
}

// Error is an error that crossed the control socket: its words, class, cause
// and hint as the holder had them.
type Error struct {
	Text      string `json:"text"`
	ClassName string `json:"class"`
	CauseText string `json:"cause,omitempty"`
	HintText  string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Text }

// Class is the class of the error, as cli maps it to an exit code.
func (e *Error) Class() string { return e.ClassName }

// Cause is one line of what is behind it, or "".
func (e *Error) Cause() string { return e.CauseText }

// Hint is one line to paste or to do, or "".
func (e *Error) Hint() string { return e.HintText }

// newError copies what err says of itself so that it can cross the socket.
func newError(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e.Text == err.Error() {
		return e
	}
	out := &Error{Text: err.Error(), ClassName: "other"}
	var classed interface{ Class() string }
	if errors.As(err, &classed) {
		out.ClassName = classed.Class()
	}
	var caused interface{ Cause() string }
	if errors.As(err, &caused) {
		out.CauseText = caused.Cause()
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		out.HintText = hinted.Hint()
	}
	return out
}
