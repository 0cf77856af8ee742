package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/internal/ui"
)

// noticeAfter is how long the line is down before the window's title says so.
// The text area is the far program's: nothing of ours is ever written there.
const noticeAfter = 10 * time.Second

func haveTerminal() bool { return ui.IsTerminal(os.Stdin) && ui.IsTerminal(os.Stdout) }

// atTerminal runs a script on the host at this terminal. It ends with nil, a
// *farExit, or an error. The terminal is as it was before, however it ends.
func (a *app) atTerminal(line *line, host, dir, script string) error {
	rows, cols := ui.TerminalSize()
	p, err := line.Exec(a.ctx, holder.ExecSpec{Script: farTerminal(os.Getenv) + script, Dir: dir, Pty: true, Rows: rows, Cols: cols})
	if err != nil {
		return err
	}
	defer p.Close()
	raw, err := ui.OpenRaw()
	if err != nil {
		return err
	}
	defer raw.Close()
	line.leave() // a question could not be asked from here on
	defer context.AfterFunc(a.ctx, func() { raw.Stop(); p.Close() })()
	ctx, cancel := context.WithCancel(a.ctx)
	s := &screen{w: raw}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer raw.Stop()
	defer cancel()
	var typing error
	helpers.Go(func() { typing = typed(p, raw) })
	helpers.Go(func() { follow(ctx, raw, p) })
	helpers.Go(func() { s.watch(ctx, line.Client, host) })
	told := s.show(p)
	cancel()
	raw.Stop()
	helpers.Wait()
	var signal *ui.SignalError
	var exit *holder.ExitError
	end := p.Wait()
	switch {
	case a.ctx.Err() != nil:
		end = context.Cause(a.ctx)
	case errors.As(typing, &signal):
		end = typing
	case told != nil:
		end = told
	case end == nil:
		return nil
	case errors.As(end, &exit) && exit.Signal == "":
		return &farExit{exit.Code}
	}
	s.leave()
	return end
}

// typed passes the keys on; a terminal that is gone, or a signal, ends the far
// program.
func typed(p *holder.Process, raw *ui.Raw) error {
	buf := make([]byte, 4096)
	for {
		n, err := raw.Read(buf)
		if err == nil {
			_, err = p.Write(buf[:n])
		}
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				p.Close()
			}
			return err
		}
	}
}

func follow(ctx context.Context, raw *ui.Raw, p *holder.Process) {
	for {
		select {
		case <-raw.Resized():
			p.Resize(ui.TerminalSize())
		case <-ctx.Done():
			return
		}
	}
}

// screen is the local terminal: the far program's, and its title ours while
// the line is down.
type screen struct {
	w interface{ Write([]byte) (int, error) }

	mu     sync.Mutex
	tail   []byte // the last of what was shown
	titled bool
	full   bool // the far program has the alternate screen
}

// show copies what the far program prints to its end: nil, or why the terminal
// does not take it.
func (s *screen) show(p *holder.Process) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.Read(buf)
		if n > 0 {
			if err := s.write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // Wait knows
		}
	}
}

func (s *screen) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, b...)
	if on, off := bytes.LastIndex(s.tail, altOn), bytes.LastIndex(s.tail, altOff); on != off {
		s.full = on > off
	}
	s.tail = append([]byte(nil), s.tail[max(0, len(s.tail)-maxTail):]...)
	_, err := s.w.Write(b)
	return err
}

var altOn, altOff = []byte("\x1b[?1049h"), []byte("\x1b[?1049l")

// leave takes back what the far program has set, which cannot do it any more:
// colours, the hidden cursor, mouse and paste, the alternate screen.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !hasTitle(os.Getenv("TERM")) {
		return
	}
	text := "\x18\x1b[0m\x1b[?25h\x1b[?1000;1002;1003;1006;2004l"
	if s.full {
		text += string(altOff)
	}
	s.w.Write([]byte(text + "\r\n"))
}

// watch puts into the window's title that the line is down, once that lasts,
// and takes it away again.
func (s *screen) watch(ctx context.Context, client *holder.Client, host string) {
	if !hasTitle(os.Getenv("TERM")) {
		return
	}
	defer s.untitle(host)
	heard, err := client.Attach(ctx, holder.AttachOptions{Watch: true})
	if err != nil {
		return
	}
	defer heard.Close()
	events := make(chan holder.Event)
	go func() { // ends with heard
		defer close(events)
		for {
			e, err := heard.Next(ctx)
			if err != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	var late <-chan time.Time
	down, state := time.Time{}, holder.Up
	for {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				return
			case e.Kind == "up", e.Kind == "state" && e.State == holder.Up:
				late, down = nil, time.Time{}
				s.untitle(host)
			case e.Kind == "state":
				if state = e.State; down.IsZero() {
					down = time.Now()
					late = time.After(noticeAfter)
				}
			}
		case <-late:
			late = nil
			s.title(downTitle(host, state, down))
		}
	}
}

func downTitle(host string, state holder.State, down time.Time) string {
	if state == holder.NeedsSignIn || state == holder.Stopped {
		return host + ": " + string(state) + ": nbremote open " + host + ", elsewhere; what you type is kept"
	}
	return host + ": line down since " + down.Format("15:04") + ", what you type is kept"
}

// title sets the window's title, with the one before put aside (xterm's window
// operations 22 and 23), unless the far program is in the middle of a sequence.
func (s *screen) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unfinished(s.tail) {
		return
	}
	push := ""
	if !s.titled {
		push = "\x1b[22;2t"
	}
	s.titled = true
	s.w.Write([]byte(push + "\x1b]2;" + ui.Safe(text) + "\x07"))
}

// untitle brings the title from before back; a terminal that cannot has the
// host's name.
func (s *screen) untitle(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.titled || unfinished(s.tail) {
		return
	}
	s.titled = false
	s.w.Write([]byte("\x1b]2;" + ui.Safe(host) + "\x07\x1b[23;2t"))
}

// hasTitle: these and what is called after them know OSC 2.
func hasTitle(term string) bool {
	for _, known := range []string{"xterm", "screen", "tmux", "rxvt", "alacritty", "foot", "wezterm", "ghostty", "konsole", "gnome", "vte", "st-"} {
		if strings.HasPrefix(term, known) {
			return true
		}
	}
	return false
}

// maxTail is how far back the beginning of a sequence is looked for.
const maxTail = 256

// unfinished says whether the output stops within a character or an escape
// sequence, where nothing may be written between.
func unfinished(tail []byte) bool {
	for back := 1; back <= min(utf8.UTFMax-1, len(tail)); back++ {
		if rest := tail[len(tail)-back:]; utf8.RuneStart(rest[0]) {
			if !utf8.FullRune(rest) {
				return true
			}
			break
		}
	}
	at := bytes.LastIndexByte(tail, 0x1b)
	if at < 0 {
		return false
	}
	seq := tail[at+1:]
	if len(seq) == 0 {
		return true
	}
	switch seq[0] {
	case '[': // up to a final byte
		return bytes.IndexFunc(seq[1:], func(r rune) bool { return r >= 0x40 && r <= 0x7e }) < 0
	case ']': // up to BEL, or ESC \ which would be the last ESC
		return bytes.IndexByte(seq, 0x07) < 0
	case 'P', '_', '^', 'X':
		return true
	case ' ', '#', '%', '(', ')', '*', '+', '-', '.', '/':
		return len(seq) < 2
	}
	return false
}

var (
	saneTerm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	saneLocale = regexp.MustCompile(`(?i)^[a-z]{1,3}(_[a-z]{2})?\.utf-?8(@[a-z]+)?$`)
)

// farTerminal is the beginning of a script at a terminal: TERM, if the host
// knows it, and the locale from here, if it is a UTF-8 one that the host has.
func farTerminal(env func(string) string) string {
	term := env("TERM")
	if !saneTerm.MatchString(term) || term == "dumb" {
		term = "xterm-256color"
	}
	var b strings.Builder
	b.WriteString("export TERM=" + remote.Quote(term) + "\n")
	b.WriteString("! command -v infocmp >/dev/null 2>&1 || infocmp >/dev/null 2>&1 || TERM=xterm-256color\n")
	if c := env("COLORTERM"); c == "truecolor" || c == "24bit" {
		b.WriteString("export COLORTERM=" + c + "\n")
	}
	b.WriteString("l=\" $(locale -a 2>/dev/null | tr A-Z a-z | tr -d - | tr '\\n' ' ') \"\n")
	for _, name := range []string{"LANG", "LC_CTYPE", "LC_ALL"} {
		if v := env(name); saneLocale.MatchString(v) {
			b.WriteString("case $l in *" + remote.Quote(" "+strings.ReplaceAll(strings.ToLower(v), "-", "")+" ") + "*) export " + name + "=" + remote.Quote(v) + " ;; esac\n")
		}
	}
	return b.String() + "unset l\n"
}
