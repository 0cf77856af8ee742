package kernel

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
)

//go:embed environments.sh
var environmentsText string

//go:embed asked.sh
var askedText string

// Found is what a host has.
type Found struct {
	Home string
	UID  int
	Dir  string // the directory, absolute; "" = it is not there

	// Each prefix once: those of the project in Dir first, then by name, the
	// system's Python last. A name may be there twice; see Label.
	Environments []Environment
	Tools        map[string]string // paths of uv, poetry, pixi, hatch, pyenv, conda, mamba, micromamba: those there
	Cut          bool              // there are more than were looked at

	Asked    []Environment // what was asked for; several: it can mean each of them
	NotThere string        // why Asked is empty though something was asked
	Try      string        // what to type on the host then, or ""
}

// Label is the name of an environment, with its prefix where another one has
// that name too.
func (f *Found) Label(e Environment) string {
	for _, other := range f.Environments {
		if other.Name == e.Name && other.Prefix != e.Prefix {
			return e.Name + " (" + f.Short(e.Prefix) + ")"
		}
	}
	return e.Name
}

// Short writes the home as ~.
func (f *Found) Short(path string) string {
	if path == f.Home {
		return "~"
	}
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(f.Home, "/")+"/"); ok {
		return "~/" + rest
	}
	return path
}

// Environments looks for the Python environments of a host: one script, which
// starts no Python and reads no rc file. Asked is a name, with its kind before
// it or not ("ds", "conda ds"), or a path to an environment, an interpreter or
// a project; "" asks for none. Paths are relative to dir, then to the home;
// dir is relative to the home, and "" is the home. Only for a project that was
// asked for, poetry or hatch is run, for at most ten seconds. That nothing is
// found is no error.
func Environments(ctx context.Context, r remote.Runner, asked, dir string) (*Found, error) {
	out, err := r.Run(ctx, environmentsScript(asked, dir))
	if err != nil {
		return nil, err
	}
	return parseEnvironments(out, asked)
}

func environmentsScript(asked, dir string) string {
	var b strings.Builder
	b.WriteString(remote.Prelude + remote.Compact(environ.Lib))
	fmt.Fprintf(&b, "K_WANT=%s\nK_DIR=%s\n", remote.Quote(asked), remote.Quote(dir))
	b.WriteString(remote.Compact(environmentsText))
	if asked != "" {
		b.WriteString(remote.Compact(askedText))
	}
	b.WriteString("[ -z \"$K_CUT$ENV_CUT\" ] || put cut 1\nput done 1\n")
	return b.String()
}
