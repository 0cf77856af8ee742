//go:build linux

package jupyter

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nbremote/test/lab"
)

// fakeUV makes environments without downloading anything.
const fakeUV = `#!/bin/sh
echo "$*" >>"$HOME/uv-calls"
case $1 in
venv) mkdir -p "$3/bin"; : >"$3/bin/python"; chmod +x "$3/bin/python" ;;
pip)
	echo "Resolved 97 packages"
	[ ! -e "$HOME/no-network" ] || { echo "error: Failed to fetch: dns error" >&2; exit 2; }
	p=${4%/bin/python}
	sleep 0.2
	: >"$p/bin/jupyter-lab"; chmod +x "$p/bin/jupyter-lab"
	mkdir -p "$p/lib/python3.12/site-packages/jupyterlab-4.6.6.dist-info"
	echo " + jupyterlab==4.6.6" ;;
esac
`

func TestInstallJupyter(t *testing.T) {
	r, home := newHost(t)
	r.Env[1] = "PATH=" + home + "/bin:/usr/bin:/bin"
	lab.Write(t, home+"/bin/uv", fakeUV, 0o755)
	lab.Write(t, home+"/no-network", "", 0o644)
	h := probed(t, r, Look{})
	if how, err := h.CanInstall(); how != "uv" || err != nil {
		t.Fatal(how, err)
	}
	_, err := InstallJupyter(t.Context(), r, h, nil)
	var e *InstallError
	if !errors.As(err, &e) || e.Class() != "missing" || !strings.Contains(e.Cause(), "dns error") {
		t.Fatalf("%v", err)
	}
	if h := probed(t, r, Look{}); len(h.Installs) != 0 {
		t.Errorf("a broken one is taken: %+v", h.Installs)
	}
	leftover := filepath.Join(home, ".local/share/nbremote/jupyter/leftover")
	lab.Write(t, leftover, "", 0o644)
	os.Remove(home + "/no-network")

	var wg sync.WaitGroup
	var mu sync.Mutex
	var lines []string
	for range 3 {
		wg.Go(func() {
			i, err := InstallJupyter(t.Context(), r, h, func(line string) { mu.Lock(); lines = append(lines, line); mu.Unlock() })
			if err != nil || i.String() != "JupyterLab 4.6.6 in ~/.local/share/nbremote/jupyter" || !i.has("lab") {
				t.Errorf("%+v %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, want := range []string{"downloading JupyterLab", "+ jupyterlab==4.6.6", "installed", "installed already"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	if calls := lab.Read(t, home+"/uv-calls"); strings.Count(calls, "pip install") != 2 {
		t.Errorf("installed more than once:\n%s", calls)
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Error("what was left over is still there")
	}
	if _, err := probed(t, r, Look{}).Pick(""); err != nil {
		t.Error(err)
	}
}
