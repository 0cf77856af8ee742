package jupyter

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// tree lists all that is under a directory, with times and sizes.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, strings.Join([]string{path, info.ModTime().String(), info.Mode().String()}, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Looking changes nothing, in whichever shell /bin/sh is.
func TestExamine(t *testing.T) {
	r, home := newHost(t, "SHELL=/bin/bash")
	lab.Write(t, home+"/.bashrc", "echo hello from the shell\nsleep 0.2\n", 0o644)
	before := tree(t, home)
	began := time.Now()
	e, err := Examine(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if e.Home != home || e.Now.Sub(began).Abs() > time.Minute || e.Place == "" || e.Said != "hello from the shell\n" || e.ShellSilent || e.ShellTook < 200*time.Millisecond || e.ShellTook < e.BareTook {
		t.Errorf("%+v", e)
	}
	if python, err := exec.LookPath("python3"); err == nil && (!e.Relay || e.PythonVersion == "" || e.PythonSaid != "" || e.Write != "ok" && e.Write != "") {
		t.Errorf("with %s: %+v", python, e)
	}
	if after := tree(t, home); !slices.Equal(before, after) {
		t.Errorf("it was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	for _, place := range []string{"/dev/shm", "/tmp"} {
		if left, _ := filepath.Glob(place + "/nbr-look.*"); len(left) != 0 {
			t.Errorf("left there: %q", left)
		}
	}
	t.Logf("%v: %+v", time.Since(began), e)
}

func TestExamine_SilentShell(t *testing.T) {
	r, home := newHost(t, "SHELL=/bin/bash")
	lab.Write(t, home+"/.bashrc", "sleep 30\n", 0o644)
	began := time.Now()
	e, err := Examine(t.Context(), r)
	if err != nil || !e.ShellSilent || e.ShellTook < 6*time.Second || time.Since(began) > 40*time.Second {
		t.Errorf("%v after %v: %+v", err, time.Since(began), e)
	}
}

// A shell that is only slow is waited for, and how long it took is known.
func TestExamine_SlowShell(t *testing.T) {
	r, home := newHost(t, "SHELL=/bin/bash")
	lab.Write(t, home+"/.bashrc", "sleep 3\n", 0o644)
	e, err := Examine(t.Context(), r)
	if err != nil || e.ShellSilent || e.ShellTook < 3*time.Second || e.BareTook > e.ShellTook-2*time.Second {
		t.Errorf("%v: %v, a bare one %v: %+v", err, e.ShellTook, e.BareTook, e)
	}
}

func TestExamine_Python(t *testing.T) {
	for name, c := range map[string]struct {
		script, version, said string
	}{
		"broken": {"#!/bin/sh\necho broken here; exit 1\n", "", "broken here\n"},
		"old":    {"#!/bin/sh\necho version 3.6.9\n", "3.6.9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			lab.Write(t, bin+"/python3", c.script, 0o755)
			r, _ := newHost(t, "PATH="+bin+":/usr/bin:/bin")
			e, err := Examine(t.Context(), r)
			if err != nil || e.Relay || e.PythonVersion != c.version || e.PythonSaid != c.said {
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
}
