package test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// aside is a script that takes the machine's python3 away from PATH, and leaves
// it to the environment with Jupyter alone.
const aside = `mkdir -m 755 /run/aside && cp -a ` + lab.Jupyter + `/bin/. /run/aside && rm /run/aside/python*
	cp -L /usr/bin/python3 /run/aside/python3 && ln -s python3 /run/aside/python && ln -s python3 /run/aside/python3.11
	mount --bind /run/aside ` + lab.Jupyter + `/bin
	for p in /usr/bin/python3*[0-9]; do [ -h "$p" ] || mount --bind /dev/null "$p"; done
	! /usr/bin/python3 -c '' 2>/dev/null
`

const deadRelay = "1 program of a relay that has ended"

// Where the only Python is that of an environment, the relay runs by it.
var pythons = []struct {
	name, jupyter string
	make          string
	files         map[string]string
	left          string // what clean sees of a relay that has ended
}{
	{name: "beside Jupyter on PATH", make: aside, left: deadRelay},
	{name: "conda", left: deadRelay, jupyter: "none", make: aside + `e=/home/me/miniconda3/envs/lab
		mkdir -p /home/me/miniconda3/conda-meta $e /home/upper/conda-meta /home/work
		mount -t overlay -o lowerdir=` + lab.Jupyter + `,upperdir=/home/upper,workdir=/home/work env $e
		mount --bind /run/aside $e/bin
		chown -R me /home/me/miniconda3/conda-meta`},
	{name: "module", left: deadRelay, jupyter: "none", make: aside, files: map[string]string{
		".bash_profile": "module() { PATH=" + lab.Jupyter + "/bin:$PATH; }\nmodule load python\n",
	}},
	{name: "old python", make: `mkdir /usr/local/bin/old && printf '#!/bin/sh\necho I am too old; exit 1\n' >/usr/local/bin/old/python3.6
		chmod 755 /usr/local/bin/old /usr/local/bin/old/python3.6 && ln -s old/python3.6 /usr/local/bin/python3`},
}

func TestRelay_PythonOfAnEnvironment(t *testing.T) {
	t.Parallel()
	for _, p := range pythons {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Jupyter: p.jupyter})
			gpu1 := l.Host("gpu1")
			gpu1.Sh(p.make)
			for name, text := range p.files {
				gpu1.WriteFile(lab.Me, "/home/me/"+name, text)
			}
			found, _ := doctor(t, l)
			for _, name := range []string{"python", "link"} {
				if c := find(found, name, ""); c.State != "ok" || !strings.Contains(c.What, "relay") {
					t.Errorf("doctor: %+v", c)
				}
			}
			o := open(t, l, "gpu1")
			if !o.Link.On {
				t.Errorf("there is no link: %s", o.Link.Why)
			}
			works(t, l, o)
			gpu1.HangUp()
			works(t, l, o)
			if found := gpu1.Running("serve relay-"); len(found) != 1 || strings.HasPrefix(found[0].Line, "/usr/bin/") {
				t.Errorf("the relay runs as %+v", found)
			}
			if c := clean(t, l, "gpu1", "--jupyter", "-y"); !c.stays("the relay runs") {
				t.Errorf("clean: %+v", c)
			}
			l.Must("close", "gpu1")
			gpu1.Kill("serve relay-", syscall.SIGKILL)
			lab.Wait(t, 10*time.Second, "its end", func() bool { return len(gpu1.Running("serve relay-")) == 0 })
			if c := clean(t, l, "gpu1", "--all", "-y"); strings.Join(c.Removed, ",") != p.left || c.stays("the relay runs") {
				t.Errorf("clean, when it has ended: %+v", c)
			}
		})
	}
}
