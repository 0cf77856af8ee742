//go:build linux

package kernel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

func TestAdd_NoIPykernel(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := bare(t, home+"/ds")
	before := files(home)
	_, err := Add(t.Context(), r, Wish{Env: env})
	var none *NoKernelError
	if !errors.As(err, &none) || none.Cause() != "No module named ipykernel" || none.Hint() != "nbremote kernel add ds --install" || none.Class() != "missing" {
		t.Errorf("%v", err)
	}
	unchanged(t, home, before)
}

// broken is an environment whose kernel does this instead of starting.
func broken(t *testing.T, path, python string) Environment {
	t.Helper()
	env := venv(t, path, base)
	lab.Write(t, site(t, path)+"/ipykernel_launcher.py", python, 0o644)
	return env
}

func TestAdd_KernelDies(t *testing.T) {
	t.Parallel()
	for _, through := range []string{"by itself", "through a server"} {
		t.Run(through, func(t *testing.T) {
			r, home := newHost(t)
			env := broken(t, home+"/ds", "print('a word of its own')\nimport gone_for_good\n")
			w := Wish{Env: env}
			if through != "by itself" {
				w.Server = jupyter(t, home, false)
			}
			before, began := files(home), time.Now()
			_, err := Add(t.Context(), r, w)
			var proof *ProofError
			if !errors.As(err, &proof) || proof.Cause() != "ModuleNotFoundError: No module named 'gone_for_good'" || proof.Class() != "missing" ||
				proof.Name != "ds" || proof.Hint() != env.Python+" -m ipykernel_launcher --version" || !strings.Contains(proof.Log(), "a word of its own") || len(proof.Words) > wordsLimit {
				t.Errorf("%v %+v", err, proof)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v to see that", took)
			}
			unchanged(t, home, before)
			if w.Server != nil {
				idle(t, w.Server)
			}
		})
	}
}

func TestAdd_KernelHangs(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := broken(t, home+"/ds", "import sys, time\nprint('x' * 3000, flush=True)\ntime.sleep(600)\n")
	before := files(home)
	_, err := Add(t.Context(), r, Wish{Env: env, Timeout: 2 * time.Second})
	var proof *ProofError
	if !errors.As(err, &proof) || !strings.Contains(proof.Text, "no answer in time") || len(proof.Words) != 1 || len(proof.Words[0]) > 400 {
		t.Errorf("%v", err)
	}
	unchanged(t, home, before)
}

// Whoever gives up while it is proved leaves nothing: newHost looks for
// processes, for trials and for temporary files.
func TestAdd_GivenUp(t *testing.T) {
	t.Parallel()
	for _, through := range []string{"by itself", "through a server"} {
		t.Run(through, func(t *testing.T) {
			r, home := newHost(t)
			env := broken(t, home+"/ds", "import time\nopen('"+home+"/hangs', 'w')\ntime.sleep(600)\n")
			w := Wish{Env: env}
			if through != "by itself" {
				w.Server = jupyter(t, home, false)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { _, err := Add(ctx, r, w); done <- err }()
			lab.Wait(t, 10*time.Second, "the kernel runs", func() bool { _, err := os.Stat(home + "/hangs"); return err == nil })
			if trials, _ := filepath.Glob(kernelsOf(home) + "/" + trialPrefix + "*"); len(trials) != 1 {
				t.Errorf("trials: %v", trials)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			lab.Wait(t, 10*time.Second, "nothing is left in the kernels' folder", func() bool { return len(files(kernelsOf(home))) == 0 })
			if w.Server != nil {
				lab.Wait(t, 10*time.Second, "the server has no kernel", func() bool { return len(ParseRunning(get(t, w.Server, "api/kernels"), nil)) == 0 })
			}
		})
	}
}

func TestAdd_AnotherEnvironment(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env, other := venv(t, home+"/ds", base), venv(t, home+"/other", base)
	env.Python = other.Python
	before := files(home)
	_, err := Add(t.Context(), r, Wish{Env: env})
	var proof *ProofError
	if !errors.As(err, &proof) || !strings.Contains(proof.Text, "it runs "+other.Prefix+", not "+env.Prefix) {
		t.Errorf("%v", err)
	}
	unchanged(t, home, before)
}

func TestAdd_PythonIsGone(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := bare(t, home+"/ds")
	os.Remove(env.Python)
	_, err := Add(t.Context(), r, Wish{Env: env})
	var gone *MissingError
	if !errors.As(err, &gone) || !strings.Contains(gone.Error(), "its Python "+env.Python+" is gone") {
		t.Errorf("%v", err)
	}
}

func TestAdd_HomeIsFull(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	top := home + "/.local/share/jupyter"
	small(t, top)
	fill(t, top)
	_, err := Add(t.Context(), r, Wish{Env: env})
	var full *MissingError
	if !errors.As(err, &full) || full.Cause() != "No space left on device" || full.Class() != "missing" || !strings.Contains(full.Error(), kernelsOf(home)) {
		t.Errorf("%v", err)
	}
	if left := files(top); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestAdd_NoFolderCanBe(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	lab.Write(t, home+"/.local/share/jupyter", "a file", 0o644)
	_, err := Add(t.Context(), r, Wish{Env: env})
	var not *MissingError
	if !errors.As(err, &not) || not.Cause() == "" {
		t.Errorf("%v", err)
	}
}
