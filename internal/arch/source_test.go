package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	root       = "../.." // folder of the module, relative to the folder of this package
	modulePath = "github.com/meshhealth/meshhealth"
)

// source is one parsed Go file.
type source struct {
	path      string // path of the file, relative to the root of the repository and with slashes
	pkg       string // folder of the file
	test      bool
	generated bool
	file      *ast.File
	fset      *token.FileSet
}

// line returns the number of the line that contains a position.
func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// lines returns the number of lines of the file.
func (s source) lines() int { return s.fset.File(s.file.Pos()).LineCount() }

// parse makes a source from the text of a file.
func parse(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{
		path:      name,
		pkg:       path.Dir(name),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		file:      file,
		fset:      fset,
	}, nil
}

// load parses every Go file of the module, with any build tags.
func load() ([]source, error) {
	var sources []source
	err := walk(func(name string, text []byte) error {
		if !strings.HasSuffix(name, ".go") || outside(name) {
			return nil
		}
		s, err := parse(name, text)
		sources = append(sources, s)
		return err
	})
	return sources, err
}

// outside reports whether a file does not belong to the module: it is test data, or in
// a folder that is a module of its own.
func outside(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if base := path.Base(dir); base == "testdata" || base[0] == '.' || base[0] == '_' {
			return true
		}
		if _, err := os.Stat(filepath.Join(root, dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// notOurs has the names of folders in a work tree that are not part of the repository. They have
// files that were built or fetched, or files of an editor.
var notOurs = map[string]bool{".git": true, ".idea": true, ".vscode": true, "bin": true, "node_modules": true}

// walk calls visit for every regular file of the repository.
func walk(visit func(name string, text []byte) error) error {
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case notOurs[d.Name()] && d.IsDir():
			return fs.SkipDir
		case notOurs[d.Name()] || !d.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name), text)
	})
}

var loadOnce = sync.OnceValues(load)

// module returns the files of the module.
func module(t *testing.T) []source {
	t.Helper()
	sources, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// example makes a source from a short text.
func example(t *testing.T, name, text string) source {
	t.Helper()
	s, err := parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// report reports each fault as an error of the test.
func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// expect checks the number of faults that a rule finds in an example.
func expect(t *testing.T, name string, want int, faults []string) {
	t.Helper()
	if len(faults) != want {
		t.Errorf("%s: %d faults, want %d: %q", name, len(faults), want, faults)
	}
}

func TestModuleIsRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "module "+modulePath+"\n") {
		t.Errorf("go.mod does not declare %s", modulePath)
	}
	if len(module(t)) == 0 {
		t.Error("no Go file found")
	}
}
