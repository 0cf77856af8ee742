package session

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbremote/internal/remote"
)

//go:embed clean.sh
var cleanText string

//go:embed clean.py
var cleanRelays string

// Kept is what nbremote has on a machine, or what of it was removed.
type Kept struct {
	Sessions []KeptSession
	Left     []Leftover // what nobody needs any more, by kind
	Relays   int        // that live; each may be another laptop's
	Others   []Other    // machines that share the home
	Strange  []string   // paths where something else lies than nbremote makes: they are not touched

	kind string // of the leftover that was read last
}

// KeptSession is a session and the room that it takes. Of one that was removed
// only Enc and Bytes are known.
type KeptSession struct {
	Info
	Bytes int64
}

// Leftover is things of one kind: half, record, place, spool, relay.
type Leftover struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	Bytes int64  `json:"bytes"`
}

// Other is what sessions of another machine take in the same home.
type Other struct {
	Machine string `json:"machine"`
	Bytes   int64  `json:"bytes"`
	Perhaps bool   `json:"may_run"` // one has not ended, as far as is known
}

func cleanScript(do, body string) string {
	return remote.Prelude + remote.Places + Lib + remote.Compact(cleanText) +
		"C_DO=" + do + "\nC_RELAYS=" + remote.Quote(cleanRelays) + "\n" + body + "\n"
}

// Look tells what nbremote has on a machine. Nothing is changed.
func Look(ctx context.Context, r remote.Runner) (*Kept, error) {
	k := &Kept{}
	err := cleanRun(ctx, r, cleanScript("", "c_look"), "look what is there", k)
	return k, err
}

// Clean removes sessions, by Enc, that have ended, and what is left of all that
// is over, and tells what is gone. A session that runs, or is just being
// started, stays; so does a relay that lives.
func Clean(ctx context.Context, r remote.Runner, enc []string) (*Kept, error) {
	for _, e := range enc {
		if strings.Trim(e, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(e+"-", "-") {
			return nil, fmt.Errorf("remove session %q: no name of a directory of ours", e)
		}
	}
	k := &Kept{}
	err := cleanRun(ctx, r, cleanScript("1", "c_remove "+strings.Join(enc, " ")), "remove what is over", k)
	return k, err
}

func cleanRun(ctx context.Context, r remote.Runner, script, doing string, k *Kept) error {
	out, err := r.Run(ctx, script)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var of string // what the fields belong to that follow
	for _, f := range fields {
		switch f.Name {
		case "session", "gone", "left", "other":
			of = f.Name
		}
		k.take(of, f)
	}
	k.Sessions = slices.DeleteFunc(k.Sessions, func(s KeptSession) bool { return s.Name != "" && Encode(s.Name) != s.Enc })
	return nil
}

// take takes one field of what of says.
func (k *Kept) take(of string, f remote.Field) {
	text := string(f.Value)
	switch f.Name {
	case "session":
		k.Sessions = append(k.Sessions, KeptSession{Info: Info{Name: text, Exit: -1}})
		return
	case "gone":
		k.Sessions = append(k.Sessions, KeptSession{Info: Info{Enc: text, Exit: -1}})
		return
	case "left":
		k.leftover(text).Count++
		k.kind = text
		return
	case "other":
		k.Others = append(k.Others, Other{Machine: text})
		return
	case "relay":
		k.Relays++
		return
	case "strange":
		k.Strange = append(k.Strange, text)
		return
	}
	kb, _ := strconv.ParseInt(text, 10, 64)
	bytes := max(kb, 0) << 10
	switch of {
	case "session", "gone":
		last := &k.Sessions[len(k.Sessions)-1]
		if last.set(f.Name, f.Value); f.Name == "kb" {
			last.Bytes = bytes
		}
	case "left":
		k.leftover(k.kind).Bytes += bytes
	case "other":
		last := &k.Others[len(k.Others)-1]
		if last.Perhaps = last.Perhaps || f.Name == "perhaps"; f.Name == "kb" {
			last.Bytes = bytes
		}
	}
}

func (k *Kept) leftover(kind string) *Leftover {
	for i := range k.Left {
		if k.Left[i].Kind == kind {
			return &k.Left[i]
		}
	}
	k.Left = append(k.Left, Leftover{Kind: kind})
	return &k.Left[len(k.Left)-1]
}
