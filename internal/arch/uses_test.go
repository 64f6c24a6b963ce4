package arch

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"testing"
)

// use is something a file does that a layer may forbid.
type use struct {
	what string // "go", "chan", "select", or a name like "time.Now"
	line int
}

// uses lists the goroutines, channels, selects and package members of a file. A member
// counts even if it is not called: `now := time.Now` reads the clock later.
func (s source) uses() []use {
	var all []use
	names := s.importNames()
	ast.Inspect(s.file, func(n ast.Node) bool {
		if what := useOf(n, names); what != "" {
			all = append(all, use{what, s.line(n.Pos())})
		}
		return true
	})
	return all
}

// useOf returns the use that one node is, or an empty text.
func useOf(n ast.Node, names map[string]string) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "go"
	case *ast.ChanType:
		return "chan"
	case *ast.SelectStmt:
		return "select"
	case *ast.CallExpr:
		return startOf(n)
	case *ast.SelectorExpr:
		return member(n, names)
	}
	return ""
}

// startOf recognises methods named Go, as of WaitGroup and errgroup: they start a
// goroutine.
func startOf(call *ast.CallExpr) string {
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
		return "go"
	}
	return ""
}

// member returns a selector on an imported package as "path.Name".
func member(sel *ast.SelectorExpr, names map[string]string) string {
	x, ok := sel.X.(*ast.Ident)
	if !ok || names[x.Name] == "" {
		return ""
	}
	return names[x.Name] + "." + sel.Sel.Name
}

// importNames maps the package names that a file uses to import paths.
func (s source) importNames() map[string]string {
	names := map[string]string{}
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	return names
}

func TestUses(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"func f() { go f() }", []string{"go"}},
		{"func f() { var w sync.WaitGroup; w.Go(f) }", []string{"go"}},
		{"type t struct{ c <-chan int }", []string{"chan"}},
		{"func f() { select {} }", []string{"select"}},
		{"import \"time\"\nvar t = time.Now()", []string{"time.Now"}},
		{"import \"time\"\nvar now = time.Now", []string{"time.Now"}},
		{"import clock \"time\"\nvar t = clock.Now()", []string{"time.Now"}},
		{"type clock struct{}\nfunc (c clock) f() { c.Now() }", nil},
		{"const text = \"go f(); select {}; time.Now()\"", nil},
	} {
		var got []string
		for _, u := range example(t, "a/a.go", "package a\n"+c.text).uses() {
			got = append(got, u.what)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: uses %q, want %q", c.text, got, c.want)
		}
	}
}
