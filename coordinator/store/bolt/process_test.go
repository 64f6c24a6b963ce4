package bolt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// childEnv names the function that the test binary runs when it is started as a child.
const childEnv = "MESHHEALTH_BOLT_CHILD"

var children = map[string]func(path string) error{
	"hold":  holdChild,
	"write": writeChild,
}

func TestMain(m *testing.M) {
	f, is := children[os.Getenv(childEnv)]
	if !is {
		os.Exit(m.Run())
	}
	if err := f(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is another process. It prints lines, and ends when its standard input ends.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

func startChild(t *testing.T, name, path string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &child{cmd, stdin, bufio.NewScanner(stdout)}
}

// holdChild opens a store and keeps it open until its standard input ends.
func holdChild(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

const (
	killRounds    = 8
	killNames     = 50
	killPerBatch  = 3
	killMaxStored = 200
)

func killID(n int) health.ID {
	return health.ID{Service: "pay", Instance: strconv.Itoa(n % killNames)}
}

// killBatch returns a batch with its number in each record.
func killBatch(n int) *store.Batch {
	b := &store.Batch{
		PutRegistrations: []store.Registration{{ID: killID(n), Lease: uint64(n)}},
		PutOverrides:     []store.Override{{Scope: killID(n).String(), Reason: strconv.Itoa(n)}},
		PutStatuses:      []store.Status{{ID: killID(n), Reason: strconv.Itoa(n)}},
		AliveAt:          time.Unix(int64(n), 0),
	}
	for range killPerBatch {
		b.Transitions = append(b.Transitions, store.Transition{ID: killID(n), Reason: strconv.Itoa(n)})
	}
	return b
}

// writeChild commits batches, and prints the number of each that was acknowledged.
func writeChild(path string) error {
	s, err := Open(path, Options{MaxTransitions: killMaxStored})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // the parent has ended
	}()
	state, err := s.Load(context.Background())
	if err != nil {
		return err
	}
	n := 0
	if !state.AliveAt.IsZero() {
		n = int(state.AliveAt.Unix())
	}
	for {
		n++
		if err := s.Commit(context.Background(), killBatch(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestKill(t *testing.T) {
	path := fileIn(t.TempDir())
	for range killRounds {
		acknowledged := killWriter(t, path, 1+rand.IntN(60))
		checkKilled(t, path, acknowledged)
	}
}

// killWriter kills a writer after at least so many acknowledged batches. It returns the
// number of the last one.
func killWriter(t *testing.T, path string, after int) int {
	t.Helper()
	c := startChild(t, "write", path)
	defer c.stdin.Close()
	last := 0
	for i := 0; c.lines.Scan(); i++ {
		n, err := strconv.Atoi(c.lines.Text())
		if err != nil {
			t.Errorf("the child says %q", c.lines.Text())
		}
		last = n
		if i == after {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.cmd.Wait(); err == nil || last == 0 {
		t.Fatalf("the child was not killed, and ended after batch %d: %v", last, err)
	}
	return last
}

// checkKilled checks that the store has every acknowledged batch, at most one more, and
// each completely.
func checkKilled(t *testing.T, path string, acknowledged int) {
	t.Helper()
	s, err := Open(path, Options{MaxTransitions: killMaxStored})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	state, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	last := int(state.AliveAt.Unix())
	if last < acknowledged || last > acknowledged+1 {
		t.Fatalf("batch %d was acknowledged last, and the store has batches up to %d", acknowledged, last)
	}
	if n := min(last, killNames); len(state.Registrations) != n || len(state.Overrides) != n || len(state.Statuses) != n {
		t.Fatalf("%d, %d and %d records, want %d of each",
			len(state.Registrations), len(state.Overrides), len(state.Statuses), n)
	}
	for i, r := range state.Registrations {
		text := strconv.FormatUint(r.Lease, 10)
		if int(r.Lease) <= last-killNames || state.Overrides[i].Reason != text || state.Statuses[i].Reason != text {
			t.Errorf("records of different batches: %+v, %+v, %+v", r, state.Overrides[i], state.Statuses[i])
		}
	}
	checkKilledJournal(t, s, last)
}

func checkKilledJournal(t *testing.T, s *Store, last int) {
	t.Helper()
	page, err := s.Transitions(context.Background(), store.Query{Limit: store.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	if want := min(last*killPerBatch, killMaxStored); len(page.Transitions) != want {
		t.Fatalf("%d transitions, want %d", len(page.Transitions), want)
	}
	for i, tr := range page.Transitions {
		if want := strconv.Itoa(last - i/killPerBatch); tr.Reason != want || tr.Seq != uint64(last*killPerBatch-i) {
			t.Fatalf("transition %d is number %d of batch %s, want batch %s", i, tr.Seq, tr.Reason, want)
		}
	}
}
