package webproxy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strings"
)

// pass is p.reverse for what quick asks. A small answer, which has come as a
// whole, it writes itself: httputil.ReverseProxy copies each header twice.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	out := r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			copyTo(w.Header(), http.Header(h))
			w.WriteHeader(code)
			clear(w.Header())
			return nil
		},
	}))
	url := *r.URL
	out.URL, out.Header = &url, http.Header{}
	copyTo(out.Header, r.Header)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // none of net/http's own
	}
	p.rewrite(&httputil.ProxyRequest{In: r, Out: out})
	resp, err := roundTripper{p}.RoundTrip(out)
	if err != nil {
		p.failed(w, out, err)
		return
	}
	if !isHere(resp) {
		rest := *p.reverse
		rest.Transport = given{resp}
		rest.ServeHTTP(w, r)
		return
	}
	defer resp.Body.Close()
	p.answered(resp)
	copyTo(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	buf := buffers{}.Get()
	defer buffers{}.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, resp.Body, buf); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// given is an answer that there is already.
type given struct{ resp *http.Response }

func (g given) RoundTrip(req *http.Request) (*http.Response, error) {
	g.resp.Request = req
	return g.resp, nil
}

// copyTo copies what is not for the next hop only (RFC 9110, 7.6.1), and nothing
// that others before us say of where it comes from.
func copyTo(to, from http.Header) {
	named := from["Connection"]
	for name, values := range from {
		switch name {
		case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
			"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		default:
			if len(named) == 0 || !isNamed(named, name) {
				to[name] = values
			}
		}
	}
}

func isNamed(lines []string, name string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), name) {
				return true
			}
		}
		return false
	})
}
