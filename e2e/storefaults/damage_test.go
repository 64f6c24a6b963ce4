//go:build e2e || soak

package storefaults

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pageSize is the size of the pages that are swapped, or replaced by old ones.
const pageSize = 4096

// mutation damages a file. old are earlier contents of the file.
type mutation struct {
	name string
	do   func(random *rand.Rand, file []byte, old [][]byte) []byte
}

var mutations = []mutation{
	{"bits", func(random *rand.Rand, file []byte, _ [][]byte) []byte {
		for range 1 + random.IntN(8) {
			file[random.IntN(len(file))] ^= 1 << random.IntN(8)
		}
		return file
	}},
	{"swapped pages", func(random *rand.Rand, file []byte, _ [][]byte) []byte {
		a, b := pageOf(file, random.IntN(pages(file))), pageOf(file, random.IntN(pages(file)))
		n := min(len(a), len(b))
		kept := bytes.Clone(a[:n])
		copy(a, b[:n])
		copy(b, kept)
		return file
	}},
	{"zeros", func(random *rand.Rand, file []byte, _ [][]byte) []byte {
		from := random.IntN(len(file))
		clear(file[from:min(len(file), from+1+random.IntN(1<<(1+random.IntN(16))))])
		return file
	}},
	{"truncation", func(random *rand.Rand, file []byte, _ [][]byte) []byte {
		return file[:random.IntN(len(file))]
	}},
	{"old pages", func(random *rand.Rand, file []byte, old [][]byte) []byte {
		from := old[random.IntN(len(old))]
		for range 1 + random.IntN(3) {
			n := random.IntN(min(pages(file), pages(from)))
			copy(pageOf(file, n), pageOf(from, n))
		}
		return file
	}},
}

func pages(file []byte) int { return max(1, (len(file)+pageSize-1)/pageSize) }

func pageOf(file []byte, n int) []byte { return file[n*pageSize : min(len(file), (n+1)*pageSize)] }

// damaged returns a copy of a file with one or two mutations, and their names.
func damaged(random *rand.Rand, file []byte, old [][]byte) ([]byte, string) {
	file, names := bytes.Clone(file), []string{}
	for range 1 + random.IntN(4)/3 {
		m := mutations[random.IntN(len(mutations))]
		if len(file) > 0 {
			file = m.do(random, file, old)
			names = append(names, m.name)
		}
	}
	return file, strings.Join(names, ", ")
}

// harm is a damaged file with the job to open it.
type harm struct {
	job   *job
	name  string                                    // of the mutations
	judge func(*result) (outcome string, err error) // says what came of the job
}

// tally counts what became of damaged files.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int // by outcome, and by outcome and mutation
	longest time.Duration
}

func (t *tally) add(outcome, mutation string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[outcome]++
	t.counts[outcome+": "+mutation]++
	t.longest = max(t.longest, took)
}

func (t *tally) String() string {
	text := fmt.Sprintf("the longest took %v", t.longest.Round(time.Millisecond))
	for _, outcome := range slices.Sorted(maps.Keys(t.counts)) {
		text += fmt.Sprintf("\n%7d %s", t.counts[outcome], outcome)
	}
	return text
}

// hang is the time after which a process hangs.
const hang = 5 * time.Second

// openDamaged lets openers open n damaged files. None may crash or hang. do makes the damaged file in a folder.
func openDamaged(t *testing.T, n int, do func(random *rand.Rand, dir string) (*harm, error)) *tally {
	t.Helper()
	all, seed, numbers := &tally{counts: map[string]int{}}, rand.Uint64(), make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var workers sync.WaitGroup
	for range atOnce {
		dir := t.TempDir()
		workers.Go(func() {
			var o opener
			for i := range numbers {
				at := filepath.Join(dir, "data")
				h, err := do(rand.New(rand.NewPCG(seed, uint64(i))), at)
				if err != nil {
					t.Error(err)
					return
				}
				began, outcome := time.Now(), "crash or hang"
				r, err := o.open(h.job, hang)
				took := time.Since(began)
				if err == nil {
					outcome, err = h.judge(r)
				}
				if all.add(outcome, h.name, took); err != nil {
					t.Errorf("seed %d, file %d (%s): %s: %v", seed, i, h.name, outcome, err)
				}
				_ = os.RemoveAll(at)
			}
			if err := o.end(); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	return all
}

// put writes a file, and makes its folder.
func put(path string, content []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
}
