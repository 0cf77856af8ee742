package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// browserLab is a lab with an open Jupyter and Chromium on its laptop.
type browserLab struct {
	*lab.Lab
	t       *testing.T
	o       opened
	host    *lab.Machine
	browser context.Context
	sock    string // of Jupyter, on the host
	tabs    int
}

func newBrowserLab(t *testing.T, limit time.Duration) *browserLab {
	t.Helper()
	l := lab.New(t, lab.Chain{Gateways: 1})
	x := &browserLab{Lab: l, t: t, o: open(t, l, "gpu1"), host: l.Host("gpu1"), browser: l.Chromium(limit)}
	x.sock = strings.TrimSpace(x.host.ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	return x
}

// labTab is JupyterLab in a tab of Chromium, with a notebook open.
type labTab struct {
	context.Context
	x       *browserLab
	name    string                         // of the notebook, without .ipynb
	address string                         // without the token
	ask     func(expression string) string // of another browser, nil = of Chromium
}

// notebook puts a notebook on the host, with these cells, and opens it in a
// tab and workspace of its own at a local port.
func (x *browserLab) notebook(name string, port int, cells ...string) *labTab {
	x.t.Helper()
	putNotebook(x.host, name, cells...)
	return x.tab(name, port)
}

// putNotebook puts a notebook with these cells on the host.
func putNotebook(host *lab.Machine, name string, cells ...string) {
	book := map[string]any{"nbformat": 4, "nbformat_minor": 5, "cells": []any{},
		"metadata": map[string]any{"kernelspec": map[string]any{"name": "python3", "display_name": "Python 3", "language": "python"}}}
	list := []any{}
	for i, text := range cells {
		list = append(list, map[string]any{"id": fmt.Sprintf("cell%d", i), "cell_type": "code", "source": text, "metadata": map[string]any{}, "outputs": []any{}, "execution_count": nil})
	}
	book["cells"] = list
	raw, _ := json.Marshal(book)
	host.WriteFile(lab.Me, "/home/me/"+name+".ipynb", string(raw))
}

// tab opens a notebook that is there.
func (x *browserLab) tab(name string, port int) *labTab {
	x.t.Helper()
	ctx := x.browser
	if x.tabs++; x.tabs > 1 {
		ctx = x.emptyTab()
	}
	p := &labTab{Context: ctx, x: x, name: name, address: fmt.Sprintf("http://127.0.0.1:%d/lab/workspaces/w%d/tree/%s.ipynb", port, x.tabs, name)}
	p.visit(p.address + "?token=" + x.o.Token)
	return p
}

// emptyTab is one more tab.
func (x *browserLab) emptyTab() context.Context {
	x.t.Helper()
	ctx, stop := chromedp.NewContext(x.browser)
	x.t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil { // see lab.Chromium
		x.t.Fatal(err)
	}
	return ctx
}

// watchPage notes each dialog that the page shows, and marks the document: a
// reload would take the mark away.
const watchPage = `(() => {
	window.nbrTest = {dialogs: [], restarts: [], mark: %q};
	new PerformanceObserver(list => list.getEntries().filter(e => e.name.includes("/restart")).forEach(e =>
		nbrTest.restarts.push(e.responseStatus + " after " + Math.round(e.duration) + " ms"))).observe({type: "resource"});
	const look = () => document.querySelectorAll(".jp-Dialog").forEach(d => {
		const text = d.innerText.trim();
		if (text && !nbrTest.dialogs.includes(text)) nbrTest.dialogs.push(text);
	});
	new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
	look();
})()`

const kernelThere = `/\(ipykernel\) \| Idle/.test(document.querySelector("#jp-bottom-panel, #jp-main-statusbar, .jp-StatusBar-Widget").parentElement.innerText)`

// visit loads the page and waits for the notebook's kernel.
func (p *labTab) visit(url string) {
	t := p.x.t
	t.Helper()
	awake := chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	do(t, p, "open "+p.name, awake, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(url), chromedp.WaitVisible(kernelIdle))
	// The indicator is idle before there is a kernel; the bar below is not.
	await(t, p, "the kernel of "+p.name, kernelThere)
	do(t, p, "watch "+p.name, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(watchPage, p.name)))
}

// run runs a cell by its place.
func (p *labTab) run(cell int) {
	p.x.t.Helper()
	prompt := fmt.Sprintf(`document.querySelectorAll(".jp-NotebookPanel .jp-Cell")[%d].querySelector(".jp-InputPrompt").innerText.trim()`, cell)
	before := p.text(prompt)
	until(p.x.t, p, "cell "+strconv.Itoa(cell)+" of "+p.name+" to run", fmt.Sprintf("%s != %q", prompt, before), p.press(cell))
}

// press focuses a cell and presses Ctrl+Enter.
func (p *labTab) press(cell int) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(focus(cell), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// text evaluates an expression that gives text; "" when the page does not answer.
func (p *labTab) text(expression string) string {
	if p.ask != nil {
		return p.ask(expression)
	}
	limited, cancel := context.WithTimeout(p, 10*time.Second)
	defer cancel()
	text, _ := chromedp.Run(limited, chromedp.Evaluate[string](expression))
	return text
}

func (p *labTab) holds(condition string) bool {
	return p.text(`String(!!(`+condition+`))`) == "true"
}

var numbered = regexp.MustCompile(`L(\d+)`)

// lines counts the numbered lines below n that the page shows: how many are
// missing, and how many are there twice or out of order.
func (p *labTab) lines(n int) (lost, wrong int) {
	text := p.text(`Array.from(document.querySelectorAll(".jp-NotebookPanel .jp-OutputArea-output")).map(o => o.textContent).join("\n")`)
	seen, last := map[int]bool{}, -1
	for _, m := range numbered.FindAllStringSubmatch(text, -1) {
		i, _ := strconv.Atoi(m[1])
		if seen[i] || i < last {
			wrong++
		}
		seen[i], last = true, max(last, i)
	}
	return n - len(seen), wrong
}

// idle tells whether no cell is marked as running.
func (p *labTab) idle() bool {
	return p.holds(`!Array.from(document.querySelectorAll(".jp-NotebookPanel .jp-InputPrompt")).some(e => e.innerText.includes("*"))`)
}

// dialogs are those that the page has shown.
func (p *labTab) dialogs() []string {
	var list []string
	json.Unmarshal([]byte(p.text(`JSON.stringify(window.nbrTest ? nbrTest.dialogs : ["the page was replaced"])`)), &list)
	return list
}

// sameDocument tells whether the page is still the one that was opened.
func (p *labTab) sameDocument() bool {
	return p.holds(fmt.Sprintf("window.nbrTest && nbrTest.mark == %q", p.name))
}

// finished waits until all n lines are there and the cell has ended.
func (p *labTab) finished(n int, limit time.Duration) (lost, wrong int, idle bool) {
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		lost, wrong = p.lines(n)
		idle = p.idle()
		if lost == 0 && idle || time.Now().After(end) {
			return lost, wrong, idle
		}
	}
}

// printing is a cell that prints n numbered lines, ten a second.
func printing(n int) string { return printingEach(n, 100*time.Millisecond) }

// printingEach is printing with another pause after each line.
func printingEach(n int, pause time.Duration) string {
	return fmt.Sprintf("import time\nfor i in range(%d):\n    print('L%%d' %% i, flush=True)\n    time.sleep(%v)", n, pause.Seconds())
}

// bareLink is a twin: a local port that goes to Jupyter over the link as it
// comes, with no page proxy. It gives the port.
func (x *browserLab) bareLink() int {
	x.t.Helper()
	listener, err := x.Laptop.Listen("tcp", "127.0.0.1:18889")
	if err != nil {
		x.t.Fatal(err)
	}
	socks, _ := filepath.Glob(x.Laptop.Path("/run/user/*/nbremote/*.sock"))
	var client *holder.Client
	for _, sock := range socks {
		c := &holder.Client{Sock: sock}
		if s, err := c.Status(x.t.Context()); err == nil && s.Name == "gpu1" {
			client = c
		}
	}
	if client == nil {
		x.t.Fatalf("no holder of gpu1 among %q", socks)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { pipe(ctx, near, func() (net.Conn, error) { return client.Dial(ctx, "unix", x.sock) }) })
		}
	})
	x.t.Cleanup(func() { listener.Close(); cancel(); wg.Wait() })
	return 18889
}

func pipe(ctx context.Context, near net.Conn, dial func() (net.Conn, error)) {
	defer near.Close()
	far, err := dial()
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(far, near)
		far.Close()
	}()
	io.Copy(near, far)
	near.Close()
	<-done
}

// shot saves what a tab shows, for the documents, when NBREMOTE_SCREENSHOT is
// set.
func shot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	if os.Getenv("NBREMOTE_SCREENSHOT") == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = os.WriteFile(name, png, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// get gives the answer to a GET of Jupyter's API.
func get(t *testing.T, l *lab.Lab, o opened, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://127.0.0.1:%d%s", o.Port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+o.Token)
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}
