//go:build unix

package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// many makes n environments of all kinds.
func many(t testing.TB, home string, n int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("e%03d", i)
		switch i % 4 {
		case 0:
			fakeVenv(t, filepath.Join(home, name), "home = /usr/bin\nversion = 3.11.2\n", "ipykernel-7.4.0.dist-info", "pip")
		case 1:
			fakeConda(t, filepath.Join(home, "miniconda3/envs", name), "3.12.4")
		case 2:
			fakeVenv(t, filepath.Join(home, name, ".venv"), "home = /usr/bin\nuv = 0.9\nversion_info = 3.11.2\n")
			file(t, filepath.Join(home, name, "pyproject.toml"), "[project]\n", 0o644)
		case 3:
			fakeVenv(t, filepath.Join(home, ".cache/pypoetry/virtualenvs", name+"-abcdEFGH-py3.11"), "version = 3.11.2\n")
		}
	}
	fakeConda(t, filepath.Join(home, "miniconda3"), "3.12.4")
}

func TestEnvironments200(t *testing.T) {
	r, home := emptyHost(t)
	many(t, home, 200)
	best := time.Hour
	for range 3 {
		began := time.Now()
		f := environments(t, r, "e001", "")
		best = min(best, time.Since(began))
		if n := len(f.Environments); n < 201 || f.Cut || len(f.Asked) != 1 {
			t.Fatalf("%d environments, asked %v", n, f.Asked)
		}
	}
	if best > time.Second {
		t.Errorf("it took %v", best)
	}
}

func BenchmarkEnvironments200(b *testing.B) {
	r, home := emptyHost(b)
	many(b, home, 200)
	for b.Loop() {
		environments(b, r, "", "")
	}
}

func TestEnvironmentsLimits(t *testing.T) {
	r, home := emptyHost(t)
	for i := range 450 {
		file(t, filepath.Join(home, "venvs", fmt.Sprintf("v%03d", i), "pyvenv.cfg"), "", 0o644)
	}
	f := environments(t, r, "v449", "")
	if len(f.Environments) > 402 || !f.Cut || len(f.Asked) != 1 || f.Asked[0].Name != "v449" {
		t.Errorf("%d, %v", len(f.Environments), f.Asked)
	}
	r, home = emptyHost(t)
	for i := range 1100 {
		os.MkdirAll(filepath.Join(home, fmt.Sprintf("d%04d", i)), 0o755)
	}
	if f := environments(t, r, "", ""); !f.Cut {
		t.Error("1100 directories were looked at")
	}
	r, home = emptyHost(t)
	deep := filepath.Join(home, strings.Repeat(strings.Repeat("x", 250)+"/", 14))
	for i := range 300 {
		file(t, filepath.Join(deep, fmt.Sprint(i), "pyvenv.cfg"), "", 0o644)
	}
	r.Env = append(r.Env, "WORKON_HOME="+deep)
	out, err := r.Run(t.Context(), environmentsScript("0", ""))
	if err != nil || len(out) > 900<<10 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if f, err := parseEnvironments(out, "0"); err != nil || !f.Cut || len(f.Environments) < 50 {
		t.Errorf("%v", err)
	}
}
