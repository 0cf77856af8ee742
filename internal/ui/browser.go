package ui

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// browserTime is how long an opener may take to fail; one that still runs then
// is taken for the browser itself.
const browserTime = 5 * time.Second

// OpenBrowser shows address, which must be http://127.0.0.1:PORT/…, in the
// person's browser: what $BROWSER names, else what the system opens addresses
// with. The program gets a session of its own and no streams of ours. The
// error says in a few words why nothing was opened; it is never fatal.
func OpenBrowser(ctx context.Context, address string) error {
	if err := ourAddress(address); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, browserTime, errSlow)
	defer cancel()
	return openBrowser(ctx, address)
}

var errSlow = errors.New("it still runs")

// ourAddress keeps anything from the opener but a page of this computer: what
// it gets may pass a shell script or two.
func ourAddress(address string) error {
	refused := fmt.Errorf("open %q: only http://127.0.0.1:PORT/ is opened", clip(address))
	if len(address) > 2048 || strings.ContainsFunc(address, oddInAddress) {
		return refused
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Hostname() != "127.0.0.1" || !strings.HasPrefix(address, "http://127.0.0.1:") {
		return refused
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return refused
	}
	return nil
}

func oddInAddress(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'`\\<>^{}|$;()*!", r)
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
