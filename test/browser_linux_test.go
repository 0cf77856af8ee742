package test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The cell that a person would believe: the digest can only come from a
// process on the far machine that was asked in this run.
const cell = `import hashlib, socket
host = socket.gethostname()
print("hello from", host)
print(hashlib.sha256(b"%s" + host.encode()).hexdigest())`

func newNonce() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func digest(nonce, host string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(nonce+host)))
}

// Places in JupyterLab 4.
const (
	notebookCard = chromedp.CSS(`.jp-LauncherCard[data-category="Notebook"]`)
	activeCell   = chromedp.CSS(`.jp-NotebookPanel .jp-Cell.jp-mod-active .cm-content`)
	kernelIdle   = chromedp.CSS(`.jp-Notebook-ExecutionIndicator[data-status="idle"]`)
	outputs      = `Array.from(document.querySelectorAll(".jp-NotebookPanel .jp-OutputArea-output")).map(o => o.innerText).join("\n")`
)

// proveInLab opens url in JupyterLab 4, makes a notebook, runs the cell and
// checks the digest on the page.
func proveInLab(t *testing.T, tab context.Context, url, host string) {
	t.Helper()
	nonce := newNonce()
	do(t, tab, "open JupyterLab", chromedp.EmulateViewport(1280, 800), chromedp.Navigate(url),
		chromedp.WaitVisible(notebookCard))
	do(t, tab, "make a notebook", chromedp.Click(notebookCard), chromedp.WaitVisible(activeCell),
		chromedp.WaitVisible(kernelIdle))
	runCell(t, tab, nonce)
	await(t, tab, "the digest", fmt.Sprintf("(%s).includes(%q)", outputs, digest(nonce, host)))
}

// runCell types the cell into the active one and runs it. While a notebook
// settles, Lab moves the focus about, and forgets a cell that is run before its
// kernel is there. So it looks whether the text has arrived, and whether the
// cell has left its first state.
func runCell(t *testing.T, tab context.Context, nonce string) {
	t.Helper()
	const active = `document.querySelector(".jp-NotebookPanel .jp-Cell.jp-mod-active `
	until(t, tab, "the cell to be typed", active+`.cm-content").innerText.includes("`+nonce+`")`,
		chromedp.Click(activeCell), insert(fmt.Sprintf(cell, nonce)))
	until(t, tab, "the cell to run", active+`.jp-InputPrompt").innerText.trim() != "[ ]:"`,
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// until does the actions, again each second, until a JavaScript condition
// holds.
func until(t *testing.T, tab context.Context, what, condition string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	for range 30 {
		do(t, tab, what, actions...)
		for range 10 {
			if holds, err := chromedp.Run(tab, chromedp.Evaluate[bool](condition)); err == nil && holds {
				return
			}
			do(t, tab, what, chromedp.Sleep(100*time.Millisecond))
		}
	}
	t.Fatalf("waited for %s; %s", what, pageText(tab))
}

// insert puts a text where the cursor is, as a paste does: no key is pressed,
// so the editor indents and closes nothing by itself.
func insert(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

func do(t *testing.T, tab context.Context, step string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(limited, actions...); err != nil {
		t.Fatalf("%s: %v; %s", step, err, pageText(tab))
	}
}

// await waits until a JavaScript condition holds on the page. JupyterLab asks
// again for a lost websocket only after some 10 to 45 s.
func await(t *testing.T, tab context.Context, what, condition string) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		holds, err := chromedp.Run(tab, chromedp.Evaluate[bool](condition))
		if err == nil && holds {
			return
		}
		if time.Now().After(end) || tab.Err() != nil {
			t.Fatalf("waited for %s (%v); %s", what, err, pageText(tab))
		}
	}
}

func pageText(tab context.Context) string {
	if tab.Err() != nil {
		return "the browser is gone"
	}
	brief, cancel := context.WithTimeout(tab, 2*time.Second)
	defer cancel()
	text, err := chromedp.Run(brief, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 800)`))
	if err != nil {
		return "the page says nothing: " + err.Error()
	}
	return "the page says:\n" + strings.TrimSpace(text)
}

// picture saves what the tab shows, tidied: the one of the README. It does so
// only when NBREMOTE_SCREENSHOT is set.
func picture(t *testing.T, tab context.Context, name string) {
	t.Helper()
	if os.Getenv("NBREMOTE_SCREENSHOT") == "" {
		return
	}
	// Lab asks about news a little after its start.
	await(t, tab, "the question about news", `document.querySelectorAll(".Toastify__toast").length > 0`)
	do(t, tab, "tidy the page",
		chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".Toastify__toast button").forEach(b => { if (b.innerText.trim() == "No") b.click() })`),
		chromedp.KeyEvent("b", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	await(t, tab, "the page to be tidy", `document.querySelectorAll(".Toastify__toast").length == 0`)
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(name, png, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runSecondCell runs the digest again in a cell below.
func runSecondCell(t *testing.T, tab context.Context, nonce string) {
	t.Helper()
	do(t, tab, "make another cell", chromedp.Click(activeCell),
		chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent("b"), chromedp.WaitVisible(chromedp.CSS(`.jp-NotebookPanel .jp-Cell + .jp-Cell.jp-mod-active`)))
	runCell(t, tab, nonce)
}
