package ide

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// pycharm gives the files of a host as PyCharm would find them.
func pycharm(t *testing.T, where string, windows bool) map[string]string {
	t.Helper()
	files, err := PyCharm(where, windows)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		m, err := f.Merge(nil)
		if err != nil || !m.Changed {
			t.Fatalf("%s: changed %v, %v", f.Path, m.Changed, err)
		}
		all[f.Path] = string(m.Content)
	}
	return all
}

// The shape is that of files that PyCharm wrote: elements, their order, and
// the options of the Shell Script plugin.
func TestPyCharm_Shape(t *testing.T) {
	files := pycharm(t, "gpu1", false)
	if len(files) != 3 {
		t.Errorf("%d files", len(files))
	}
	want := `<component name="ProjectRunConfigurationManager">
  <configuration default="false" name="nbremote open gpu1" type="ShConfigurationType">
    <option name="SCRIPT_TEXT" value="nbremote open gpu1 --foreground --no-browser --progress=plain" />
    <option name="INDEPENDENT_SCRIPT_PATH" value="true" />
    <option name="SCRIPT_PATH" value="" />
    <option name="SCRIPT_OPTIONS" value="" />
    <option name="INDEPENDENT_SCRIPT_WORKING_DIRECTORY" value="true" />
    <option name="SCRIPT_WORKING_DIRECTORY" value="$PROJECT_DIR$" />
    <option name="INDEPENDENT_INTERPRETER_PATH" value="true" />
    <option name="INTERPRETER_PATH" value="/bin/sh" />
    <option name="INTERPRETER_OPTIONS" value="" />
    <option name="EXECUTE_IN_TERMINAL" value="true" />
    <option name="EXECUTE_SCRIPT_FILE" value="false" />
    <envs />
    <method v="2" />
  </configuration>
</component>
`
	if got := files[".run/nbremote open gpu1.run.xml"]; got != want {
		t.Errorf("got:\n%s", got)
	}
	for _, other := range []string{"url", "stop"} {
		if !strings.Contains(files[".run/nbremote "+other+" gpu1.run.xml"], `value="nbremote `+other+` gpu1`) {
			t.Errorf("%s: %q", other, files)
		}
	}
}

// odd are names with everything in them that a shell or XML could take for
// its own.
var odd = []string{
	"gpu1:~/it's here", `gpu1:a "b" \c\\d <&> ]]>`, "gpu1:$(touch pwned) `x` $HOME ${x", "me@host:22:~/é ü*?[a]{b,c}", "gpu1:!x;y|z#w", "gpu1:%TEMP%", "gpu1:‘quote’",
}

// Each shell that a terminal may run reads back the words that were meant.
func TestPyCharm_QuotedForEveryShell(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "fish"} {
		if !lab.Has(t, shell) {
			continue
		}
		for _, word := range odd {
			if check(word) != nil && !strings.Contains(word, "${") {
				t.Fatalf("%q is refused", word)
			}
			out, err := exec.Command(shell, "-c", `printf '%s' `+quoteSh(word)).CombinedOutput()
			if err != nil || string(out) != word {
				t.Errorf("%s reads %s as %q, %v", shell, quoteSh(word), out, err)
			}
		}
	}
}

func TestPyCharm_QuotedForPowerShell(t *testing.T) {
	for word, want := range map[string]string{
		"open": "open", "--progress=plain": "--progress=plain", "me@h": "'me@h'", "it's $x": "'it''s $x'", "a’b": "'a’’b'", "": "''", "~/x": "'~/x'",
	} {
		if got := quotePowerShell(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
	for path, text := range pycharm(t, "gpu1:~/a b", true) {
		if !strings.Contains(text, `"powershell.exe"`) || !strings.Contains(text, "&#39;gpu1:~/a b&#39;") {
			t.Errorf("%s:\n%s", path, text)
		}
	}
}

// What is written can be read back, whatever the name; the file's name is one
// on every system, and no path.
func TestPyCharm_OddNames(t *testing.T) {
	for _, where := range odd {
		if check(where) != nil {
			continue
		}
		for path, text := range pycharm(t, where, false) {
			var r run
			if err := xml.Unmarshal([]byte(text), &r); err != nil || !strings.HasSuffix(r.Configuration.Name, where) {
				t.Errorf("%v in %s", err, text)
			}
			if name := strings.TrimPrefix(path, ".run/"); strings.ContainsAny(name, `/\:*?"<>|`) {
				t.Errorf("the name of a file: %s", name)
			}
		}
	}
	for path := range pycharm(t, "gpu1:"+strings.Repeat("é", 300), false) {
		if len(path) > 200 {
			t.Errorf("%d bytes: %s", len(path), path)
		}
	}
}

func TestPyCharm_FilesThatAreThere(t *testing.T) {
	open := newRun("nbremote open gpu1", []string{"nbremote", "open", "gpu1"}, false)
	same := open.render()
	for _, c := range []struct {
		name, file string
		kept       bool
		says       string
	}{
		{name: "the same", file: string(same)},
		{name: "written anew by the IDE", file: "<?xml version=\"1.0\"?>\n" + strings.Replace(strings.ReplaceAll(string(same), " />", "/>"), "<envs/>", "<option name=\"NEW\" value=\"1\"/><!-- mine --><envs/>", 1)},
		{name: "without an empty option", file: strings.Replace(string(same), "    <option name=\"SCRIPT_PATH\" value=\"\" />\n", "", 1)},
		{name: "changed", file: strings.Replace(string(same), "open gpu1\" />", "open gpu1 --env ds\" />", 1), kept: true},
		{name: "of another name", file: strings.Replace(string(same), `name="nbremote open gpu1" type`, `name="other" type`, 1), says: `1:1: it holds the configuration "other"`},
		{name: "of another type", file: strings.Replace(string(same), shellRun, "PythonConfigurationType", 1), says: "1:1: it holds"},
		{name: "not finished", file: string(same[:200]), says: "4:3: "},
		{name: "two", file: string(same) + "<more", says: "1"},
		{name: "text", file: "nothing of the kind", says: "1:"},
	} {
		m, err := open.merge([]byte(c.file))
		if c.says != "" {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("%s: %v, want %s", c.name, err, c.says)
			}
			continue
		}
		if err != nil || m.Changed || !bytes.Equal(m.Content, []byte(c.file)) || slices.Contains(m.Kept, "nbremote open gpu1") != c.kept {
			t.Errorf("%s: changed %v, kept %q, %v", c.name, m.Changed, m.Kept, err)
		}
	}
}
