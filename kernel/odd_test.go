//go:build linux

package kernel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// The names of F7 and worse: what JSON, sh, string.Template and Jupyter's own
// patterns take for theirs.
var oddNames = []string{
	"a\"b\n;c", `x\y'z`, "$HOME", "${PATH}", "$$", "{connection_file}", "{prefix} {resource_dir}", "`touch canary`", "$(touch canary)",
	"-rf", " blank ", "ünïcode☃", "%s%n", "a\tb", "*?[x]", "\\{prefix\\}",
}

func TestF7_OddNames(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	s := jupyter(t, home, false)
	names := oddNames
	if testing.Short() {
		names = names[:3]
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			env := venv(t, filepath.Join(home, "odd"+string(rune('a'+i)), name), base)
			w := Wish{Env: env, Name: "odd" + string(rune('a'+i))}
			if i%2 == 0 {
				w.Server = s
			}
			a := mustAdd(t, r, w)
			if a.Prefix != env.Prefix || !strings.HasPrefix(a.DisplayName, name) || len(a.Notes) > 0 {
				t.Errorf("%+v", a)
			}
			var spec kernelJSON
			if err := json.Unmarshal([]byte(lab.Read(t, a.Dir+"/kernel.json")), &spec); err != nil || spec.DisplayName != a.DisplayName {
				t.Errorf("%v %+v", err, spec)
			}
		})
	}
	noCanary(t, home)
}

func noCanary(t *testing.T, home string) {
	t.Helper()
	for _, name := range append(files(home), "/canary", "canary") {
		if _, err := os.Stat(name); filepath.Base(name) == "canary" && (err == nil || !filepath.IsAbs(name)) && name != "canary" {
			t.Errorf("something in a name ran: %s", name)
		}
	}
}

func TestF7_PathThatPATHCannotHold(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	if err := os.Rename(env.Prefix, home+"/a:b"); err != nil {
		t.Fatal(err)
	}
	env.Prefix, env.Python = home+"/a:b", home+"/a:b/bin/python"
	a := mustAdd(t, r, Wish{Env: env})
	if a.Prefix != env.Prefix || len(a.Notes) == 0 || !strings.Contains(a.Notes[0], "colon") {
		t.Errorf("%+v", a)
	}
}

func TestF7_PathThatIsNoText(t *testing.T) {
	_, err := Add(t.Context(), nil, Wish{Env: Environment{Name: "ds", Prefix: "/a\xff", Python: "/a\xff/bin/python"}})
	if e, ok := err.(*UsageError); !ok || !strings.Contains(e.What, "UTF-8") {
		t.Errorf("%v", err)
	}
}

func TestF1_NamesAreNoShellText(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	evil := `'"; touch ` + home + `/canary; $(touch ` + home + "/canary) `touch " + home + "/canary` \n touch " + home + "/canary\n"
	env := venv(t, home+"/ds", base)
	env.Name = evil
	a := mustAdd(t, r, Wish{Env: env, DisplayName: evil, Setenv: []string{"EVIL=" + evil, "HALF=a${EVIL}b$c"}})
	if a.DisplayName != evil || CheckName(a.Name) != nil {
		t.Errorf("%+v", a)
	}
	spec := parseSpec(a.Name, a.Dir, []byte(lab.Read(t, a.Dir+"/kernel.json")))
	if want := strings.ReplaceAll(evil, "$", "$$"); spec.Env["EVIL"] != want || spec.Env["HALF"] != "a${EVIL}b$$c" {
		t.Errorf("%q", spec.Env)
	}
	evilDir := home + "/" + evil
	if _, err := Kernelspecs(t.Context(), r, evilDir); err != nil {
		t.Error(err)
	}
	bad := []Spec{{Name: evil, Dir: "/nowhere/kernels/" + evil, Argv: []string{evil, "-m", "ipykernel"}, Interpreter: evil, Prefix: evil}}
	if err := Check(t.Context(), r, bad); err != nil || bad[0].Broken == "" {
		t.Errorf("%v %+v", err, bad)
	}
	for _, s := range append(bad, Spec{Name: evil, Dir: home + "/kernels/" + strings.ReplaceAll(evil, "/", "_")}) {
		if err := Remove(t.Context(), r, s); err == nil {
			t.Error("removed")
		}
	}
	noCanary(t, home)
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"ds", "python3.11", "a_b-c.d", strings.Repeat("x", 64)} {
		if err := CheckName(good); err != nil || SpecName(good) != good {
			t.Errorf("%q: %v, %q", good, err, SpecName(good))
		}
	}
	for bad, name := range map[string]string{
		"": "python", "My Venv!": "my-venv", "../x": "x", ".hidden": "hidden", "-rf": "rf", "a/b": "a-b", "ÄÖ": "python", "a   b": "a-b",
		trialPrefix + "x": "python", strings.Repeat("y", 65): strings.Repeat("y", 64), "DS": "ds", "a\nb": "a-b",
	} {
		if e, ok := CheckName(bad).(*UsageError); !ok || !strings.Contains(e.What, "a-z, 0-9") || e.Hint() != "--name "+name {
			t.Errorf("%q: %+v", bad, e)
		}
		if got := SpecName(bad); got != name || CheckName(got) != nil {
			t.Errorf("%q becomes %q, want %q", bad, got, name)
		}
	}
}
