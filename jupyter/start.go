package jupyter

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed start.sh
var startText string

//go:embed config.py
var configText string

const (
	kindJupyter = "jupyter"
	startTime   = 60 * time.Second
	firstPort   = 20000 // below what systems give to outgoing connections
	lastPort    = 31999
)

// spec is what a session's directory remembers of its wish: all but the token.
type spec struct {
	Kind    string   `json:"kind"`
	Dir     string   `json:"dir"`
	File    string   `json:"file,omitempty"`
	UI      string   `json:"ui"`
	Owner   string   `json:"owner,omitempty"`
	Reached string   `json:"reached,omitempty"`
	Install Install  `json:"install"`
	Program []string `json:"programs"`
	Setenv  []string `json:"setenv,omitempty"`
	Args    []string `json:"args,omitempty"`
	TCP     bool     `json:"tcp,omitempty"`
	Relay   bool     `json:"relay,omitempty"`
}

// Start starts Jupyter and waits, on the host, until it listens: one round
// trip. Where one of that session runs already, that one is given, Reused. The
// token of a session stays: what is in force is Server.Token. A
// Jupyter that does not come up is a *StartError; one that still has not when
// StartTimeout is over goes on, and the next Start waits for it again.
func Start(ctx context.Context, r remote.Runner, w Wish) (*Server, error) {
	return start(ctx, r, w, 0)
}

func start(ctx context.Context, r remote.Runner, w Wish, port int) (*Server, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	if port == 0 {
		port = firstPort + rand.IntN(lastPort-firstPort+1)
	}
	if w.StartTimeout <= 0 {
		w.StartTimeout = startTime
	}
	run, err := w.script(port)
	if err != nil {
		return nil, err
	}
	written, err := json.Marshal(spec{
		Kind: kindJupyter, Dir: w.Dir, File: w.File, UI: w.UI, Owner: w.Owner, Reached: w.Reached, Install: w.Install,
		Program: w.Install.programs, Setenv: w.Setenv, Args: w.Args, TCP: w.TCP, Relay: w.Relay,
	})
	if err != nil {
		return nil, err
	}
	renew := ""
	if w.Renew {
		renew = "1"
	}
	out, err := r.Run(ctx, script(startText,
		"J_ENC", session.Encode(w.Session), "J_NAME", w.Session, "J_SPEC", string(written), "J_SCRIPT", run,
		"J_TOKEN", w.Token, "J_FOR", w.forWhom(), "J_RENEW", renew, "J_CONFIG", configText, "J_WAIT", strconv.Itoa(int((w.StartTimeout+time.Second-1)/time.Second))))
	if err != nil {
		return nil, err
	}
	return started(out, w)
}

// forWhom marks the token of a session with what it was made for: another
// person of a shared account, or another directory, has another.
func (w *Wish) forWhom() string {
	sum := sha256.Sum256([]byte(w.Owner + "\x00" + w.Dir))
	return hex.EncodeToString(sum[:])
}

// check refuses what could not start, before anything is asked of the host.
func (w *Wish) check() error {
	if w.UI == "" {
		w.UI = "lab"
	}
	if w.Session == "" || !strings.HasPrefix(w.Dir, "/") {
		return fmt.Errorf("start Jupyter: no session or no absolute directory")
	}
	if len(w.Token) < 16 || !ownToken().MatchString(w.Token) {
		return fmt.Errorf("start Jupyter: the token is too short or has odd characters")
	}
	for _, kv := range w.Setenv {
		key, _, ok := strings.Cut(kv, "=")
		if !ok || !remote.EnvName(key) {
			return &UsageError{What: fmt.Sprintf("set %.60q in the environment: not KEY=VALUE", kv), Try: "--setenv OMP_NUM_THREADS=8"}
		}
	}
	return checkArgs(w.Args)
}

// outcome is the answer of start.sh.
type outcome struct {
	state, dir, spec, runtime, log, tcp string
	pid, exit, uid                      int
	reused, tmux                        bool
	took                                time.Duration
	started                             time.Time
}

func readOutcome(out []byte) (outcome, error) {
	fields, err := remote.ParseFields(out)
	o := outcome{exit: -1}
	if err != nil {
		return o, fmt.Errorf("read what the host answers: %w", err)
	}
	for _, f := range fields {
		value := string(f.Value)
		switch f.Name {
		case "state":
			o.state = value
		case "dir":
			o.dir = value
		case "spec":
			o.spec = value
		case "runtime":
			o.runtime = value
		case "log":
			o.log = value
		case "tcp":
			o.tcp = value
		case "pid":
			o.pid, _ = strconv.Atoi(value)
		case "uid":
			o.uid, _ = strconv.Atoi(value)
		case "exit":
			if code, err := strconv.Atoi(value); err == nil {
				o.exit = code
			}
		case "took":
			hundredths, _ := strconv.Atoi(value)
			o.took = time.Duration(hundredths) * 10 * time.Millisecond
		case "started":
			o.started = epoch(value)
		case "reused":
			o.reused = true
		case "tmux":
			o.tmux = true
		}
	}
	return o, nil
}

func started(out []byte, w Wish) (*Server, error) {
	o, err := readOutcome(out)
	if err != nil {
		return nil, err
	}
	if o.state != "up" {
		return nil, o.failure(w)
	}
	s, err := parseRuntime([]byte(o.runtime))
	if err != nil {
		return nil, err
	}
	if err := stranger(s, o.tcp, o.uid); err != nil {
		return nil, err
	}
	var kept spec
	if json.Unmarshal([]byte(o.spec), &kept) != nil || kept.Kind != kindJupyter {
		return nil, fmt.Errorf("read the session's own description: it is none of a Jupyter")
	}
	s.adopt(ours{Session: Session{Name: w.Session}, dir: o.dir, started: o.started, pid: strconv.Itoa(o.pid), spec: kept})
	s.Tmux, s.Reused = o.tmux, o.reused
	if o.reused && w.File != "" && s.Dir == w.Dir {
		s.Path = page(s.BaseURL, s.UI, w.File)
	}
	return s, nil
}
