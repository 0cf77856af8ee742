package jupyter

import (
	"errors"
	"strings"
	"testing"
)

func someHost() *Host {
	return &Host{
		Home: "/home/me", Dir: "/home/me/proj",
		Sessions: []Session{
			{Name: "proj", Dir: "/home/me/other/proj", Running: true, Jupyter: true},
			{Name: "proj-2", Dir: "/home/me/third/proj", Running: false, Jupyter: true},
			{Name: "main", Dir: "/home/me", Running: true, Jupyter: true},
			{Name: "sweep", Running: true},
		},
		servers: map[string]*Server{"main": {Session: "main", Dir: "/home/me", BaseURL: "/", Path: "/lab", UI: "lab"}},
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		dir       string
		look      Look
		name, why string
	}{
		{"/home/me", Look{}, "main", ""},
		{"/home/me/new", Look{Path: "new"}, "new", ""},
		{"/home/me/other/proj", Look{Path: "other/proj"}, "proj", ""},
		{"/home/me/proj", Look{Path: "proj"}, "proj-2", "proj is taken by ~/other/proj"},
		{"/home/me/main", Look{Path: "main"}, "main-2", "main is taken by ~"},
		{"/data/sweep", Look{Path: "/data/sweep"}, "sweep-2", "sweep is taken by another session"},
		{"/", Look{Path: "/"}, "root", ""},
		{"/home/me/ä b\n", Look{Path: "x"}, "ä b\n", ""},
		{"/home/me/x", Look{Path: "x", Session: "proj"}, "proj", "proj works in ~/other/proj, not in ~/x"},
		{"/home/me", Look{Session: "proj"}, "proj", ""},
	} {
		h := someHost()
		h.Dir = c.dir
		if name, why := h.Choose(c.look); name != c.name || why != c.why {
			t.Errorf("%s %+v: %q %q, want %q %q", c.dir, c.look, name, why, c.name, c.why)
		}
	}
}

func TestRunning(t *testing.T) {
	h := someHost()
	if h.Running("proj") != nil {
		t.Error("one that does not listen is given")
	}
	h.Dir, h.File = "/home/me", "a b.ipynb"
	if s := h.Running("main"); s == nil || s.Path != "/lab/tree/a%20b.ipynb" || h.servers["main"].Path != "/lab" {
		t.Errorf("%+v", s)
	}
}

func TestShort(t *testing.T) {
	h := &Host{Home: "/home/me"}
	for dir, want := range map[string]string{"/home/me": "~", "/home/me/x/y": "~/x/y", "/home/metoo": "/home/metoo", "/": "/"} {
		if got := h.Short(dir); got != want {
			t.Errorf("%s: %s", dir, got)
		}
	}
	if got := (&Host{Home: "/"}).Short("/x"); got != "/x" {
		t.Error(got)
	}
}

func TestR2_Pick(t *testing.T) {
	lab := []string{"jupyter-lab"}
	h := &Host{Home: "/home/me", Installs: []Install{
		{Name: "/usr", Kind: "path", Prefix: "/usr", Lab: "3.6.0", programs: lab},
		{Name: "ds", Kind: "conda", Prefix: "/home/me/miniconda3/envs/ds", Lab: "4.1.0", programs: lab},
		{Name: "conda base", Kind: "conda", Prefix: "/home/me/miniconda3", Lab: "4.6.6", programs: lab},
		{Name: "old", Kind: "venv", Prefix: "/home/me/old", Notebook: "6.5.7", programs: []string{"jupyter-notebook"}},
	}, bare: []Install{{Name: "empty", Prefix: "/home/me/empty", Python: "/home/me/empty/bin/python"}}}
	sortInstalls(h.Installs, h.Home)
	for env, want := range map[string]string{
		"": "JupyterLab 4.6.6 in conda base", "ds": "JupyterLab 4.1.0 in ds", "base": "JupyterLab 4.6.6 in conda base",
		"old": "Jupyter Notebook 6.5.7 in old", "/home/me/old/": "Jupyter Notebook 6.5.7 in old",
	} {
		if i, err := h.Pick(env); err != nil || i.String() != want {
			t.Errorf("%q: %s %v", env, i, err)
		}
	}
	var missing *MissingError
	if _, err := h.Pick("empty"); !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "/home/me/empty/bin/python -m pip install") {
		t.Errorf("%v", err)
	}
	if _, err := h.Pick("nope"); !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "conda base") {
		t.Errorf("%v", err)
	}
	if _, err := (&Host{}).Pick(""); !errors.As(err, &missing) || missing.Class() != "missing" || !strings.Contains(missing.Cause(), "conda") {
		t.Errorf("%v", err)
	}
}

func TestVersions(t *testing.T) {
	var i Install
	i.versions("jupyterlab-4.6.6.dist-info\njupyter_server-2.21.1.dist-info\nnotebook-6.4.12.egg-info\nipykernel-6.29.5-py3.11.egg-info\njupyterlab_server-2.0.dist-info\nnotebook-\x1b[m.dist-info\n")
	if i.Lab != "4.6.6" || i.Server != "2.21.1" || i.Notebook != "6.4.12" || i.Kernel != "6.29.5" {
		t.Errorf("%+v", i)
	}
}

func TestMachine(t *testing.T) {
	disk := parseDisk("Filesystem 1024-blocks Used Available Capacity Mounted on\n//srv/a b 1000 610 390 61% /home/a b\n")
	if disk.Total != 1000<<10 || disk.Full() != 61 {
		t.Errorf("%+v %d", disk, disk.Full())
	}
	gpus := parseGPUs("0, GPU-a, NVIDIA H100, 96, 72704, 81920\n1, GPU-b, NVIDIA H100, [N/A], 0, 81920\nrubbish\n", "GPU-a, 4711\nGPU-a, 12\nGPU-x, 3\n", "12\n")
	if len(gpus) != 2 || gpus[0] != (GPU{Index: 0, Name: "NVIDIA H100", Percent: 96, Used: 72704, Total: 81920, Mine: true, Foreign: true}) || gpus[1].Percent != -1 {
		t.Errorf("%+v", gpus)
	}
}

func TestA6_WhoListens(t *testing.T) {
	const table = "0100007F:22B8 1000\n00000000:0016 0\n00000000000000000000000001000000:1F90 1001\n"
	for _, c := range []struct {
		s      Server
		ours   bool
		reason string
	}{
		{Server{Port: 0x22B8}, true, ""},
		{Server{Port: 22}, false, "user 0 listens there"},
		{Server{Port: 9999}, false, nobodyListens},
		{Server{Port: 0x1F90, Host: "::1"}, false, "user 1001 listens there"},
		{Server{Port: 0x1F90}, false, nobodyListens},
		{Server{Sock: "/s"}, true, ""},
	} {
		err := stranger(&c.s, table, 1000)
		var e *StrangerError
		if (err == nil) != c.ours || err != nil && (!errors.As(err, &e) || e.Cause() != c.reason) {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}
