package webproxy

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"time"
)

// comeBack reloads the page once there is something else to see: the proxy
// holds the question while the line is down, so the answer comes with the line.
const comeBack = `(function ask() {
  fetch(location.href, {method: "HEAD", cache: "no-store", redirect: "manual"}).then(
    function (r) { if (r.status === 503) { throw r; } location.reload(); }
  ).catch(function () { setTimeout(ask, 2000); });
})();`

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>%[1]s</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:20vh auto 0;padding:0 1em}code{font-size:1.1em}</style>
%[3]s</head><body><h1>%[1]s</h1>
%[2]s</body></html>
`

var (
	returning = "<script>" + comeBack + `</script><noscript><meta http-equiv="refresh" content="5"></noscript>` + "\n"
	policy    = "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; " +
		"base-uri 'none'; form-action 'none'; script-src 'sha256-" + hash(comeBack) + "'"
)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// failed answers a request that got no answer. Never 502 or 404: JupyterLab
// takes the first for a dead kernel, the second for a lost folder, for good.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody waits for an answer any more
	}
	navigation := holdOf(r.Context()).navigation
	switch {
	case errors.Is(err, errDown) && navigation && p.alive.replaced(r):
		protect(w.Header())
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errDown):
		p.downPage(w)
	case errors.Is(err, errStale):
		p.polls.answer(w, keyOf(holdOf(r.Context()).asked))
	case errors.Is(err, errBehind) && p.later(r, holdOf(r.Context()).whole):
		protect(w.Header())
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errTurn):
		comeAgain(w, r, holdOf(r.Context()).turns)
	case errors.Is(err, errGone) && navigation:
		p.gonePage(w)
	case errors.Is(err, errGone):
		plain(w, http.StatusServiceUnavailable, "Jupyter on "+p.host()+" does not answer: it has ended.")
	case errors.Is(err, errLate):
		p.keeper.revive(r)
		plain(w, http.StatusServiceUnavailable, "The line to "+p.host()+" is down. This was not sent.")
	case errors.Is(err, errBroken):
		plain(w, http.StatusServiceUnavailable, "The connection to Jupyter on "+p.host()+" ended before it answered.")
	default:
		plain(w, http.StatusServiceUnavailable, "Jupyter on "+p.host()+" gave an answer that makes no sense.")
	}
}

func (p *Proxy) downPage(w http.ResponseWriter) {
	p.mu.Lock()
	since := p.downSince
	p.mu.Unlock()
	if p.Since != nil {
		since = p.Since()
	}
	when := ""
	if !since.IsZero() {
		when = " since " + clock(since)
	}
	show(w, http.StatusServiceUnavailable, "The line to "+p.host()+" is down",
		fmt.Sprintf("<p>Down%s. What runs there runs on.</p><p>This page comes back by itself.</p>\n", when), returning)
}

// clock is a time of day; the date too when it was not today.
func clock(t time.Time) string {
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return t.Format("15:04:05")
	}
	return t.Format("2 January, 15:04")
}

func (p *Proxy) gonePage(w http.ResponseWriter) {
	show(w, http.StatusServiceUnavailable, "Jupyter on "+p.host()+" has ended",
		"<p>To start it again:</p><p><code>"+html.EscapeString(p.command())+"</code></p><p>This page comes back by itself.</p>\n", returning)
}

func (p *Proxy) spent(w http.ResponseWriter) {
	show(w, http.StatusGone, "This address was good once",
		"<p>It has been used, or is older than a minute. For a new one:</p><p><code>"+html.EscapeString(p.command())+"</code></p>\n", "")
}

func (p *Proxy) host() string {
	if p.Host == "" {
		return "the host"
	}
	return p.Host
}

func (p *Proxy) command() string {
	if p.Command == "" {
		return "nbremote open"
	}
	return p.Command
}

// show answers with a small page; title is text, the rest HTML.
func show(w http.ResponseWriter, status int, title, body, head string) {
	protect(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	fmt.Fprintf(w, page, html.EscapeString(title), body, head)
}

func plain(w http.ResponseWriter, status int, text string) {
	protect(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

// protect keeps our own answers out of caches, referrers and guesses.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}
