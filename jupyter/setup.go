package jupyter

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"nbremote/internal/remote"
)

//go:embed setup.sh
var setupText string

const setupNeeds = 600 << 20 // bytes; half of it is used while unpacking

// CanInstall tells how JupyterLab would be installed, "uv" or "venv". Where it
// cannot be, the error is a *MissingError.
func (h *Host) CanInstall() (how string, err error) {
	switch {
	case h.Disk.Total > 0 && h.Disk.Available < setupNeeds:
		return "", &MissingError{
			What: fmt.Sprintf("install JupyterLab: only %d MB are free in the home", h.Disk.Available>>20), Try: "df -h ~",
		}
	case h.UV != "":
		return "uv", nil
	case h.Python == "":
		return "", &MissingError{What: "install JupyterLab: neither uv nor python3 is there", Try: "sudo apt install python3-venv, or install uv there"}
	case !h.ensurePip && strings.HasPrefix(h.Python, "/usr/bin/"):
		return "", &MissingError{What: "install JupyterLab: python3 there cannot make environments", Try: "sudo apt install python3-venv"}
	}
	return "venv", nil
}

// InstallError is an installation that did not work.
type InstallError struct {
	Lines  []string // the last that it printed
	Broken bool     // the line went, not the installation
	err    error
}

func (e *InstallError) Error() string { return "install JupyterLab: " + e.err.Error() }
func (e *InstallError) Unwrap() error { return e.err }

// Class is missing, or line.
func (e *InstallError) Class() string {
	if e.Broken {
		return "line"
	}
	return "missing"
}

// Cause is the line that says why.
func (e *InstallError) Cause() string {
	for i := len(e.Lines) - 1; i >= 0; i-- {
		if lower := strings.ToLower(e.Lines[i]); strings.Contains(lower, "error") {
			return e.Lines[i]
		}
	}
	if len(e.Lines) > 0 {
		return e.Lines[len(e.Lines)-1]
	}
	return "it printed nothing"
}

// Hint is what to paste.
func (e *InstallError) Hint() string {
	if e.Broken {
		return "the same command again: it begins anew"
	}
	return "--env PATH uses a Jupyter that is there"
}

// InstallJupyter installs JupyterLab and ipykernel into
// ~/.local/share/nbremote/jupyter; progress gets each line as it comes. Two at
// once make one. What broke off is made anew by the next.
func InstallJupyter(ctx context.Context, r interface {
	remote.Runner
	remote.Streamer
}, h *Host, progress func(line string)) (Install, error) {
	if _, err := h.CanInstall(); err != nil {
		return Install{}, err
	}
	out, err := r.Stream(ctx, script(setupText, "J_UV", h.UV, "J_PYTHON", h.Python))
	if err != nil {
		return Install{}, fmt.Errorf("install JupyterLab: %w", err)
	}
	lines, err := remote.Follow(out, lastLines, progress)
	out.Close()
	if err != nil {
		if ctx.Err() != nil {
			return Install{}, context.Cause(ctx)
		}
		return Install{}, &InstallError{Lines: lines, Broken: errors.Is(err, io.ErrUnexpectedEOF), err: err}
	}
	after, err := Probe(ctx, r, Look{})
	if err != nil {
		return Install{}, err
	}
	for _, i := range after.Installs {
		if i.Kind == "ours" {
			return i, nil
		}
	}
	return Install{}, &InstallError{Lines: lines, err: errors.New("it is not found afterwards")}
}
