package arch

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// maxUpward is the largest allowed share of upward references, in percent of the
	// references between the files of a package.
	maxUpward = 10
	// maxMethods is the largest allowed number of methods of a type.
	maxMethods = 40
	// exactFiles is the largest number of files that refer to each other in cycles for which
	// the best order is computed. For more files the order is only a good one.
	exactFiles = 16
)

// upwardAllowed has the packages that may have more upward references than maxUpward percent,
// with the allowed number. A change may only make the number smaller.
var upwardAllowed = map[string]int{}

// reference means that the file from uses something that the file to declares. Both files are in
// one package.
type reference struct{ from, to string }

// typed describes one package, as `go list` prints it.
type typed struct {
	path, dir string
	files     []string
}

// order has figures about the references between the files of a package, and about the types.
type order struct {
	references int
	upward     int         // number of upward references in the best order that was found
	worst      []reference // the upward references
	methods    map[string]int
}

// TestOrder checks that the files of each package have an order in which few references run
// upwards. A reader can then read the files from the bottom to the top.
func TestOrder(t *testing.T) {
	module(t)
	exports, packages := listed(t)
	for _, p := range packages {
		name := strings.TrimPrefix(p.path, modulePath+"/")
		if strings.HasPrefix(name, "gen/") {
			continue
		}
		o, err := orderOf(p, exports)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%-35s %2d of %3d references between %2d files run upwards", name, o.upward, o.references, len(p.files))
		for typ, n := range o.methods {
			if n > maxMethods {
				t.Errorf("%s: the type %s has %d methods, want at most %d", name, typ, n, maxMethods)
			}
		}
		allowed, excepted := upwardAllowed[name]
		switch {
		case o.upward*100 <= o.references*maxUpward:
			if excepted {
				t.Errorf("%s: has no need to be in upwardAllowed any more", name)
			}
		case o.upward > allowed:
			t.Errorf("%s: %d of %d references run upwards, want at most %d %% (allowed: %d): %v",
				name, o.upward, o.references, maxUpward, allowed, o.worst)
		}
	}
}

// listed returns the files with the compiled exports of all packages, and the packages of this
// module.
func listed(t *testing.T) (exports map[string]string, packages []typed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-f",
		`{{.ImportPath}}|{{.Export}}|{{.Dir}}|{{range .GoFiles}}{{.}},{{end}}`, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr(err))
	}
	exports = map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		exports[f[0]] = f[1]
		if strings.HasPrefix(f[0], modulePath+"/") {
			packages = append(packages, typed{f[0], f[2], strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })})
		}
	}
	return exports, packages
}

// orderOf type-checks a package and puts its files into an order.
func orderOf(p typed, exports map[string]string) (order, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.files {
		f, err := parser.ParseFile(fset, filepath.Join(p.dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return order{}, err
		}
		files = append(files, f)
	}
	return orderOfFiles(p.path, fset, files, func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
}

func orderOfFiles(path string, fset *token.FileSet, files []*ast.File, exports importer.Lookup) (order, error) {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", exports)}
	pkg, err := config.Check(path, fset, files, info)
	if err != nil {
		return order{}, err
	}
	seen := map[reference]bool{}
	for id, used := range info.Uses {
		if used.Pkg() != pkg || used.Pos() == token.NoPos {
			continue
		}
		r := reference{fileOf(fset, id.Pos()), fileOf(fset, used.Pos())}
		if r.from != r.to {
			seen[r] = true
		}
	}
	o := order{references: len(seen), methods: methodsOf(pkg)}
	o.upward, o.worst = upward(seen)
	return o, nil
}

func fileOf(fset *token.FileSet, pos token.Pos) string {
	return filepath.Base(fset.Position(pos).Filename)
}

func methodsOf(pkg *types.Package) map[string]int {
	methods := map[string]int{}
	for _, name := range pkg.Scope().Names() {
		if named, ok := pkg.Scope().Lookup(name).Type().(*types.Named); ok && named.Obj().Name() == name {
			methods[name] = named.NumMethods()
		}
	}
	return methods
}

// upward returns the upward references in the best order that it finds, and their number.
func upward(references map[reference]bool) (int, []reference) {
	uses := map[string][]string{}
	for r := range references {
		uses[r.from] = append(uses[r.from], r.to)
		uses[r.to] = append(uses[r.to], []string(nil)...)
	}
	var worst []reference
	for _, cycle := range components(uses) {
		worst = append(worst, against(cycle, references)...)
	}
	slices.SortFunc(worst, func(a, b reference) int { return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to)) })
	return len(worst), worst
}

// components returns the strongly connected components of the files (Tarjan's algorithm).
// References between two components never run in both directions.
func components(uses map[string][]string) [][]string {
	index, low, onStack := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var all [][]string
	var visit func(n string)
	visit = func(n string) {
		index[n] = len(index) + 1
		low[n] = index[n]
		stack, onStack[n] = append(stack, n), true
		for _, m := range uses[n] {
			switch {
			case index[m] == 0:
				visit(m)
				low[n] = min(low[n], low[m])
			case onStack[m]:
				low[n] = min(low[n], index[m])
			}
		}
		if low[n] != index[n] {
			return
		}
		i := slices.Index(stack, n)
		for _, m := range stack[i:] {
			onStack[m] = false
		}
		all, stack = append(all, slices.Clone(stack[i:])), stack[:i]
	}
	names := make([]string, 0, len(uses))
	for n := range uses {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if index[n] == 0 {
			visit(n)
		}
	}
	return all
}

// against returns the references among some files that run upwards in their best order.
func against(files []string, references map[reference]bool) []reference {
	slices.Sort(files)
	best := greedy(files, references)
	if len(files) <= exactFiles {
		best = exact(files, references)
	}
	var worst []reference
	for i, low := range best {
		for _, high := range best[i+1:] {
			if r := (reference{low, high}); references[r] {
				worst = append(worst, r)
			}
		}
	}
	return worst
}

// exact returns the order, from the bottom to the top, with the fewest upward references. It
// needs 2^n steps for n files.
func exact(files []string, references map[reference]bool) []string {
	n := len(files)
	uses := make([]int, n) // the files that a file uses, as bits
	for i, from := range files {
		for j, to := range files {
			if references[reference{from, to}] {
				uses[i] |= 1 << j
			}
		}
	}
	cost, last := make([]int, 1<<n), make([]int, 1<<n)
	for set := 1; set < 1<<n; set++ {
		cost[set] = 1 << 30
		for i := range n {
			// File i is the highest of the files in set. Its references to files that
			// are not in set run upwards.
			if set&(1<<i) == 0 {
				continue
			}
			if c := cost[set&^(1<<i)] + ones(uses[i]&^set); c < cost[set] {
				cost[set], last[set] = c, i
			}
		}
	}
	var order []string
	for set := 1<<n - 1; set != 0; set &^= 1 << last[set] {
		order = append(order, files[last[set]])
	}
	slices.Reverse(order)
	return order
}

func ones(set int) int {
	n := 0
	for ; set != 0; set &= set - 1 {
		n++
	}
	return n
}

// greedy returns a good order. It moves each file to its best place, until no move makes the
// order better.
func greedy(files []string, references map[reference]bool) []string {
	order := slices.Clone(files)
	for moved := true; moved; {
		moved = false
		for _, file := range files {
			at := slices.Index(order, file)
			if to := bestPlace(order, at, references); to != at {
				order = slices.Insert(slices.Delete(order, at, at+1), to, file)
				moved = true
			}
		}
	}
	return order
}

// bestPlace returns the index at which the file order[at] causes the fewest upward references.
func bestPlace(order []string, at int, references map[reference]bool) int {
	file, best, least := order[at], at, 0
	for _, step := range []int{-1, 1} {
		cost := 0
		for i := at + step; i >= 0 && i < len(order); i += step {
			below, above := reference{file, order[i]}, reference{order[i], file}
			if step > 0 {
				below, above = above, below
			}
			// If file moves below order[i], a reference from file to order[i] runs upwards.
			cost += count(references[below]) - count(references[above])
			if cost < least {
				best, least = i, cost
			}
		}
	}
	return best
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func TestOrderFaults(t *testing.T) {
	for _, c := range []struct {
		name       string
		files      map[string]string
		references int
		upward     int
		methods    int // of T
	}{
		{"alone", map[string]string{"a": "type T int"}, 0, 0, 0},
		{"a line", map[string]string{"a": "func f() { g() }", "b": "func g() { h() }", "c": "func h() {}; type T int"}, 2, 0, 0},
		{"a circle", map[string]string{"a": "func f() { g() }", "b": "func g() { h() }", "c": "func h() { f() }; type T int"}, 3, 1, 0},
		{"methods and fields", map[string]string{"a": "type T struct{ n int }\nfunc (t *T) f() { t.g() }", "b": "func (t *T) g() { t.n++ }"}, 2, 1, 2},
		{"used twice", map[string]string{"a": "func f() { g(); g(); _ = x }", "b": "func g() {}; var x int; type T int"}, 1, 0, 0},
	} {
		fset := token.NewFileSet()
		var files []*ast.File
		for name, text := range c.files {
			f, err := parser.ParseFile(fset, name, "package p\n"+strings.ReplaceAll(text, "; ", "\n"), parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(c.name, err)
			}
			files = append(files, f)
		}
		o, err := orderOfFiles("p", fset, files, func(string) (io.ReadCloser, error) { return io.NopCloser(&bytes.Buffer{}), nil })
		if err != nil || o.references != c.references || o.upward != c.upward || o.methods["T"] != c.methods {
			t.Errorf("%s: %+v, %v; want %d of %d and %d methods", c.name, o, err, c.upward, c.references, c.methods)
		}
	}
}

// TestOrderGreedy checks that greedy finds the best order of small random graphs.
func TestOrderGreedy(t *testing.T) {
	for seed := range 200 {
		references, files := map[reference]bool{}, []string{"a", "b", "c", "d", "e", "f", "g"}
		for i, from := range files {
			for j, to := range files {
				if i != j && (seed*31+i*17+j*7)%5 == 0 {
					references[reference{from, to}] = true
				}
			}
		}
		good, best := len(against(files, references)), 0
		order := greedy(slices.Clone(files), references)
		for i, low := range order {
			for _, high := range order[i+1:] {
				best += count(references[reference{low, high}])
			}
		}
		if best < good || best > good+2 {
			t.Errorf("seed %d: %d upwards in the good order, %d in the best", seed, best, good)
		}
	}
}
