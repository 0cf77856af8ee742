package test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/test/lab"
)

// leave says yes to the browser's own question whether to leave the page.
func (p *labTab) leave() {
	p.x.t.Helper()
	asked := make(chan struct{}, 10)
	err := chromedp.Listen(p, func(ev any) {
		if _, ok := ev.(*page.EventJavascriptDialogOpening); ok {
			asked <- struct{}{}
		}
	})
	if err != nil {
		p.x.t.Fatal(err)
	}
	go func() {
		for {
			select {
			case <-asked:
				chromedp.Call(p, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
			case <-p.Done():
				return
			}
		}
	}()
}

// try does what may never come to its end, as a reload that is held.
func (p *labTab) try(actions ...chromedp.Action[chromedp.Void]) {
	limited, cancel := context.WithTimeout(p, 3*time.Second)
	defer cancel()
	chromedp.Do(limited, actions...)
}

// navigations follows what is asked for to replace the page: how many such
// requests there were, and of how many the browser has let go.
func (p *labTab) navigations() (asked, over func() int) {
	p.x.t.Helper()
	var began, ended atomic.Int64
	err := chromedp.Listen(p, func(ev any) {
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if e.Type == network.ResourceTypeDocument {
				began.Add(1)
			}
		case *network.EventLoadingFailed:
			if e.Type == network.ResourceTypeDocument {
				ended.Add(1)
			}
		}
	})
	if err != nil {
		p.x.t.Fatal(err)
	}
	return func() int { return int(began.Load()) }, func() int { return int(ended.Load()) }
}

var browserReload = chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
	_, err := chromedp.Call(ctx, page.Reload, page.ReloadParams{})
	return err
})

// Late in a cut, with several tabs that print, a browser's six connections to the
// port are still not all taken: another tab at the address of one says how it
// stands, and comes by itself; a reload leaves a page as it is; a Restart is
// refused after its 15 s, and JupyterLab then uses that kernel on.
func TestReload_SeveralTabs(t *testing.T) {
	t.Parallel()
	x := newBrowserLab(t, 5*time.Minute)
	const n = 700
	var tabs []*labTab
	for _, name := range []string{"first", "reloaded", "restarted"} {
		p := x.notebook(name, x.o.Port, printing(n), "print('still', 'there', i)")
		p.leave()
		p.run(0)
		tabs = append(tabs, p)
	}
	first, reloaded, restarted := tabs[0], tabs[1], tabs[2]
	for _, p := range tabs {
		lab.Wait(t, 30*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(n); return lost < n-10 })
	}
	restarted.askRestart()
	x.Laptop.Cut()
	time.Sleep(20 * time.Second) // by now each page has asked for much, and written its layout twice
	pressed := time.Now()
	do(t, restarted, "say yes to Restart", accept)
	second := &labTab{Context: x.emptyTab(), x: x, name: "second"}
	do(t, second, "open another tab", chromedp.EmulateViewport(1000, 500), chromedp.Navigate(first.address))
	await(t, second, "the page that says how it stands", `document.body.innerText.includes("The line to gpu1 is down")`)
	t.Logf("another tab says how it stands after %v", time.Since(pressed).Round(10*time.Millisecond))
	shot(t, second, "../docs/img/line-down.png")
	reloaded.try(browserReload)
	lab.Wait(t, 40*time.Second, "the Restart to be refused", func() bool { return restarted.holds(refused) })
	waited := time.Since(pressed)
	t.Logf("Restart: %s", restarted.text(restarts))
	if waited < 13*time.Second || waited > 30*time.Second {
		t.Errorf("refused after %v", waited)
	}
	x.Laptop.Mend()
	await(t, second, "the other tab to come by itself", `document.querySelector(".jp-NotebookPanel") != null`)
	for _, p := range []*labTab{first, reloaded} {
		lost, wrong, idle := p.finished(n, 90*time.Second)
		if d := p.dialogs(); lost != 0 || wrong != 0 || !idle || !p.sameDocument() || len(d) != 0 {
			t.Errorf("%s: %d lost, %d wrong, finished %v, same document %v, dialogs %q", p.name, lost, wrong, idle, p.sameDocument(), d)
		}
	}
	// Its output so far JupyterLab has dropped itself, when Restart was pressed.
	restarted.run(1)
	await(t, restarted, "output of the kernel", `(`+outputs+`).includes("still there 699")`)
	if !restarted.sameDocument() {
		t.Error("the page whose Restart was refused was replaced")
	}
}

// A page that is reloaded in a cut, in despair, stays: its document, its kernel,
// its output and what was not saved. The twin has the link, and no page proxy:
// its page is another after the mend, and shows nothing of what the cell prints.
func TestReload_InACutLosesNothing(t *testing.T) {
	t.Parallel()
	x := newBrowserLab(t, 4*time.Minute)
	const n = 500
	cells := []string{printing(n), "# not saved"}
	byBrowser := x.notebook("bybrowser", x.o.Port, cells...)
	byScript := x.notebook("byscript", x.o.Port, cells...)
	twin := x.notebook("twin", x.bareLink(), cells...)
	tabs := []*labTab{byBrowser, byScript, twin}
	for _, p := range tabs {
		p.leave()
		p.run(0)
	}
	for _, p := range tabs {
		lab.Wait(t, 20*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(n); return lost < n-10 })
		do(t, p, "change a cell", chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".jp-NotebookPanel .jp-Cell")[1].querySelector(".cm-content").focus()`), insert("CHANGED"))
	}
	_, browserOver := byBrowser.navigations()
	_, scriptOver := byScript.navigations()
	twinAsked, _ := twin.navigations()
	x.Laptop.Cut()
	time.Sleep(time.Second) // before anybody can know
	byBrowser.try(browserReload)
	time.Sleep(6 * time.Second) // everybody knows
	byScript.try(chromedp.Evaluate[chromedp.Void]("location.reload()"))
	byBrowser.try(browserReload)
	twin.try(browserReload)
	shot(t, byScript, "../docs/img/page-in-a-cut.png")
	time.Sleep(15 * time.Second) // how long the cut lasts is what is tested
	byBrowser.try(browserReload)
	// A browser with much to do asks late: after the mend it would be a reload like any.
	lab.Wait(t, 30*time.Second, "each reload to be seen", func() bool {
		return browserOver() >= 3 && scriptOver() >= 1 && twinAsked() >= 1
	})
	x.Laptop.Mend()
	for _, p := range []*labTab{byBrowser, byScript} {
		lost, wrong, idle := p.finished(n, 60*time.Second)
		t.Logf("%s: %d lost, %d wrong, finished %v, dialogs %q", p.name, lost, wrong, idle, p.dialogs())
		if lost != 0 || wrong != 0 || !idle || !p.sameDocument() || len(p.dialogs()) != 0 {
			t.Errorf("%s: %d lost, %d wrong, finished %v, same document %v, dialogs %q", p.name, lost, wrong, idle, p.sameDocument(), p.dialogs())
		}
		do(t, p, "save", chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
		file := "/home/me/" + p.name + ".ipynb"
		lab.Wait(t, 20*time.Second, p.name+" to be saved", func() bool {
			text := x.host.ReadFile(file)
			return strings.Contains(text, "CHANGED") && strings.Contains(text, "L499")
		})
	}
	shot(t, byScript, "../docs/img/page-after-a-cut.png")
	lost, _, _ := twin.finished(n, 5*time.Second)
	t.Logf("twin: %d lost, same document %v", lost, twin.sameDocument())
	if lost < n/2 || twin.sameDocument() {
		t.Errorf("the twin lost %d of %d, and its document is the same: %v", lost, n, twin.sameDocument())
	}
}

// What is pressed in a cut is done once, after the mend; what destroys is
// refused after 15 s and never done later, also when it was pressed before the
// cut could be known. The twin has the link, and no page proxy: its restart is
// done at the mend.
func TestPressed_InACut(t *testing.T) {
	t.Parallel()
	x := newBrowserLab(t, 4*time.Minute)
	cells := []string{"x = 41", "print('x', 'is', x)"}
	early := x.notebook("early", x.o.Port, cells...)
	late := x.notebook("late", x.o.Port, cells...)
	twin := x.notebook("twin", x.bareLink(), cells...)
	worker := x.notebook("worker", x.o.Port, "n = 0", "n += 1\nprint('ran', n)", "# ", "a = input('who')\nprint('it', 'was', a)")
	for _, p := range []*labTab{early, late, twin, worker} {
		p.run(0)
		await(t, p, p.name+" to run", `document.querySelector(".jp-NotebookPanel .jp-InputPrompt").innerText.includes("[1]")`)
	}
	do(t, worker, "change a cell", focus(2), insert("CHANGED"))
	worker.run(3)
	await(t, worker, "the question", `document.querySelector(".jp-Stdin-input") != null`)
	for _, p := range []*labTab{early, late, twin} {
		p.askRestart()
	}

	x.Laptop.Cut()
	cut := time.Now()
	do(t, early, "say yes to Restart", accept)
	do(t, worker, "save", focus(2), chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	time.Sleep(6 * time.Second) // by now the cut is known
	do(t, late, "say yes to Restart", accept)
	do(t, twin, "say yes to Restart", accept)
	do(t, worker, "answer the question", chromedp.Evaluate[chromedp.Void](`document.querySelector(".jp-Stdin-input").focus()`), insert("me"), chromedp.KeyEvent(kb.Enter))
	do(t, worker, "run", worker.press(1))
	do(t, worker, "new terminal", chromedp.Evaluate[chromedp.Void](`document.querySelector('[data-command="launcher:create"]').click()`),
		chromedp.WaitVisible(terminalCard), chromedp.Click(terminalCard))
	lab.Wait(t, 30*time.Second, "the early Restart to be refused", func() bool { return early.holds(refused) })
	if waited := time.Since(cut); waited < 13*time.Second {
		t.Errorf("refused after %v", waited)
	}
	if rest := 30*time.Second - time.Since(cut); rest > 0 {
		time.Sleep(rest)
	}
	if text := x.host.ReadFile("/home/me/worker.ipynb"); strings.Contains(text, "CHANGED") {
		t.Error("saved in the cut: there was none")
	}
	lab.Wait(t, 30*time.Second, "the late Restart to be refused", func() bool { return late.holds(refused) })
	x.Laptop.Mend()
	t.Logf("the early one: %s, the late one: %s", early.text(restarts), late.text(restarts))
	lab.Wait(t, 20*time.Second, "the save", func() bool { return strings.Contains(x.host.ReadFile("/home/me/worker.ipynb"), "CHANGED") })
	lab.Wait(t, 20*time.Second, "the terminal", func() bool { return get(t, x.Lab, x.o, "/api/terminals") != "[]" })
	await(t, worker, "the answer and the cell", `(`+outputs+`).includes("it was me") && (`+outputs+`).includes("ran")`)
	time.Sleep(5 * time.Second) // what comes twice, or too late, comes by now
	if out := worker.text(outputs); strings.Count(out, "ran") != 1 || !strings.Contains(out, "ran 1") || strings.Count(out, "it was me") != 1 {
		t.Errorf("the cell ran not once: %q", out)
	}
	if list := get(t, x.Lab, x.o, "/api/terminals"); strings.Count(list, `"name"`) != 1 {
		t.Errorf("terminals: %s", list)
	}
	if d := worker.dialogs(); len(d) != 0 {
		t.Errorf("dialogs %q", d)
	}
	// What Jupyter itself says: one kernel was restarted, the twin's.
	lab.Wait(t, 20*time.Second, "the twin's kernel to be restarted", func() bool { return restarted(x.host) == 1 })
	do(t, late, "run", late.press(1))
	await(t, late, "output after a refused Restart", `(`+outputs+`).includes("x is 41")`)
	time.Sleep(5 * time.Second) // a restart that comes late, comes by now
	if restarted(x.host) != 1 {
		t.Error("a kernel was restarted after the mend")
	}
}

// restarts are the requests to restart a kernel that have an answer.
const restarts = `nbrTest.restarts.join()`

const refused = `(` + restarts + `).includes("503")`

// restarted counts the kernels that the host's Jupyter has restarted.
func restarted(host *lab.Machine) int {
	return strings.Count(host.ShAs(lab.Me, "cat ~/.local/share/nbremote/sessions/*/*/log"), "Kernel restarted")
}

func focus(cell int) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelectorAll(".jp-NotebookPanel .jp-Cell")[%d].querySelector(".cm-content").focus()`, cell))
}

// askRestart presses what asks whether to restart the kernel.
func (p *labTab) askRestart() {
	p.x.t.Helper()
	until(p.x.t, p, "the question about Restart", `(document.querySelector(".jp-Dialog") || document.body).innerText.includes("want to restart")`,
		chromedp.Click(chromedp.CSS(`.jp-NotebookPanel-toolbar [data-jp-item-name="restart"] jp-button`)))
}

var accept = chromedp.Evaluate[chromedp.Void](`document.querySelector(".jp-Dialog .jp-mod-accept").click()`)

var terminalCard = chromedp.CSS(`.jp-LauncherCard[data-category="Other"][title*="terminal"]`)
