package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The faults and threats that this program answers, by the numbers they have
// in docs/security.md and in the names of tests. faults.txt says where.
var faults = strings.Fields(`
	N1 N2 N3 N4 N5 N6 N7 N8 N9 N10 N11 N12 N13 N14 N15 N16 N17 N18 N19 N20 N21 N22 N23 N24 N25 N26 N27
	R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 R17 R18
	L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13
	A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 B1 B2 B3 B4 B5 B6 B7 B8 C1 C2 C3 C4 C5 D1 D2 D3 D4 D5 D6 D7 D8 D9 D10
	E1 E2 E3 E4 E5 E6 E7 E8 F1 F2 F3 F4 F5 F6 F7 F8 S1 S2 S3 S4 S5 S6`)

func TestFaults_EachHasItsTest(t *testing.T) {
	tests := testNames(t)
	answered := map[string]bool{}
	for n, line := range strings.Split(strings.TrimSpace(read(t, "test/faults.txt")), "\n") {
		id, name, ok := strings.Cut(line, "\t")
		if !ok {
			t.Errorf("faults.txt:%d: want ID, tab, test; got %q", n+1, line)
			continue
		}
		if !slices.Contains(faults, id) {
			t.Errorf("faults.txt:%d: no fault is called %s", n+1, id)
		}
		if !tests[name] {
			t.Errorf("faults.txt:%d: there is no %s", n+1, name)
		}
		answered[id] = true
	}
	for _, id := range faults {
		if !answered[id] {
			t.Errorf("%s has no test in faults.txt", id)
		}
	}
}

var (
	leading = regexp.MustCompile(`^(?:Test|Fuzz)((?:[A-Z]\d+_)+|[A-Z]\d+$)`)
	number  = regexp.MustCompile(`[A-Z]\d+`)
)

// A test that is named after faults stands in faults.txt for each of them.
func TestFaults_NothingIsLeftOut(t *testing.T) {
	list := "\n" + read(t, "test/faults.txt")
	for name := range testNames(t) {
		m := leading.FindStringSubmatch(name[strings.LastIndex(name, ".")+1:])
		if m == nil {
			continue
		}
		for _, id := range number.FindAllString(m[1], -1) {
			if slices.Contains(faults, id) && !strings.Contains(list, "\n"+id+"\t"+name+"\n") {
				t.Errorf("faults.txt lacks this line: %s\t%s", id, name)
			}
		}
	}
}

// testNames are the project's tests as import path.TestName.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range files(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names[path.Join("nbremote", path.Dir(file))+"."+f.Name.Name] = true
			}
		}
	}
	return names
}
