package coordinator

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestNoInternalTypes: an exported field, function or method mentions no type of an internal
// package. A program that embeds a coordinator could not name it.
func TestNoInternalTypes(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		internal := internalImports(file)
		for what, typ := range exportedTypes(file) {
			fields++
			ast.Inspect(typ, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && internal[x.Name] {
						t.Errorf("%s: %s mentions %s.%s; declare an alias", name, what, x.Name, sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
	if fields < 30 {
		t.Errorf("only %d exported types were found", fields)
	}
}

// internalImports returns the names of the internal packages that a file imports.
func internalImports(file *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		if strings.Contains(p, "/internal/") {
			names[path.Base(p)] = true
		}
	}
	return names
}

// exportedTypes returns the types of the exported fields, functions and methods of a file.
func exportedTypes(file *ast.File) map[string]ast.Node {
	types := map[string]ast.Node{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.IsExported() {
				types[n.Name.Name] = n.Type
			}
			return false
		case *ast.TypeSpec:
			s, ok := n.Type.(*ast.StructType)
			if !ok || !n.Name.IsExported() {
				return false
			}
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					if name.IsExported() {
						types[n.Name.Name+"."+name.Name] = f.Type
					}
				}
				if f.Names == nil {
					types[n.Name.Name+" (embedded)"] = f.Type
				}
			}
		}
		return true
	})
	return types
}
