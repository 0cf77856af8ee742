//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

func byName(t *testing.T, specs []Spec, name string) Spec {
	t.Helper()
	at := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == name })
	if at < 0 {
		t.Fatalf("no %s in %+v", name, specs)
	}
	return specs[at]
}

func listed(t *testing.T, r remote.Runner, dirs ...string) []Spec {
	t.Helper()
	specs, err := Kernelspecs(t.Context(), r, dirs...)
	if err == nil {
		err = Check(t.Context(), r, specs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func TestKernelspecs_WhatBecameOfThem(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	a := mustAdd(t, r, Wish{Env: env})
	none := bare(t, home+"/none")
	own := kernelsOf(home)
	kernel := func(name, argv0 string) {
		lab.Write(t, own+"/"+name+"/kernel.json", fmt.Sprintf(`{"argv":[%q,"-m","ipykernel_launcher","-f","{connection_file}"],"display_name":%q,"language":"python"}`, argv0, name), 0o644)
	}
	kernel("gone", home+"/gone/bin/python")
	kernel("none", none.Python)
	kernel("bare", "python3")
	command(t, []string{"HOME=" + home, "PATH=/usr/bin:/bin"}, base+"/bin/python", "-m", "bash_kernel.install", "--user")
	lab.Write(t, own+"/r/kernel.json", `{"argv":["sh","--slave"],"display_name":"R","language":"R"}`, 0o644)
	lab.Write(t, own+"/nor/kernel.json", `{"argv":["no-such-R","--slave"],"display_name":"R","language":"R"}`, 0o644)
	lab.Write(t, own+"/rubbish/kernel.json", `{"argv":`, 0o644)
	lab.Write(t, own+"/wrong/kernel.json", `{"argv":[1,2],"display_name":7,"env":[],"metadata":{"nbremote":"x"}}`, 0o644)
	lab.Write(t, own+"/long/kernel.json", `{"argv":["sh"],"x":"`+strings.Repeat("x", 70000)+`"}`, 0o644)
	lab.Write(t, own+"/"+trialPrefix+"x/kernel.json", "{}", 0o644)
	lab.Write(t, home+"/lab/kernels/ds/kernel.json", `{"argv":["sh"]}`, 0o644)
	lab.Write(t, home+"/lab/kernels/Extra/kernel.json", `{"argv":["sh"]}`, 0o644)
	specs := listed(t, r, home+"/lab/kernels", home+"/nowhere", "relative")
	os.RemoveAll(own + "/" + trialPrefix + "x")

	for name, broken := range map[string]string{
		"ds": "", "gone": "its Python " + home + "/gone/bin/python is gone", "none": "ipykernel is not installed there any more", "bare": "", "r": "", "bash": "",
		"nor": "no-such-R is gone", "rubbish": "its kernel.json is no JSON object", "wrong": "its kernel.json says nothing to start",
		"long": "its kernel.json is empty or longer than 64 KiB", "extra": "",
	} {
		if s := byName(t, specs, name); s.Broken != broken || s.Shadowed {
			t.Errorf("%s: %q, want %q", name, s.Broken, broken)
		}
	}
	if len(specs) < 12 {
		t.Errorf("%d of them", len(specs))
	}
	ds := byName(t, specs, "ds")
	if !ds.Ours || ds.Dir != a.Dir || ds.Python != a.Python || ds.IPykernel != a.IPykernel || ds.Interpreter != env.Python || ds.Prefix != env.Prefix ||
		time.Since(ds.Added) > time.Hour || ds.Language != "python" || ds.Kind != "venv" {
		t.Errorf("%+v", ds)
	}
	if bash := byName(t, specs, "bash"); bash.Language != "bash" || bash.Ours || bash.Interpreter != "" {
		t.Errorf("%+v", bash)
	}
	if i := slices.IndexFunc(specs, func(s Spec) bool { return s.Dir == home+"/lab/kernels/ds" }); i < 0 || !specs[i].Shadowed {
		t.Error("the second ds is not shadowed")
	}
}

// Between the list and the look the interpreter goes; what is added then says so.
func TestCheck_InterpreterVanished(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	mustAdd(t, r, Wish{Env: env})
	specs, err := Kernelspecs(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(env.Prefix)
	if err := Check(t.Context(), r, specs); err != nil || byName(t, specs, "ds").Broken != "its Python "+env.Python+" is gone" {
		t.Errorf("%v %+v", err, specs)
	}
	_, err = Add(t.Context(), r, Wish{Env: env})
	var gone *MissingError
	if !errors.As(err, &gone) || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("%v", err)
	}
}

func TestKernelspecs_Many(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	for i := range 600 {
		lab.Write(t, fmt.Sprintf("%s/k%03d/kernel.json", kernelsOf(home), i), `{"argv":["sh"],"x":"`+strings.Repeat("x", 60*(i%2)*1000)+`"}`, 0o644)
	}
	specs, err := Kernelspecs(t.Context(), r)
	if err != nil || len(specs) == 0 || len(specs) > 500 {
		t.Errorf("%d %v", len(specs), err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	own := kernelsOf(home)
	lab.Write(t, home+"/precious/kernel.json", `{"argv":["sh"]}`, 0o644)
	lab.Write(t, own+"/mine/kernel.json", `{"argv":["sh"]}`, 0o644)
	lab.Write(t, own+"/mine/logo.svg", "x", 0o644)
	lab.Write(t, own+"/other/kernel.json", `{"argv":["sh"]}`, 0o644)
	lab.Write(t, own+"/nokernel/precious", "x", 0o644)
	if err := os.Symlink(home+"/precious", own+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), r, byName(t, listed(t, r), "mine")); err != nil {
		t.Error(err)
	}
	for name, class := range map[string]string{"mine": "not-found", "link": "usage", "nokernel": "usage"} {
		err := Remove(t.Context(), r, Spec{Name: name, Dir: own + "/" + name})
		if c, ok := err.(interface{ Class() string }); !ok || c.Class() != class {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []Spec{
		{Name: "kernels", Dir: own}, {Name: "..", Dir: own + "/.."}, {Name: "precious", Dir: home + "/precious"}, {Name: "mine", Dir: own + "/other"},
		{Name: "other", Dir: "kernels/other"}, {Name: "other", Dir: own + "/x/../other"}, {Name: "", Dir: ""},
	} {
		if _, ok := Remove(t.Context(), r, s).(*UsageError); !ok {
			t.Errorf("removed: %+v", s)
		}
	}
	if left := files(own); !slices.Equal(left, []string{"link", "nokernel", "nokernel/precious", "other", "other/kernel.json"}) {
		t.Errorf("%v", left)
	}
	lab.Read(t, home+"/precious/kernel.json")
}

func TestRemove_NotOurs(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	if os.Getuid() != 0 {
		lab.Missing(t, "root, to give a file away")
	}
	dir := kernelsOf(home) + "/theirs"
	lab.Write(t, dir+"/kernel.json", `{"argv":["sh"]}`, 0o644)
	if err := syscall.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	err := Remove(t.Context(), r, Spec{Name: "theirs", Dir: dir})
	if c, ok := err.(interface{ Class() string }); !ok || c.Class() != "refused" || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("%v", err)
	}
	lab.Read(t, dir+"/kernel.json")
}

func TestParseKernelspecs(t *testing.T) {
	specs, err := ParseKernelspecs([]byte(`{"default":"python3","kernelspecs":{
		"python3":{"name":"python3","spec":{"argv":["python","-m","ipykernel_launcher"],"display_name":"Python 3","language":"python","env":{}},"resources":{}},
		"with":{"spec":{"argv":["/b/uv","run","--project","/p","--with","ipykernel","python","-m","ipykernel_launcher"],"display_name":"W"}},
		"conda":{"spec":{"argv":["/bin/bash","-c","x","nbremote","/c/bin/python","-m","ipykernel_launcher"],"metadata":{"nbremote":{"prefix":"/c","kind":"conda","added":"2026-01-02T03:04:05Z"}}}},
		"odd":7,"empty":{"spec":{}},"` + trialPrefix + `x":{"spec":{"argv":["x"]}}}}`))
	if err != nil || len(specs) != 4 {
		t.Fatalf("%v %+v", err, specs)
	}
	if s := byName(t, specs, "python3"); s.Interpreter != "python" || s.Prefix != "" || s.Broken != "" {
		t.Errorf("%+v", s)
	}
	if s := byName(t, specs, "with"); s.Interpreter != "" || s.Prefix != "" {
		t.Errorf("%+v", s)
	}
	if s := byName(t, specs, "conda"); s.Interpreter != "/c/bin/python" || s.Prefix != "/c" || !s.Ours || s.Added.Year() != 2026 {
		t.Errorf("%+v", s)
	}
	if s := byName(t, specs, "empty"); s.Broken == "" {
		t.Errorf("%+v", s)
	}
	for _, body := range []string{"", "[]", "{", `{"kernelspecs":[]}`, strings.Repeat(" ", bodyLimit+1)} {
		if specs, err := ParseKernelspecs([]byte(body)); err == nil {
			t.Errorf("%.20q gives %+v", body, specs)
		}
	}
}

func FuzzParseKernelspecs(f *testing.F) {
	f.Add([]byte(`{"kernelspecs":{"a":{"spec":{"argv":["/x/bin/python","-m","ipykernel"],"env":{"A":"b"},"metadata":{"nbremote":{}}}}}}`))
	f.Add([]byte(`{"kernelspecs":{"":null,"a":{"spec":{"argv":["","nbremote","nbremote"]}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		specs, err := ParseKernelspecs(body)
		if err != nil && specs != nil || len(specs) > specsLimit {
			t.Errorf("%d and %v", len(specs), err)
		}
		for _, s := range specs {
			if s.Name == "" || (len(s.Argv) == 0) != (s.Broken != "") {
				t.Errorf("%+v", s)
			}
		}
	})
}

func FuzzKernelsFields(f *testing.F) {
	f.Add([]byte("dir 3\n/a/\nspec 2\n{}\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if _, err := readSpecs(out); err != nil && len(out) == 0 {
			t.Error(err)
		}
	})
}
