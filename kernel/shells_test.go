//go:build linux

package kernel

import (
	"testing"
)

func TestShells(t *testing.T) {
	t.Parallel()
	for name, path := range posix(t) {
		t.Run(name, func(t *testing.T) {
			local, home := newHost(t)
			r := shell{path, local.Env}
			env := venv(t, home+"/d s", base)
			a := mustAdd(t, r, Wish{Env: env, Name: "ds", Setup: `export "A=b c"`})
			specs := listed(t, r)
			ds := byName(t, specs, "ds")
			if ds.Broken != "" || ds.Python != a.Python || ds.IPykernel != a.IPykernel {
				t.Errorf("%+v", ds)
			}
			if err := Remove(t.Context(), r, ds); err != nil || len(files(kernelsOf(home))) > 0 {
				t.Errorf("%v %v", err, files(kernelsOf(home)))
			}
		})
	}
}
