package kernel

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/remote"
)

//go:embed add.sh
var addText string

//go:embed folders.py
var foldersText string

//go:embed ask.py
var askText string

//go:embed alone.py
var aloneText string

//go:embed server.py
var serverText string

//go:embed prove.py
var proveText string

const (
	trialPrefix = "nbremote-trial-"
	proofTime   = 60 * time.Second
	installTime = 10 * time.Minute // that uv may take for ipykernel
)

// script is a whole script with values for its variables.
func script(text string, values ...string) string {
	var b strings.Builder
	b.WriteString(remote.Prelude)
	for i := 0; i < len(values); i += 2 {
		b.WriteString(values[i] + "=" + quote(values[i+1]) + "\n")
	}
	b.WriteString(remote.Compact(text))
	return b.String()
}

// job is what prove.py is told.
type job struct {
	Nonce   string     `json:"nonce"`
	Trial   string     `json:"trial"`
	Name    string     `json:"name"`
	Spec    kernelJSON `json:"spec"`
	Wrap    []string   `json:"wrap"` // what follows bash; nil = no bash
	Prefix  string     `json:"prefix"`
	With    bool       `json:"with"`
	Display bool       `json:"display"` // a display name was wished for
	Force   bool       `json:"force"`
	Timeout float64    `json:"timeout"` // seconds
	Server  *jobServer `json:"server"`
}

type jobServer struct {
	PID     int    `json:"pid"`
	Network string `json:"network"`
	Addr    string `json:"addr"`
	Base    string `json:"base"`
	Token   string `json:"token"`
}

// kernelJSON is a kernel.json of ours.
type kernelJSON struct {
	Argv          []string          `json:"argv"`
	DisplayName   string            `json:"display_name"`
	Language      string            `json:"language"`
	InterruptMode string            `json:"interrupt_mode"`
	Env           map[string]string `json:"env"`
	Metadata      struct {
		Debugger bool     `json:"debugger"`
		Ours     metadata `json:"nbremote"`
	} `json:"metadata"`
}

// metadata is how a kernel of ours is known.
type metadata struct {
	Prefix    string `json:"prefix"`
	Kind      string `json:"kind"`
	Added     string `json:"added"`
	Python    string `json:"python"`
	IPykernel string `json:"ipykernel"`
}

// Add makes the environment a kernel: it writes the kernelspec under a name
// that nobody knows, where the server (or, without one, a Jupyter of the
// account) looks, starts it there, asks it, and only then gives it its name.
// One script, one answer. When it fails nothing is on disk and nothing runs:
// *NoKernelError, *ProofError, *TakenError, *UnseenError, *MissingError,
// *UsageError. The same wish once more gives Unchanged, proved anew.
func Add(ctx context.Context, r remote.Runner, w Wish) (*Added, error) {
	display := w.DisplayName != ""
	w.fill()
	if err := CheckName(w.Name); err != nil {
		return nil, err
	}
	l, err := newLaunch(&w)
	if err != nil {
		return nil, err
	}
	j := w.job(l)
	j.Display = display
	text, err := j.script(&w, l)
	if err != nil {
		return nil, err
	}
	out, err := r.Run(ctx, text)
	if err != nil {
		return nil, err
	}
	return j.added(out, &w, l)
}

func (w *Wish) fill() {
	w.Name = cmp.Or(w.Name, SpecName(w.Env.Name))
	w.Timeout = cmp.Or(w.Timeout, proofTime)
	if w.DisplayName == "" {
		w.DisplayName = w.Env.Name
		if short := shortVersion(w.Env.Version); short != "" {
			w.DisplayName += " (Python " + short + ")"
		}
	}
}

// shortVersion is 3.12 of 3.12.4.
func shortVersion(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}

func (w *Wish) job(l *launch) *job {
	j := &job{
		Nonce: remote.NewNonce(), Trial: trialPrefix + remote.NewNonce(), Name: w.Name,
		Prefix: w.Env.Prefix, With: w.With, Force: w.Force, Timeout: w.Timeout.Seconds(),
	}
	j.Spec = kernelJSON{Argv: l.argv(true), DisplayName: w.DisplayName, Language: "python", InterruptMode: "signal", Env: map[string]string{}}
	j.Spec.Metadata.Ours = metadata{Prefix: w.Env.Prefix, Kind: w.Env.Kind, Added: time.Now().UTC().Format(time.RFC3339)}
	if l.path != "" {
		j.Spec.Env["PATH"] = variable{value: l.path}.spec() + ":${PATH}"
	}
	for _, v := range l.env {
		j.Spec.Env[v.name] = v.spec()
	}
	if l.flag != "" {
		j.Wrap = []string{l.flag, l.text, "nbremote"}
	}
	if s := w.Server; s != nil {
		j.Server = &jobServer{PID: s.PID, Network: s.Network, Addr: s.Addr, Base: s.BaseURL, Token: s.Token}
	}
	return j
}

// script is the whole of it. The token is in a variable of the shell alone.
func (j *job) script(w *Wish, l *launch) (string, error) {
	written, err := json.Marshal(j)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("k_environ() {\n:\n")
	for _, v := range l.env {
		b.WriteString("export " + v.name + "=" + v.shell() + "\n")
	}
	b.WriteString("}\nk_run() {\nk_exec")
	for _, word := range l.python {
		b.WriteString(" " + quote(word))
	}
	b.WriteString(` -c "$K_PROVE"` + "\n}\n")
	seconds, any := w.Timeout+30*time.Second, ""
	if w.With || w.Setup != "" {
		any = "1" // its Python may only be there once it runs
	}
	if w.With {
		seconds += installTime
	}
	return script(b.String()+addText,
		"K_NONCE", j.Nonce, "K_JOB", string(written), "K_PYTHON", w.Env.Python, "K_ANY", any,
		"K_FLAG", l.flag, "K_TEXT", l.text, "K_SECONDS", strconv.Itoa(int(seconds.Seconds())),
		"K_PROVE", foldersText+askText+aloneText+serverText+proveText), nil
}

// answer is what prove.py says.
type answer struct {
	State   string   `json:"state"`
	Dir     string   `json:"dir"`
	Why     string   `json:"why"`
	Full    bool     `json:"full"`
	Text    string   `json:"text"`
	Words   []string `json:"words"`
	Display string   `json:"display"`
	Notes   []string `json:"notes"`
	Old     Brief    `json:"old"`
	New     Brief    `json:"new"`
	Facts   struct {
		Prefix    string  `json:"prefix"`
		Python    string  `json:"python"`
		IPykernel string  `json:"ipykernel"`
		Platform  string  `json:"platform"`
		Torch     string  `json:"torch"`
		CUDA      string  `json:"cuda"`
		GPUs      int     `json:"gpus"`
		Took      float64 `json:"took"`
	} `json:"facts"`
}

func (j *job) added(out []byte, w *Wish, l *launch) (*Added, error) {
	a, err := j.read(out, w)
	if err != nil {
		return nil, err
	}
	if a.State != "added" && a.State != "unchanged" {
		return nil, j.failure(a, w)
	}
	f := a.Facts
	return &Added{
		Name: w.Name, DisplayName: cmp.Or(a.Display, w.DisplayName), Dir: a.Dir, Unchanged: a.State == "unchanged",
		Prefix: f.Prefix, Python: f.Python, IPykernel: f.IPykernel, Platform: f.Platform,
		Torch: f.Torch, CUDA: f.CUDA, GPUs: f.GPUs, Took: time.Duration(f.Took * float64(time.Second)),
		Notes: append(l.notes, a.Notes...),
	}, nil
}

// read finds the answer behind whatever else was printed.
func (j *job) read(out []byte, w *Wish) (a answer, err error) {
	fields, err := remote.ParseFields(out)
	if err != nil {
		return a, fmt.Errorf("read what the host answers: %w", err)
	}
	printed := ""
	for _, f := range fields {
		switch f.Name {
		case "gone":
			return a, &MissingError{What: fmt.Sprintf("add %s: its Python %s is gone", w.Env.Name, f.Value), Try: "nbremote kernel list"}
		case "answer":
			printed = string(f.Value)
		}
	}
	lines := strings.Split(printed, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if said, ok := strings.CutPrefix(lines[i], j.Nonce+"{"); ok {
			if err := json.Unmarshal([]byte("{"+said), &a); err != nil {
				return a, fmt.Errorf("read what the proof says: %v", err)
			}
			return a, nil
		}
	}
	return answer{State: "unproven", Text: "its Python does not run", Words: j.words(lines)}, nil
}

const wordsLimit = 20

// words are the last lines that were printed instead of an answer.
func (j *job) words(lines []string) (words []string) {
	for _, line := range lines {
		line = strings.ToValidUTF8(strings.TrimRight(line, " \t\r"), "?")
		if line != "" && !strings.HasPrefix(line, j.Nonce) {
			words = append(words, line[:min(len(line), 400)])
		}
	}
	return words[max(0, len(words)-wordsLimit):]
}

func (j *job) failure(a answer, w *Wish) error {
	switch a.State {
	case "nokernel":
		return &NoKernelError{Env: w.Env.Name}
	case "taken", "shadowed":
		return &TakenError{Name: w.Name, Old: a.Old, New: a.New, Shadowed: a.State == "shadowed"}
	case "unseen":
		return &UnseenError{Name: w.Name, Dir: a.Dir}
	case "unwritable":
		return &MissingError{
			What: fmt.Sprintf("add kernel %s: %s cannot be written; nothing was added", w.Name, a.Dir), Why: a.Why,
			Try: "df -h ~; ls -ld " + shown(a.Dir),
		}
	}
	e := &ProofError{Name: w.Name, Text: cmp.Or(a.Text, "it does not work"), Words: a.Words}
	if !w.With {
		e.Try = shown(w.Env.Python) + " -m ipykernel_launcher --version"
	}
	return e
}
