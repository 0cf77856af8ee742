package webproxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	pollSize    = 256 << 10 // of an answer that is kept
	pollsAtMost = 64
)

var errStale = errors.New("the last answer will do")

// polls are the last answers to what pages ask again and again: small JSON that
// is not what a file holds, and the icons of tabs. While the line is down, and
// the browser has no connection to spare, they get them again.
type polls struct {
	mu  sync.Mutex
	all map[pollKey]*poll
}

// pollKey is what is asked, and with which rights.
type pollKey [sha256.Size]byte

type poll struct {
	kind string
	body []byte
	at   time.Time
}

func mayBePoll(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && !isNavigation(r) && r.Header.Get("Upgrade") == "" && r.Header.Get("Range") == ""
}

// keyOf tells what a request is as a poll.
func keyOf(r *http.Request) (key pollKey) {
	h := sha256.New()
	for _, part := range []string{r.Host, r.URL.Path, withoutTime(r.URL.RawQuery), r.Header.Get("Accept"), r.Header.Get("Authorization"), strings.Join(r.Header.Values("Cookie"), ";")} {
		io.WriteString(h, part+"\x00")
	}
	h.Sum(key[:0])
	return key
}

// withoutTime leaves out of a query what only keeps caches from answering.
func withoutTime(query string) string {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		if name, err := url.QueryUnescape(part); err != nil || name == "" || strings.Trim(name, "0123456789") != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&")
}

// keep has the answer kept, if it is one that a poll may get again.
func (p *polls) keep(resp *http.Response, asked *http.Request) {
	kind := resp.Header.Get("Content-Type")
	path := resp.Request.URL.Path
	same := strings.HasPrefix(kind, "application/json") || strings.Contains(path, "/static/favicons/") // that of a tab changes with its kernel
	if resp.StatusCode != http.StatusOK || !same || resp.Header.Get("Content-Encoding") != "" || resp.ContentLength > pollSize || ofKernel.MatchString(path) {
		return
	}
	resp.Body = &remembered{ReadCloser: resp.Body, done: func(body []byte) {
		if !isFile(path, body) {
			p.put(keyOf(asked), kind, body)
		}
	}}
}

// ofKernel: JupyterLab asks about one kernel when its websocket could not be
// opened, and tries again when it lives, but seven times in all. So this waits.
var ofKernel = regexp.MustCompile(`/api/kernels/[^/]+/?$`)

// isFile: what is in a file, and whether it has changed, must be asked of the
// host: a page that saves would write over what is newer. JupyterLab asks for
// folders by the same address.
func isFile(path string, body []byte) bool {
	var what struct {
		Type string `json:"type"`
	}
	return strings.Contains(path, "/api/contents") && (json.Unmarshal(body, &what) != nil || what.Type != "directory")
}

func (p *polls) put(key pollKey, kind string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[pollKey]*poll{}
	}
	one := p.all[key]
	if one == nil {
		p.makeRoom()
		one = &poll{}
		p.all[key] = one
	}
	one.kind, one.body, one.at = kind, body, time.Now()
}

// makeRoom forgets the oldest. p.mu is held.
func (p *polls) makeRoom() {
	if len(p.all) < pollsAtMost {
		return
	}
	var oldest pollKey
	var at time.Time
	for key, one := range p.all {
		if at.IsZero() || one.at.Before(at) {
			oldest, at = key, one.at
		}
	}
	delete(p.all, oldest)
}

// remembered is a body that is also remembered, up to its end.
type remembered struct {
	io.ReadCloser
	buf  bytes.Buffer
	done func([]byte)
}

func (k *remembered) Read(b []byte) (int, error) {
	n, err := k.ReadCloser.Read(b)
	if k.done != nil {
		k.buf.Write(b[:n])
		switch {
		case k.buf.Len() > pollSize:
			k.done = nil
		case err == io.EOF:
			k.done(k.buf.Bytes())
			k.done = nil
		}
	}
	return n, err
}

func (p *polls) has(key pollKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[key] != nil
}

// answer gives a poll its last answer.
func (p *polls) answer(w http.ResponseWriter, key pollKey) {
	p.mu.Lock()
	var one poll
	if last := p.all[key]; last != nil {
		one = *last
	}
	p.mu.Unlock()
	if one.kind == "" { // forgotten just now
		plain(w, http.StatusServiceUnavailable, "The line is down.")
		return
	}
	protect(w.Header())
	w.Header().Set("Content-Type", one.kind)
	w.WriteHeader(http.StatusOK)
	w.Write(one.body)
}
