package holder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"nbremote/internal/link"
	"nbremote/internal/remote"
	"nbremote/sshx"
)

// maxBody bounds what a command may send: a script with a notebook's name in
// it is far below.
const maxBody = 4 << 20

// routes is the control API. Only the owner of the socket's directory can
// reach it.
func (h *holder) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fresh") {
			looked := make(chan struct{})
			go func() { defer close(looked); h.scripts.lookNow(r.Context()) }()
			h.pages.lookNow(r.Context())
			<-looked
		}
		reply(w, h.status(), nil)
	})
	mux.HandleFunc("GET /v1/link", func(w http.ResponseWriter, r *http.Request) {
		h.linked.get(r.Context())
		reply(w, h.linked.status(), nil)
	})
	mux.HandleFunc("POST /v1/attach", h.attach)
	mux.HandleFunc("POST /v1/answer", h.answer)
	mux.HandleFunc("POST /v1/ask", h.askForChild)
	mux.HandleFunc("POST /v1/run", h.runScript)
	mux.HandleFunc("POST /v1/stream", h.streamScript)
	mux.HandleFunc("POST /v1/pipe", h.pipe)
	mux.HandleFunc("POST /v1/dial", h.dialFar)
	mux.HandleFunc("POST /v1/exec", h.exec)
	mux.HandleFunc("POST /v1/scripts", h.setScript)
	mux.HandleFunc("POST /v1/node", h.returnTo)
	mux.HandleFunc("POST /v1/pages", h.addPage)
	mux.HandleFunc("POST /v1/pages/open", h.openPage)
	mux.HandleFunc("POST /v1/pages/remove", h.removePage)
	mux.HandleFunc("POST /v1/tunnels", h.addTunnel)
	mux.HandleFunc("POST /v1/tunnels/remove", h.removeTunnel)
	mux.HandleFunc("POST /v1/close", func(w http.ResponseWriter, r *http.Request) {
		reply(w, h.status(), nil)
		h.log.Print("closed by a command")
		time.AfterFunc(50*time.Millisecond, h.stop) // after the reply is out
	})
	return mux
}

// reply writes v, or the error with the status 500.
func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		v = newError(err)
	}
	json.NewEncoder(w).Encode(v)
}

func read[T any](w http.ResponseWriter, r *http.Request) (v T, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return v, false
	}
	return v, true
}

// attach tells a command what happens, line by line, for as long as it stays.
func (h *holder) attach(w http.ResponseWriter, r *http.Request) {
	opts, ok := read[AttachOptions](w, r)
	if !ok {
		return
	}
	sub := h.asks.join(opts.Ask)
	defer h.asks.leave(sub)
	h.addAlias(opts.Alias)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	if opts.Fresh {
		h.line.prove(r.Context())
	}
	if _, state, _, _ := h.line.now(); state == Up {
		out.Encode(Event{Kind: "up", Hop: h.spec.Target.Name})
	} else if !opts.Watch {
		h.line.wish()
	}
	flush.Flush()
	for {
		select {
		case e := <-sub.events:
			if out.Encode(e) != nil || flush.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (h *holder) answer(w http.ResponseWriter, r *http.Request) {
	if a, ok := read[Answer](w, r); ok {
		reply(w, map[string]bool{"taken": h.asks.answer(a)}, nil)
	}
}

func (h *holder) runScript(w http.ResponseWriter, r *http.Request) {
	req, ok := read[scriptRequest](w, r)
	if !ok {
		return
	}
	defer h.hold(&h.busy)()
	run := h.run
	if req.Direct {
		run = h.runDirect
	}
	out, err := run(r.Context(), req.text())
	if err == nil {
		reply(w, Ran{Stdout: out}, nil)
		return
	}
	failure := scriptFailure{Error: newError(err)}
	var ended *remote.ScriptError
	if errors.As(err, &ended) {
		failure.Exit, failure.Stdout = &ended.Exit, ended.Stdout
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	json.NewEncoder(w).Encode(failure)
}

// run runs a script. A server that gives the connection one session gives it
// to the relay: then the script goes by that.
func (h *holder) run(ctx context.Context, script string) ([]byte, error) {
	sh, err := h.runner(ctx)
	if err != nil {
		return nil, err
	}
	out, err := sh.run(ctx, script)
	if !noSession(err) {
		return out, err
	}
	if l, _ := h.linked.get(ctx); l != nil {
		return h.linked.shells().run(ctx, script)
	}
	err = whileRefused(ctx, func() error {
		out, err = h.direct().run(ctx, script)
		return err
	})
	return out, err
}

// noSession: the script did not begin, for want of a session.
func noSession(err error) bool {
	return errors.As(err, new(*sshx.OpenError)) || errors.Is(err, errPaused)
}

// whileRefused tries again for a moment: a session that we gave up counts until
// the server has seen its process end.
func whileRefused(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 40 {
		if err := try(); !noSession(err) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return try()
}

type dialRequest struct {
	Network string `json:"network"`
	Addr    string `json:"addr"`
	Direct  bool   `json:"direct,omitempty"` // by a channel of the connection: for one who dials anew when it is lost
}

// switching is the answer after which a connection is a stream.
const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n"

// switched makes a request's connection a stream, whose first bytes may have come
// already; false: it could not, which is said.
func switched(w http.ResponseWriter) (near net.Conn, first *bufio.Reader, ok bool) {
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		reply(w, nil, err)
		return nil, nil, false
	}
	if _, err := io.WriteString(near, switching); err != nil {
		near.Close()
		return nil, nil, false
	}
	return near, buffered.Reader, true
}

// dialFar joins the command's connection to one that starts on the host.
func (h *holder) dialFar(w http.ResponseWriter, r *http.Request) {
	req, ok := read[dialRequest](w, r)
	if !ok {
		return
	}
	var far net.Conn
	var err error
	if req.Direct {
		far, err = h.farHop(r.Context(), req.Network, req.Addr)
	} else {
		far, err = h.far(r.Context(), req.Network, req.Addr)
	}
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer far.Close()
	near, first, ok := switched(w)
	if !ok {
		return
	}
	defer near.Close()
	defer h.hold(&h.behind)()
	join(near, first, far)
}

// far connects to a server of this account on the host once the line is up. The
// options are for where there is a link.
func (h *holder) far(ctx context.Context, network, addr string, options ...link.Option) (net.Conn, error) {
	if l := h.linkFor(ctx, network); l != nil {
		if err := h.line.passable(); err != nil {
			return nil, err
		}
		return linkDial(ctx, l, h.spec.Target.Name, network, addr, options...)
	}
	return h.farDirect(ctx, network, addr)
}

func (h *holder) farDirect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.line.wait(ctx)
	if err != nil {
		return nil, err
	}
	return conn.Dial(ctx, plainNetwork(network), addr)
}

func (h *holder) addPage(w http.ResponseWriter, r *http.Request) {
	if spec, ok := read[PageSpec](w, r); ok {
		page, err := h.pages.add(spec)
		h.settle()
		h.follow.settle()
		if spec.Network != Elsewhere {
			h.scripts.later()
		}
		reply(w, page, err)
	}
}

type openRequest struct {
	Session string `json:"session"`
	Path    string `json:"path"` // "" is the page's own
	NewTab  bool   `json:"new_tab"`
	// NotOpened: nothing is asked for; the last address opened no browser.
	NotOpened bool `json:"not_opened,omitempty"`
}

func (h *holder) openPage(w http.ResponseWriter, r *http.Request) {
	if req, ok := read[openRequest](w, r); ok {
		opening, err := h.pages.open(req)
		reply(w, opening, err)
	}
}

func (h *holder) removePage(w http.ResponseWriter, r *http.Request) {
	if req, ok := read[openRequest](w, r); ok {
		removed := h.pages.remove(req.Session)
		h.follow.settle()
		reply(w, map[string]bool{"removed": removed}, nil)
	}
}
