package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maySkip are the tests that may be skipped in CI too, and why, beside those of
// make soak. All others fail there for want of something.
var maySkip = map[string]string{
	"bench":       "make bench",
	"FuzzFrame":   "what the fuzzer made is no case",
	"TestScripts": "the system is another",
	"makeFIFO":    "the system is another",
	"TestGone":    "somebody took the port by chance",
}

// No check is loosened for want of a tool.
func TestSkips_NotInCI(t *testing.T) {
	for _, file := range goFiles(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || maySkip[f.Name.Name] != "" || strings.HasPrefix(f.Name.Name, "TestSoak") || mentions(f, "Fatal", "Fatalf") && mentions(f, "Getenv") {
				continue
			}
			if mentions(f, "Skip", "Skipf", "SkipNow") {
				t.Errorf("%s: %s skips in CI too: lab.Needs and lab.Missing do not", file, f.Name.Name)
			}
		}
	}
}

// mentions tells whether a function uses a method or function of that name.
func mentions(f *ast.FuncDecl, names ...string) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			found = found || slices.Contains(names, s.Sel.Name)
		}
		return true
	})
	return found
}
