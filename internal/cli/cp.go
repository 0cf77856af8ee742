package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nbremote/internal/transfer"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

// cpCmd copies files and folders to or from a host.
type cpCmd struct {
	Paths []string `arg:"" name:"path" predictor:"copy" help:"SRC… DST: files and folders, HOST:PATH on exactly one side."`
	Force bool     `short:"f" help:"Replace files that are there under the same name."`
}

// Help stands below the command's help.
func (c *cpCmd) Help() string {
	return "As cp -r does it: into DST if that is a folder, else to that name. On the host a PATH without / is in your home. " +
		"A cut is waited out, and the copy goes on where it was. Files that are there already, of the same size and time or of the same bytes, are not sent again, so " +
		"a copy that was broken off goes on when it is given again, a folder in the same place. Another file under the same name is left as it is, and is an error."
}

// copyPlan is what is to be copied.
type copyPlan struct {
	w    where
	up   bool // to the host
	wish transfer.Wish
}

// Run copies, and says in one line what was.
func (c *cpCmd) Run(a *app) error {
	plan, err := c.plan(a)
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, plan.w)
	if err != nil {
		return err
	}
	defer line.leave()
	began := time.Now()
	show := &copyShown{step: a.ui.Start("copying", plan.text())}
	quiet := a.watchLine(line, plan.w)
	plan.wish.Broke = func(error) bool { return a.copyAgain(line) }
	work := transfer.Get
	if plan.up {
		work = transfer.Put
	}
	result, err := work(a.ctx, line, plan.wish, show.tell)
	quiet()
	took := time.Since(began)
	show.end(result, err, plan.summary(result, took))
	a.copyTroubles(result)
	if a.JSON && (err == nil || result.Files > 0) {
		if err := a.printJSON(plan.json(result, took)); err != nil {
			return err
		}
	}
	return plan.explain(result, err)
}

// copyAgain waits for a line on which a copy that broke off can go on.
func (a *app) copyAgain(l *line) bool {
	if l.again(a.ctx, func() error { return nil }) != nil {
		return false
	}
	a.ui.Note("the copy broke off with the line, and goes on where it was")
	return true
}

// plan reads the command line.
func (c *cpCmd) plan(a *app) (copyPlan, error) {
	const form = "nbremote cp SRC… HOST:PATH, or nbremote cp HOST:PATH… DST"
	p := copyPlan{wish: transfer.Wish{Force: c.Force}}
	last := len(c.Paths) - 1
	if last < 1 {
		return p, usage("read the arguments: cp needs SRC and DST", form)
	}
	hosts, local := 0, 0
	for i, arg := range c.Paths {
		if arg == "" {
			return p, usage("read the arguments: an empty path", form)
		}
		w, far, err := copySide(arg)
		if err != nil {
			return p, err
		}
		if far && p.w.Host != "" && p.w.Host != w.Host {
			return p, usage("copy from "+p.w.Host+" and "+w.Host+": one host at a time", "nbremote cp, once for each")
		}
		if far {
			if w, err = a.complete(w); err != nil {
				return p, err
			}
			p.w, arg = w, w.Path
			hosts++
		} else {
			local++
		}
		if i < last {
			p.wish.From = append(p.wish.From, arg)
			continue
		}
		p.up, p.wish.To = far, arg
	}
	switch {
	case hosts == 0:
		return p, usage("copy: no host on either side", form)
	case p.up && hosts > 1, !p.up && local > 1:
		return p, usage("copy: a host on both sides, and it has to be on one", form)
	}
	p.wish.Folder = last > 1 || strings.HasSuffix(p.wish.To, "/")
	return p, nil
}

// copySide reads one argument: as scp has it, a colon before any slash makes it
// a host's.
func copySide(arg string) (w where, far bool, err error) {
	colon, slash := strings.IndexByte(arg, ':'), strings.IndexByte(arg, '/')
	url, v6 := strings.HasPrefix(arg, "ssh://"), strings.HasPrefix(arg, "[") || strings.Contains(arg, "@[")
	if filepath.VolumeName(arg) != "" || !url && !v6 && (colon <= 0 || slash >= 0 && slash < colon) {
		return w, false, nil
	}
	w.Host, w.Path, err = sshx.SplitPath(arg)
	if err == nil && w.Path == "" && !url && !strings.HasSuffix(arg, ":") {
		name, port, _ := strings.Cut(w.Host, ":")
		return w, true, usage("read "+quoted(arg)+": no path after the port", name+":./"+port+", if that is a file")
	}
	return w, true, err
}

// text is what is waited for, before it is known how much that is.
func (p copyPlan) text() string {
	if p.up {
		return "to " + p.w.Host + ":" + p.wish.To
	}
	return "from " + p.w.Host
}

// watchLine tells a person what becomes of the line while something else goes
// on, until the returned func is called.
func (a *app) watchLine(l *line, w where) (end func()) {
	over := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		x := &watcher{a: a, l: l, w: w}
		for events := l.events; ; {
			select {
			case e, ok := <-events:
				if !ok {
					events = nil
				} else {
					x.hear(e)
				}
			case <-x.isSteady():
				x.settle()
			case <-over:
				return
			}
		}
	})
	return func() { close(over); wait.Wait() }
}

// copyEach is how often a copy shows how far it is.
const copyEach = 500 * time.Millisecond

// copyShown is the line in progress of a copy.
type copyShown struct {
	step  *ui.Step
	last  time.Time
	speed ui.Speed
}

func (s *copyShown) tell(now transfer.State) {
	at := time.Now()
	s.speed.Add(at, now.Bytes)
	if at.Sub(s.last) < copyEach {
		return
	}
	s.last = at
	text := size(now.Bytes) + " of " + size(now.AllBytes)
	if now.AllFiles > 1 {
		text = fmt.Sprintf("%d of %d files, %s", now.Files, now.AllFiles, text)
	}
	if rate := s.speed.Rate(at); rate > 0 {
		left := time.Duration(float64(now.AllBytes-now.Bytes) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %s left", size(int64(rate)), ui.Long(left))
	}
	s.step.Update(text)
}

func (s *copyShown) end(r transfer.Result, err error, text string) {
	switch {
	case err != nil:
		s.step.Fail("")
	case r.Failed > 0:
		s.step.Warn(text)
	default:
		s.step.Done(text)
	}
}

func many(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

// summary is the one line of what was copied.
func (p copyPlan) summary(r transfer.Result, took time.Duration) string {
	text := fmt.Sprintf("%s, %s %s", many(r.Files, "file"), size(r.Bytes), p.text())
	if took > time.Second {
		text += ", " + size(int64(float64(r.Bytes)/took.Seconds())) + "/s"
	}
	switch {
	case r.Already > 0 && r.Files == 0:
		text = many(r.Already, "file") + " there already, with the same bytes or of the same size and time"
	case r.Already > 0:
		text += fmt.Sprintf("; %d there already", r.Already)
	}
	return text
}

// maxToldTroubles is how many are shown; --json has more.
const maxToldTroubles = 20

// copyTroubles says what was not copied. A single one is said by the error.
func (a *app) copyTroubles(r transfer.Result) {
	for i, t := range r.Troubles {
		if i == maxToldTroubles {
			a.ui.Note(fmt.Sprintf("and %d more", len(r.Troubles)-i))
			break
		}
		if len(r.Troubles) > 1 || t.Class == transfer.Skipped {
			a.ui.Note(troubleText(t))
		}
	}
}

func troubleText(t transfer.Trouble) string {
	t = oneLineEach(t)
	switch t.Class {
	case transfer.Skipped:
		return "left out: " + t.Path + ": " + t.Text
	case transfer.Changed:
		return t.Path + ": " + t.Text + ", and is as it was read"
	}
	return "not copied: " + t.Path + ": " + t.Text
}

// oneLineEach keeps what a host sends from looking like a line of ours.
func oneLineEach(t transfer.Trouble) transfer.Trouble {
	escape := strings.NewReplacer("\n", `\n`, "\r", `\r`)
	t.Path, t.Text = escape.Replace(t.Path), escape.Replace(t.Text)
	return t
}

// explain is the error of a copy that is not whole.
func (p copyPlan) explain(r transfer.Result, err error) error {
	what := "copy " + p.direction() + p.w.Host + ": "
	switch lost, ok := asError[*transfer.BrokenError](err); {
	case ok:
		text := fmt.Sprintf("%sthe line was lost; %d of %s arrived", what, r.Files, many(r.AllFiles, "file"))
		return &brokenCopy{problem{text, "line", "the same again: it goes on where it was"}, lost}
	case err != nil:
		return fmt.Errorf("%s%w", what, err)
	case r.Failed == 0:
		return nil
	}
	bad := []transfer.Trouble{}
	class, try := "", ""
	for _, t := range r.Troubles {
		if t.Class == transfer.Skipped {
			continue
		}
		bad = append(bad, oneLineEach(t))
		if class == "" {
			class = t.Class
		} else if class != t.Class {
			class = "other"
		}
		if t.Class == transfer.Exists {
			try = "--force replaces what is there"
		}
	}
	if class != "not-found" {
		class = "other"
	}
	if r.Failed == 1 && len(bad) == 1 {
		return &problem{what + bad[0].Path + ": " + bad[0].Text, class, try}
	}
	return &problem{fmt.Sprintf("%s%d were not copied, or not whole; %d were", what, r.Failed, r.Files), class, try}
}

func (p copyPlan) direction() string {
	if p.up {
		return "to "
	}
	return "from "
}

// brokenCopy is a problem with a cause.
type brokenCopy struct {
	problem
	lost *transfer.BrokenError
}

// Cause is what broke.
func (e *brokenCopy) Cause() string { return e.lost.Cause() }

// copied is what --json prints.
type copied struct {
	Host     string             `json:"host"`
	To       string             `json:"to"`
	Files    int                `json:"files"`
	Bytes    int64              `json:"bytes"`
	Already  int                `json:"already"`
	Failed   int                `json:"failed"`
	Seconds  float64            `json:"seconds"`
	Troubles []transfer.Trouble `json:"troubles"`
}

func (p copyPlan) json(r transfer.Result, took time.Duration) copied {
	out := copied{p.w.Host, p.wish.To, r.Files, r.Bytes, r.Already, r.Failed, took.Seconds(), r.Troubles}
	if out.Troubles == nil {
		out.Troubles = []transfer.Trouble{}
	}
	return out
}
