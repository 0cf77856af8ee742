package jupyter

import (
	"strings"
)

const outputLimit = 256 << 10 // bytes of a log that are looked at

var (
	runningAt = expression(`(?:Jupyter Notebook|Jupyter Server|JupyterLab|Notebook|Server)[^\n]{0,80} is running at:?`)
	pageURL   = expression(`(https?|http\+unix)://(\[[0-9A-Fa-f:.]+\]|[^\s/:?#]+)(?::(\d{1,5}))?(/[^\s?#]*)?(?:\?token=([^\s&]+))?`)
	colour    = expression("\x1b\\[[0-9;?]*[ -/]*[@-~]")
	ownToken  = expression(`^[0-9A-Za-z_-]{8,256}$`)
)

// ParseOutput finds the address and the token in what Jupyter printed:
// notebook 6, jupyter_server 1.x and 2.x. The url is without the token. The
// token is "" when Jupyter hides it (it was given, and "..." stands there) and
// when there is none. Of several starts in one log the last counts.
func ParseOutput(text string) (url, token string, ok bool) {
	if len(text) > outputLimit {
		text = text[len(text)-outputLimit:]
	}
	text = colour().ReplaceAllString(text, "")
	starts := runningAt().FindAllStringIndex(text, -1)
	if starts == nil {
		return "", "", false
	}
	best := 0
	for line := range strings.Lines(text[starts[len(starts)-1][1]:]) {
		m := pageURL().FindStringSubmatch(line)
		if m == nil || !plainURL(m) {
			continue
		}
		if rank := rank(m[1], m[2]); rank > best {
			best, url = rank, m[1]+"://"+m[2]+port(m[3])+m[4]
		}
		if token == "" && ownToken().MatchString(m[5]) {
			token = m[5]
		}
	}
	return url, token, best > 0
}

// rank prefers the address that works on the host itself.
func rank(scheme, host string) int {
	switch {
	case host == "127.0.0.1" || scheme == "http+unix":
		return 3
	case host == "localhost" || host == "[::1]":
		return 2
	}
	return 1
}

func plainURL(m []string) bool {
	for _, c := range m[0] {
		if c < ' ' || c == '\\' || c == 0x7f {
			return false
		}
	}
	return !strings.Contains(m[2], "@")
}

func port(p string) string {
	if p == "" {
		return ""
	}
	return ":" + p
}
