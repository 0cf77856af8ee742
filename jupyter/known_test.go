package jupyter

import (
	"strings"
	"testing"
)

func TestC5_KnownHoles(t *testing.T) {
	for _, c := range []struct {
		i    Install
		want string
	}{
		{Install{Server: "2.21.1", Lab: "4.6.6", Notebook: "7.6.5"}, ""},
		{Install{Server: "2.18.2"}, ""},
		{Install{Server: "2.18.1", Python: "/e/bin/python"}, "Jupyter Server 2.18.1 has known holes (CVE-2026-5422); mend: /e/bin/python -m pip install -U jupyter_server"},
		{Install{Server: "2.9.0"}, "(CVE-2026-5422, CVE-2026-40110)"},
		{Install{Server: "1.24.0"}, "CVE-2026-5422"},
		{Install{Lab: "4.0.10"}, "JupyterLab 4.0.10 has known holes (CVE-2024-22421)"},
		{Install{Lab: "3.6.7"}, ""}, {Install{Lab: "3.6.6"}, "CVE-2024-22421"},
		{Install{Notebook: "6.4.9"}, "CVE-2022-24758"}, {Install{Notebook: "6.5.7"}, ""},
		{Install{}, ""}, {Install{Server: "2.18.0rc1"}, "CVE-2026-5422"},
	} {
		if got := c.i.Warning(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: %q", c.i, got)
		}
	}
	if w := (&Server{Version: "2.0.0"}).Warning(); !strings.HasPrefix(w, "Jupyter Server 2.0.0") {
		t.Error(w)
	}
}
