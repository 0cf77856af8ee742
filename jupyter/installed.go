package jupyter

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"

	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed installed.sh
var installedText string

// Installed is the JupyterLab that InstallJupyter put into a home.
type Installed struct {
	Bytes     int64    // 0: there is none
	Whole     bool     // else its installation broke off
	Used      bool     // something runs from it, or it is just being installed
	Elsewhere []string // machines of the same home where something may run from it
	Strange   string   // a path where something else lies than we make: it is not touched
	Removed   bool
}

// FindInstalled looks for it. Nothing is changed.
func FindInstalled(ctx context.Context, r remote.Runner) (*Installed, error) {
	return installed(ctx, r, "")
}

// RemoveInstalled removes it, unless something on this machine runs from it.
func RemoveInstalled(ctx context.Context, r remote.Runner) (*Installed, error) {
	return installed(ctx, r, "1")
}

func installed(ctx context.Context, r remote.Runner, remove string) (*Installed, error) {
	out, err := r.Run(ctx, remote.Prelude+remote.Places+session.Lib+"J_REMOVE="+remove+"\n"+remote.Compact(installedText))
	if err != nil {
		return nil, fmt.Errorf("look for nbremote's JupyterLab: %w", err)
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("look for nbremote's JupyterLab: %w", err)
	}
	i := &Installed{}
	for _, f := range fields {
		text := string(f.Value)
		switch f.Name {
		case "kb":
			kb, _ := strconv.ParseInt(text, 10, 64)
			i.Bytes = max(kb, 1) << 10
		case "whole":
			i.Whole = true
		case "used":
			i.Used = true
		case "elsewhere":
			i.Elsewhere = append(i.Elsewhere, text)
		case "strange":
			i.Strange = text
		case "removed":
			i.Removed = true
		}
	}
	return i, nil
}

// OwnerOf is the login name on the computer that started a session, by what
// its spec says; "" = not known.
func OwnerOf(kept []byte) string {
	var s spec
	if json.Unmarshal(kept, &s) != nil {
		return ""
	}
	return s.Owner
}
