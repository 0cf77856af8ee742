package test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

var noncePage = regexp.MustCompile(`^http://127\.0\.0\.1:\d+/\.nbremote/[\w-]+$`)

// The main promise: one command, and the page in the browser is a Jupyter
// behind two gateways. The picture of the README is made here.
func TestOpen_ThroughTwoGatewaysInChromium(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 2})
	r := l.Must("open", "gpu1")
	if strings.Count(r.Stdout, "\n") != 1 || !strings.HasPrefix(r.Stdout, "http://127.0.0.1:") {
		t.Errorf("stdout is not the one line with the address: %q", r.Stdout)
	}
	url := l.NextOpened(0)
	if !noncePage.MatchString(url) {
		t.Errorf("the browser was sent to %s", url)
	}
	tab := l.Chromium(3 * time.Minute)
	proveInLab(t, tab, url, "gpu1")
	picture(t, tab, "../docs/screenshot.png")

	again := l.Must("open", "gpu1")
	if again.Stdout == "" || len(l.Opened()) != 1 {
		t.Errorf("a second tab while one is connected: %q, opened %q\n%s", again.Stdout, l.Opened(), again.Stderr)
	}
	l.Must("stop", "-y", "gpu1")
}

// A page that stays open works again after the line was cut, at the same
// address.
func TestOpen_PageComesBackAfterACut(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	l.Must("open", "gpu1")
	tab := l.Chromium(3 * time.Minute)
	proveInLab(t, tab, l.NextOpened(0), "gpu1")
	l.Host("gw1").HangUp()
	lab.Wait(t, time.Minute, "the line to come back", func() bool {
		return l.Run("ls").Exit == 0 && len(l.Host("gpu1").Running("sshd: me")) > 0
	})
	nonce := newNonce()
	runSecondCell(t, tab, nonce)
	await(t, tab, "the digest after the cut", `(`+outputs+`).includes("`+digest(nonce, "gpu1")+`")`)
}
