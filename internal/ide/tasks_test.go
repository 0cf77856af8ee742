package ide

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/tailscale/hujson"
)

// merged merges the tasks of gpu1 into a file, which has to work, and again
// into the result, which has to change nothing.
func merged(t *testing.T, existing string) Merged {
	t.Helper()
	m, err := mergeTasks([]byte(existing), tasks("gpu1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := mergeTasks(m.Content, tasks("gpu1"))
	if err != nil || again.Changed || !bytes.Equal(again.Content, m.Content) {
		t.Errorf("again: changed %v, error %v, from:\n%s\nto:\n%s", again.Changed, err, m.Content, again.Content)
	}
	return m
}

// short is a merged file with our tasks cut down to their labels' verbs, so
// that a test shows what is around them.
func short(content []byte) string {
	ours := regexp.MustCompile(`(?s)\{\s*"label": "nbremote: (\w+) gpu1".*?"problemMatcher": (\[\]|\{.*?\}\s*\}\s*)\s*\}`)
	return ours.ReplaceAllString(string(content), "<$1>")
}

func TestMergeTasks_AllThatIsThereStays(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"one task, a comma to be added",
			"{\n  \"version\": \"2.0.0\",\n  \"tasks\": [\n    { \"label\": \"x\" }\n  ]\n}\n",
			"{\n  \"version\": \"2.0.0\",\n  \"tasks\": [\n    { \"label\": \"x\" },\n    <open>,\n    <url>,\n    <stop>\n  ]\n}\n"},
		{"a trailing comma is the way of the file",
			"{\n\t\"version\": \"2.0.0\",\n\t\"tasks\": [\n\t\t{ \"label\": \"x\" },\n\t],\n}",
			"{\n\t\"version\": \"2.0.0\",\n\t\"tasks\": [\n\t\t{ \"label\": \"x\" },\n\t\t<open>,\n\t\t<url>,\n\t\t<stop>,\n\t],\n}"},
		{"comments stay with what they are about",
			"// top\n{\n    \"version\": \"2.0.0\", // v\n    \"tasks\": [ /* a */\n        {} // about x\n        // last\n    ] // after\n} // end",
			"// top\n{\n    \"version\": \"2.0.0\", // v\n    \"tasks\": [ /* a */\n        {}, // about x\n        // last\n        <open>,\n        <url>,\n        <stop>\n    ] // after\n} // end"},
		{"CRLF",
			"{\r\n  \"version\": \"2.0.0\",\r\n  \"tasks\": [\r\n    {}\r\n  ]\r\n}\r\n",
			"{\r\n  \"version\": \"2.0.0\",\r\n  \"tasks\": [\r\n    {},\r\n    <open>,\r\n    <url>,\r\n    <stop>\r\n  ]\r\n}\r\n"},
		{"a byte order mark",
			"\xef\xbb\xbf{\n  \"version\": \"2.0.0\", \"tasks\": []\n}",
			"\xef\xbb\xbf{\n  \"version\": \"2.0.0\", \"tasks\": [\n    <open>,\n    <url>,\n    <stop>\n  ]\n}"},
		{"no list yet",
			"{\n  \"version\": \"2.0.0\" // v\n}",
			"{\n  \"version\": \"2.0.0\", // v\n  \"tasks\": [\n    <open>,\n    <url>,\n    <stop>\n  ]\n}"},
		{"all on one line",
			`{"version":"2.0.0","tasks":[{"label":"x"}]}`,
			"{\"version\":\"2.0.0\",\"tasks\":[{\"label\":\"x\"},\n    <open>,\n    <url>,\n    <stop>\n]}"},
		{"no list, on one line",
			`{"version":"2.0.0",}`,
			"{\"version\":\"2.0.0\",\n    \"tasks\": [\n        <open>,\n        <url>,\n        <stop>\n    ],\n}"},
		{"of two lists VS Code takes the last",
			"{\"version\": \"2.0.0\", \"tasks\": [1], \"tasks\": [\n  2\n]}",
			"{\"version\": \"2.0.0\", \"tasks\": [1], \"tasks\": [\n  2,\n  <open>,\n  <url>,\n  <stop>\n]}"},
		{"other things under that label's kind of name",
			"{\"version\": \"2.0.0\", \"tasks\": [{\"label\": 1}, {\"taskName\": \"nbremote: open gpu1\"}, null]}",
			"{\"version\": \"2.0.0\", \"tasks\": [{\"label\": 1}, {\"taskName\": \"nbremote: open gpu1\"}, null,\n    <open>,\n    <url>,\n    <stop>\n]}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := merged(t, c.from)
			if got := short(m.Content); got != c.to || !m.Changed || len(m.Kept) != 0 {
				t.Errorf("changed %v, kept %q, got:\n%q\nwant:\n%q", m.Changed, m.Kept, got, c.to)
			}
			if strings.Contains(c.from, "\r\n") && bytes.Count(m.Content, []byte("\n")) != bytes.Count(m.Content, []byte("\r\n")) {
				t.Error("mixed line ends")
			}
		})
	}
}

func TestMergeTasks_NewFile(t *testing.T) {
	for _, nothing := range []string{"", " \n", "\xef\xbb\xbf"} {
		m := merged(t, nothing)
		var file tasksFile
		if err := json.Unmarshal(m.Content, &file); err != nil || file.Version != "2.0.0" || len(file.Tasks) != 3 {
			t.Errorf("%q: %v in %s", nothing, err, m.Content)
		}
	}
}

// What somebody has changed in a task of ours stays; the others are added.
func TestMergeTasks_ChangedTaskStays(t *testing.T) {
	file := string(merged(t, "").Content)
	changed := strings.Replace(file, `"panel": "dedicated"`, `"panel": "new" /* mine */`, 1)
	m := merged(t, changed)
	if m.Changed || string(m.Content) != changed || len(m.Kept) != 1 || m.Kept[0] != "nbremote: open gpu1" {
		t.Errorf("changed %v, kept %q:\n%s", m.Changed, m.Kept, m.Content)
	}
	written := strings.ReplaceAll(strings.Replace(file, `"label"`, `/* first */ "label"`, 1), "    ", "\t")
	if m := merged(t, written); m.Changed || len(m.Kept) != 0 {
		t.Errorf("written otherwise, and taken for another: changed %v, kept %q", m.Changed, m.Kept)
	}
	alone := `{"version": "2.0.0", "tasks": [{"label": "nbremote: stop gpu1", "command": "true"}]}`
	if m := merged(t, alone); !m.Changed || short(m.Content) == alone || len(m.Kept) != 1 {
		t.Errorf("changed %v, kept %q:\n%s", m.Changed, m.Kept, m.Content)
	}
}

func TestMergeTasks_WhatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ file, says string }{
		{"{", "1:2: "},
		{"{\n  \"version\": \"2.0.0\",\n  \"tasks\": [ {} {} ]\n}", "3:17: "},
		{"{\n  'version': 1}", "2:3: "},
		{"[]", "1:1: not an object"},
		{"// nothing\n", "2:1: "},
		{"{\"version\": \"2.0.0\", \"tasks\": {}}", `1:31: "tasks" is not a list`},
		{"{\"tasks\": []}", `1:1: no "version": "2.0.0"`},
		{"{\n\"version\": \"0.1.0\", \"tasks\": []}", `2:12: its "version" is not "2.0.0"`},
		{"{\"version\": 2, \"tasks\": []}", `1:13: its "version" is not "2.0.0"`},
		{"\xff\xfe{\x00}\x00", "1:1: not UTF-8"},
		{strings.Repeat("[", 1<<20), "1:"},
	} {
		m, err := mergeTasks([]byte(c.file), tasks("gpu1"))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), c.says) || m.Content != nil {
			t.Errorf("%.60q: %v, want %s", c.file, err, c.says)
		}
	}
}

func TestNamesThatEditorsReplace(t *testing.T) {
	for _, bad := range []string{"gpu1:${workspaceFolder}", "gpu1:$PROJECT_DIR$/x", "gpu1:a\nb", "gpu1:a\x1bb", "gpu1:\xff"} {
		if _, err := VSCode(bad, ""); err == nil {
			t.Errorf("VSCode takes %q", bad)
		}
		if _, err := PyCharm(bad, false); err == nil {
			t.Errorf("PyCharm takes %q", bad)
		}
	}
	for _, good := range []string{"gpu1:~/a $b", `me@h:22:~/it's "q" <&> \é`, "[::1]:22", "gpu1/main"} {
		files, err := VSCode(good, good)
		if err != nil {
			t.Fatal(err)
		}
		m, err := files[0].Merge(nil)
		var file tasksFile
		if err != nil || json.Unmarshal(m.Content, &file) != nil || file.Tasks[0].Args[1] != good {
			t.Errorf("%q: %v in %s", good, err, m.Content)
		}
	}
}

// Whatever the file: all of it is still there in its order, what is added is
// ours, the result can be read, and merging again changes nothing.
func FuzzMergeTasks(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "{\"version\":\"2.0.0\"}", "{\"version\":\"2.0.0\",\"tasks\":[]}", "// a\n{\"version\":\"2.0.0\",\"tasks\":[{},/*b*/],}//c",
		"{\r\n\t\"version\": \"2.0.0\",\r\n\t\"tasks\": [\r\n\t\t{\"label\":\"nbremote: open gpu1\"} // x\r\n\t]\r\n}\r\n",
		"\xef\xbb\xbf{\"version\":\"2.0.0\",\"tasks\":[1,]}", "{\"version\":\"2.0.0\",\"tasks\":[//a blank at the end \n]}", "{\"tasks\":[[{}]],\"version\":\"2.0.0\"/**/,/**/}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, existing []byte) {
		before := bytes.Clone(existing)
		m, err := mergeTasks(existing, tasks("gpu1"))
		if !bytes.Equal(before, existing) {
			t.Fatal("it wrote into what it was given")
		}
		if err != nil {
			return
		}
		if !m.Changed && !bytes.Equal(m.Content, existing) || m.Changed && len(m.Content) <= len(existing) {
			t.Fatalf("changed %v:\n%q\n%q", m.Changed, existing, m.Content)
		}
		if blank := len(bytes.TrimSpace(bytes.TrimPrefix(existing, bom))) == 0; !blank {
			sameButOurs(t, existing, m.Content)
		}
		again, err := mergeTasks(m.Content, tasks("gpu1"))
		if err != nil || again.Changed || !bytes.Equal(again.Content, m.Content) {
			t.Fatalf("again: %v, changed %v, from %q:\n%s\n%s", err, again.Changed, existing, m.Content, again.Content)
		}
	})
}

// sameButOurs takes our tasks out of the merged file, and wants what is left
// to be the file that was there, with its comments: no byte lost, and none
// more but white space and commas.
func sameButOurs(t *testing.T, existing, merged []byte) {
	t.Helper()
	rest := existing
	for _, b := range merged {
		if len(rest) > 0 && b == rest[0] {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		t.Fatalf("lost %q of %q in\n%s", rest, existing, merged)
	}
	was, err := hujson.Parse(append(bytes.TrimPrefix(bytes.Clone(existing), bom), '\n'))
	if err != nil {
		t.Fatal(err)
	}
	is, err := hujson.Parse(append(bytes.TrimPrefix(bytes.Clone(merged), bom), '\n'))
	if err != nil {
		t.Fatalf("%v in %q from %q", err, merged, existing)
	}
	if a, b := comments(was), comments(is); a != b {
		t.Fatalf("comments %q became %q", a, b)
	}
	a, b := members(t, was), members(t, is)
	for i, text := range a {
		if i >= len(b) || b[i] != text {
			t.Fatalf("%d: %q became %q", i, a, b)
		}
	}
}

// comments are all comments of a file, in their order.
func comments(v hujson.Value) string {
	return strings.Join(commentText.FindAllString(stripStrings(string(v.Pack())), -1), "\n")
}

var (
	commentText = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/`)
	jsonToken   = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/`)
)

// stripStrings empties strings, which may hold what looks like a comment.
func stripStrings(s string) string {
	return jsonToken.ReplaceAllStringFunc(s, func(token string) string {
		if token[0] == '"' {
			return `""`
		}
		return strings.TrimRight(token, "\r")
	})
}

// members are the elements of "tasks", as they are written.
func members(t *testing.T, v hujson.Value) []string {
	t.Helper()
	d := document{}
	root, ok := v.Value.(*hujson.Object)
	if !ok {
		t.Fatal("not an object")
	}
	list, _ := d.member(root, "tasks")
	array, ok := list.Value.(*hujson.Array)
	if !ok {
		return nil
	}
	var texts []string
	for _, e := range array.Elements {
		e.BeforeExtra, e.AfterExtra = nil, nil
		texts = append(texts, string(e.Pack()))
	}
	return texts
}
