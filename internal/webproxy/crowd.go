package webproxy

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// A browser has six connections to a port, and what waits in it for one is
	// not seen here: a reload would wait there, and replace the page at the mend.
	connections = 6
	heldAtMost  = 3
	// With so many that wait, the next may wait in the browser. What comes so
	// soon after the mend may have been asked for at any time of the cut.
	almostAll = 5
	justAfter = 3 * time.Second

	// A browser follows 20 redirects.
	turnsAtMost = 18
	turnEvery   = time.Second
	turnName    = "nbremote-turn"
)

var errTurn = errors.New("it is another's turn")

// crowd is the requests that wait for the line, each on a connection of the
// browser. Lock order: hold.mu, then crowd.mu.
type crowd struct {
	mu     sync.Mutex
	held   map[*hold]bool // whether it could come again
	full   time.Time      // when almost all connections were last seen taken
	turned time.Time      // when one was last told to come again
}

func (c *crowd) add(h *hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[*hold]bool{}
	}
	c.held[h] = false
}

func (c *crowd) remove(h *hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, h)
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

// look notes whether h could come again, and whether almost all connections are
// taken.
func (c *crowd) look(h *hold, canTurn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[h] = canTurn
	if len(c.held) >= almostAll {
		c.full = time.Now()
	}
}

// old tells whether what just came may have waited in the browser.
func (c *crowd) old() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.full.IsZero() && time.Since(c.full) < justAfter
}

// turn tells whether h is the one to make way. When all connections are taken
// by what must wait, one after the other is told to come again: so all that
// waits in the browser is seen, and nothing is lost.
func (c *crowd) turn(h *hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) < connections || !c.held[h] || time.Since(c.turned) < time.Duration(h.turns+1)*turnEvery {
		return false
	}
	for other, can := range c.held {
		if can && (other.turns < h.turns || other.turns == h.turns && other.started.Before(h.started)) {
			return false
		}
	}
	c.turned = time.Now()
	return true
}

// turns takes out of a request how often it was told to come again.
func turns(r *http.Request) (n int) {
	if !strings.Contains(r.URL.RawQuery, turnName) {
		return 0
	}
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if text, ok := strings.CutPrefix(part, turnName+"="); ok {
			n, _ = strconv.Atoi(text)
			continue
		}
		kept = append(kept, part)
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	return n
}

// canTurn: a script's own request, of which a browser does by itself what a
// redirect says.
func canTurn(r *http.Request, turns int) bool {
	return turns < turnsAtMost && r.Method != http.MethodHead &&
		r.Header.Get("Sec-Fetch-Dest") == "empty" && r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// comeAgain has the browser send the same request again.
func comeAgain(w http.ResponseWriter, r *http.Request, turns int) {
	where := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: turnName + "=" + strconv.Itoa(turns+1)}
	if r.URL.RawQuery != "" {
		where.RawQuery = r.URL.RawQuery + "&" + where.RawQuery
	}
	protect(w.Header())
	w.Header().Set("Location", where.String())
	w.WriteHeader(http.StatusTemporaryRedirect)
}
