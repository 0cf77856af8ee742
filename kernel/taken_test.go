//go:build linux

package kernel

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"nbremote/test/lab"
)

func TestR17_RegisteredTwice(t *testing.T) {
	t.Parallel()
	for _, through := range []string{"by itself", "through a server"} {
		t.Run(through, func(t *testing.T) {
			r, home := newHost(t)
			env, other := venv(t, home+"/ds", base), venv(t, home+"/other", base)
			var s *Server
			if through != "by itself" {
				s = jupyter(t, home, false)
			}
			first := mustAdd(t, r, Wish{Env: env, Server: s})
			file := first.Dir + "/kernel.json"
			written, stat := lab.Read(t, file), mustStat(t, file)
			newer := env // its Python was renewed: that alone is no other kernel
			newer.Version = "3.12"
			again := mustAdd(t, r, Wish{Env: newer, Server: s})
			if !again.Unchanged || again.Dir != first.Dir || again.Took <= 0 || again.Python != first.Python || again.DisplayName != "ds (Python 3.11)" {
				t.Errorf("%+v", again)
			}

			_, err := Add(t.Context(), r, Wish{Env: other, Name: "ds", Server: s})
			var taken *TakenError
			if !errors.As(err, &taken) || taken.Name != "ds" || taken.Old != (Brief{env.Python, first.Dir, "ds (Python 3.11)"}) ||
				taken.New.Argv0 != other.Python || taken.New.DisplayName != "other (Python 3.11)" || taken.Class() != "usage" ||
				!strings.Contains(taken.Cause(), env.Python) || !strings.Contains(taken.Cause(), other.Python) || !strings.Contains(taken.Hint(), "--force") {
				t.Errorf("%v %+v", err, taken)
			}
			if lab.Read(t, file) != written || !os.SameFile(stat, mustStat(t, file)) || !stat.ModTime().Equal(mustStat(t, file).ModTime()) {
				t.Error("the first one is not as it was")
			}

			_, err = Add(t.Context(), r, Wish{Env: env, DisplayName: "Another", Server: s})
			if !errors.As(err, &taken) || taken.New.DisplayName != "Another" || !strings.Contains(taken.Cause(), "named otherwise") {
				t.Errorf("%v", err)
			}
			if b := mustAdd(t, r, Wish{Env: other, Server: s}); b.Name != "other" || b.Unchanged {
				t.Errorf("under its own name: %+v", b)
			}
			forced := mustAdd(t, r, Wish{Env: other, Name: "ds", Force: true, Server: s})
			if forced.Unchanged || forced.Dir != first.Dir || !strings.Contains(lab.Read(t, file), other.Python) {
				t.Errorf("%+v", forced)
			}
			if left := files(kernelsOf(home)); len(left) != 4 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func mustStat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	i, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// What is replaced by force stays when the new one does not work.
func TestAdd_ForceKeepsWhatWorks(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	a := mustAdd(t, r, Wish{Env: env})
	written := lab.Read(t, a.Dir+"/kernel.json")
	worse := broken(t, home+"/worse", "import gone_for_good")
	if _, err := Add(t.Context(), r, Wish{Env: worse, Name: "ds", Force: true}); err == nil {
		t.Fatal("it was added")
	}
	if lab.Read(t, a.Dir+"/kernel.json") != written || len(files(kernelsOf(home))) != 2 {
		t.Errorf("not as it was: %v", files(kernelsOf(home)))
	}
}

// The server's own python3 comes before the account's, so force cannot help.
func TestAdd_Shadowed(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	s := jupyter(t, home, false, "JUPYTER_PREFER_ENV_PATH=1")
	w := Wish{Env: env, Name: "python3", Server: s}
	_, err := Add(t.Context(), r, w)
	var taken *TakenError
	if !errors.As(err, &taken) || taken.Shadowed || taken.Old.DisplayName != "Python 3 (ipykernel)" {
		t.Errorf("%v %+v", err, taken)
	}
	w.Force = true
	_, err = Add(t.Context(), r, w)
	if !errors.As(err, &taken) || !taken.Shadowed || strings.Contains(taken.Hint(), "force") {
		t.Errorf("%v %+v", err, taken)
	}
	if left := files(kernelsOf(home)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	idle(t, s)
}

func TestAdd_TwoAtOnce(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	ds, other := venv(t, home+"/ds", base), venv(t, home+"/other", base)
	results := make([]*Added, 4)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			env := ds
			if i == 3 {
				env = other
			}
			results[i], errs[i] = Add(t.Context(), r, Wish{Env: env, Name: "ds", DisplayName: "DS"})
		})
	}
	wg.Wait()
	written := lab.Read(t, kernelsOf(home)+"/ds/kernel.json")
	fresh, same, lost := 0, 0, 0
	for i, a := range results {
		var taken *TakenError
		switch {
		case errors.As(errs[i], &taken):
			lost++
		case errs[i] != nil:
			t.Errorf("%d: %v", i, errs[i])
		case a.Unchanged:
			same++
		default:
			fresh++
		}
	}
	won := !strings.Contains(written, other.Python)
	if fresh != 1 || won && (same != 2 || lost != 1) || !won && (same != 0 || lost != 3) || len(files(kernelsOf(home))) != 2 {
		t.Errorf("%d added, %d found it the same, %d found another; %v", fresh, same, lost, files(kernelsOf(home)))
	}
}
