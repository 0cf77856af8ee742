package test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"nbremote/test/lab"
)

// Where a browser was stays in its profile, is offered to who types there next,
// and is copied to other computers: the token must not be in it. In the twin,
// which is sent to the address with the token, it is.
func TestB5_HistoryHasNoToken(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Must("open", "gpu1")
	o := open(t, l, "gpu1")
	kept := visited(t, l, l.NextOpened(0), fmt.Sprintf("http://127.0.0.1:%d/lab", o.Port), o)
	if len(kept) != 0 {
		t.Errorf("the token is in %q", kept)
	}
	kept = visited(t, l, fmt.Sprintf("%s?token=%s", o.URL, o.Token), "token="+o.Token, o)
	t.Logf("twin: the token is in %q", kept)
	if !slices.Contains(kept, "Default/History") {
		t.Error("the twin's history has no token: nothing was looked at")
	}
}

// visited opens an address in Chromium until JupyterLab is there and the history
// has what it should, quits, and gives the files of the profile that have the
// token in them.
func visited(t *testing.T, l *lab.Lab, url, written string, o opened) (found []string) {
	t.Helper()
	do(t, l.Chromium(2*time.Minute), "open JupyterLab", chromedp.Navigate(url), chromedp.WaitVisible(notebookCard))
	lab.Wait(t, 40*time.Second, "the history to be written", func() bool { // each 10 s
		history, _ := os.ReadFile(l.Laptop.Path("/home/me/chromium/Default/History"))
		return bytes.Contains(history, []byte(written))
	})
	profile := l.Laptop.Path(l.QuitChromium())
	err := filepath.WalkDir(profile, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if bytes.Contains(text, []byte(o.Token)) {
			found = append(found, strings.TrimPrefix(name, profile+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
