package test

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/test/lab"
)

// Places in JupyterLab 4: the tabs of the notebook and of the terminal beside
// it, and the lines of that terminal, which a screen reader would read.
const (
	notebookTab  = chromedp.Search(`//li[contains(@class, "lm-TabBar-tab") and contains(., ".ipynb")]`)
	terminalTab  = chromedp.Search(`//li[contains(@class, "lm-TabBar-tab") and contains(., "Terminal")]`)
	terminalRows = `Array.from(document.querySelectorAll(".jp-Terminal .xterm-accessibility-tree > div")).map(e => e.textContent.trim()).join("\n")`
	// The settings under which a terminal shows its lines in the document.
	screenReader = "/home/me/.jupyter/lab/user-settings/@jupyterlab/terminal-extension/plugin.jupyterlab-settings"
)

// seconds is what the terminal prints, a line each second.
const seconds = 28

// sliding is a cell with a slider. The kernel writes down each value it gets.
func sliding(name string) string {
	return fmt.Sprintf(`import ipywidgets
slider = ipywidgets.IntSlider(value=1)
def note(change):
    with open("slid-%s", "a") as f:
        print(change["new"], file=f)
slider.observe(note, "value")
slider`, name)
}

// What else a page has goes over a cut as the lines of a cell do: a terminal's
// output and what is typed into it, the slider of a widget, and an upload; each
// once. The twin is the same page through ssh -L in a restart loop.
func TestN3_PartsOfAPageOverACut(t *testing.T) {
	t.Parallel()
	x := newBrowserLab(t, 5*time.Minute)
	x.host.WriteFile(lab.Me, screenReader, `{"screenReaderMode": true}`)
	x.host.WriteFile(lab.Me, "/home/me/print", fmt.Sprintf("stty -echo\nfor i in $(seq %d); do echo T$i; sleep 1; done\nstty echo\n", seconds))
	raw := make([]byte, 3<<20) // three requests of JupyterLab
	rand.Read(raw)
	data := string(raw)
	pages := map[string]*labTab{}
	for name, port := range map[string]int{"ours": x.o.Port, "twin": plain(t, x.Lab, "gpu1", x.sock)} {
		x.Laptop.WriteFile(lab.Me, "/home/me/"+name+".bin", data)
		p := x.notebook(name, port, sliding(name))
		p.run(0)
		await(t, p, "the slider", `document.querySelector(".widget-slider .noUi-target") != null`)
		p.openTerminal()
		pages[name] = p
	}
	ours, twin := pages["ours"], pages["twin"]
	for _, p := range []*labTab{ours, twin} {
		p.typeLine("sh print")
	}
	for _, p := range []*labTab{ours, twin} {
		await(t, p, "the terminal to print", `(`+terminalRows+`).includes("T2")`)
	}

	x.Laptop.Cut()
	cut := time.Now()
	inCut := map[string]string{}
	for _, p := range []*labTab{twin, ours} { // the twin before its dialog comes
		p.typeLine("echo typed >>cut-" + p.name)
		inCut[p.name] = p.slide(0.3)
		p.upload("/home/me/" + p.name + ".bin")
	}
	time.Sleep(22*time.Second - time.Since(cut)) // how long the cut lasts is what is tested
	for _, file := range []string{"ours.bin", "slid-ours", "cut-ours"} {
		if x.host.ReadFile("/home/me/"+file) != "" {
			t.Errorf("%s is there in the cut: there was none", file)
		}
	}
	x.Laptop.Mend()
	mended := time.Now()
	lab.Wait(t, 20*time.Second, "the upload", func() bool { return x.host.ReadFile("/home/me/ours.bin") == data })
	lab.Wait(t, 20*time.Second, "the slider's value", func() bool { return x.slid("ours") == inCut["ours"] })
	t.Logf("the upload and the slider %v after the mend", time.Since(mended).Round(10*time.Millisecond))
	later := ours.slide(0.8)
	lab.Wait(t, 20*time.Second, "the slider's next value", func() bool { return x.slid("ours") == inCut["ours"]+" "+later })
	ours.toTerminal()
	lab.Wait(t, 40*time.Second, "what was typed in the cut", func() bool { return x.host.ReadFile("/home/me/cut-ours") != "" })
	ours.typeLine("echo typed >>after-ours")
	lab.Wait(t, 20*time.Second, "what is typed after it", func() bool { return x.host.ReadFile("/home/me/after-ours") == "typed\n" })
	if lost, wrong := ours.printed(); lost != 0 || wrong != 0 {
		t.Errorf("terminal: %d lines lost, %d wrong: %q", lost, wrong, ours.text(terminalRows))
	}
	if typed := x.host.ReadFile("/home/me/cut-ours"); typed != "typed\n" {
		t.Errorf("typed in the cut: %q", typed)
	}
	if begun, ended := uploads(x.host, "ours"); begun != 1 || ended != 1 {
		t.Errorf("the upload was begun %d times, ended %d times", begun, ended)
	}
	if d := ours.dialogs(); len(d) != 0 || !ours.sameDocument() {
		t.Errorf("dialogs %q", d)
	}
	x.twinOfParts(twin, inCut["twin"], data)
}

// twinOfParts looks at what the twin has lost: what went into the dead line. TCP
// may still bring a little that ssh left behind; never the upload.
func (x *browserLab) twinOfParts(twin *labTab, inCut, data string) {
	x.t.Helper()
	await(x.t, twin, "a dialog", `nbrTest.dialogs.length > 0`)
	typed, slid, whole := x.host.ReadFile("/home/me/cut-twin"), x.slid("twin"), x.host.ReadFile("/home/me/twin.bin") == data
	x.t.Logf("twin: typed %q, slider %q of %q, uploaded %v, dialogs %q", typed, slid, inCut, whole, twin.dialogs())
	if whole {
		x.t.Error("the twin lost nothing: the cut was none")
	}
}

// slid are the values that a notebook's kernel got of its slider.
func (x *browserLab) slid(name string) string {
	return strings.Join(strings.Fields(x.host.ReadFile("/home/me/slid-"+name)), " ")
}

// uploads counts how often a page's file was begun, and how often it was ended.
func uploads(host *lab.Machine, name string) (begun, ended int) {
	log := host.ShAs(lab.Me, "cat ~/.local/share/nbremote/sessions/*/*/log")
	return strings.Count(log, "Uploading file to /"+name+".bin"), strings.Count(log, "Saving file at /"+name+".bin")
}

// openTerminal opens a terminal in the page and waits for its prompt.
func (p *labTab) openTerminal() {
	p.x.t.Helper()
	do(p.x.t, p, "open a terminal", chromedp.Evaluate[chromedp.Void](`document.querySelector('[data-command="launcher:create"]').click()`),
		chromedp.WaitVisible(terminalCard), chromedp.Click(terminalCard))
	await(p.x.t, p, "the prompt of "+p.name, `/[$#]$/m.test(`+terminalRows+`)`)
}

// toTerminal shows the terminal.
func (p *labTab) toTerminal() {
	p.x.t.Helper()
	do(p.x.t, p, "show the terminal", chromedp.Click(terminalTab), chromedp.WaitVisible(chromedp.CSS(".jp-Terminal")))
}

// typeLine types a line into the terminal, which is in front.
func (p *labTab) typeLine(line string) {
	p.x.t.Helper()
	do(p.x.t, p, "type "+line, chromedp.Evaluate[chromedp.Void](`document.querySelector(".jp-Terminal .xterm-helper-textarea").focus()`),
		chromedp.KeyEvent(line), chromedp.KeyEvent(kb.Enter))
}

var timed = regexp.MustCompile(`(?m)^T(\d+)$`)

// printed counts the lines that the terminal shows: how many are missing, and
// how many are there twice or out of order.
func (p *labTab) printed() (lost, wrong int) {
	seen, last := map[int]bool{}, 0
	for _, m := range timed.FindAllStringSubmatch(p.text(terminalRows), -1) {
		i, _ := strconv.Atoi(m[1])
		if seen[i] || i < last {
			wrong++
		}
		seen[i], last = true, max(last, i)
	}
	return seconds - len(seen), wrong
}

// slide shows the notebook, clicks on the slider's track and gives the value
// that the page then shows.
func (p *labTab) slide(to float64) string {
	t := p.x.t
	t.Helper()
	do(t, p, "show the notebook", chromedp.Click(notebookTab), chromedp.WaitVisible(chromedp.CSS(".widget-slider .noUi-target")))
	const track = `document.querySelector(".widget-slider .noUi-target").getBoundingClientRect()`
	const shown = `document.querySelector(".widget-slider .widget-readout").innerText.trim()`
	before := p.text(shown)
	place, err := chromedp.Run(p, chromedp.Evaluate[[]float64](`[`+track+`.x, `+track+`.width, `+track+`.y + `+track+`.height / 2]`))
	if err != nil || len(place) != 3 {
		t.Fatalf("find the slider: %v", err)
	}
	do(t, p, "slide", chromedp.MouseClickXY(place[0]+to*place[1], place[2]))
	await(t, p, "the slider to move", shown+` != "`+before+`"`)
	return p.text(shown)
}

// asPerson has a script press a button as a person does: only so a page may ask
// for a file.
func asPerson(p *runtime.EvaluateParams) { yes := true; p.UserGesture = &yes }

// upload presses the file browser's Upload and chooses a file of the laptop.
func (p *labTab) upload(file string) {
	t := p.x.t
	t.Helper()
	const button = `document.querySelector('.jp-FileBrowser-toolbar [data-jp-item-name="uploader"] jp-button').click()`
	press := chromedp.WaitEvent(page.FileChooserOpened, nil, chromedp.Evaluate[chromedp.Void](button, asPerson))
	do(t, p, "upload "+file, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true}); err != nil {
			return err
		}
		chooser, err := chromedp.Run(ctx, press)
		if err != nil {
			return err
		}
		_, err = chromedp.Call(ctx, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{file}, BackendNodeID: chooser.BackendNodeID})
		return err
	}))
}
