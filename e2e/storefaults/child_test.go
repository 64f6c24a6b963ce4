//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/boltstore"
	"github.com/meshhealth/meshhealth/coordinator/registry"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// childEnv makes this binary a child: it works off the script on the store at
// that path.
const childEnv = "MESHHEALTH_STOREFAULTS_CHILD"

// patientEnv makes it ask again until it is not refused.
const patientEnv = "MESHHEALTH_STOREFAULTS_PATIENT"

func init() {
	if os.Getenv(childEnv) != "" {
		runtime.LockOSThread() // so that main is the thread that strace follows
	}
}

func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	c := &child{calls: make(chan func())}
	go func() {
		defer close(c.calls)
		c.err = c.work(path)
	}()
	for call := range c.calls {
		call()
	}
	if c.err != nil {
		fmt.Println("error:", c.err)
		os.Exit(1)
	}
	fmt.Println("done")
}

// child works off the script.
type child struct {
	calls chan func() // for the main thread
	err   error
	*registry.Registry
}

// call has f done by the main thread.
func (c *child) call(f func()) {
	done := make(chan struct{})
	c.calls <- func() { defer close(done); f() }
	<-done
}

// say is a system call of the main thread too, so that strace shows what was
// acknowledged before which write.
func (c *child) say(format string, args ...any) {
	c.call(func() { fmt.Printf(format+"\n", args...) })
}

// pinned is a store whose writer is the main thread.
type pinned struct {
	store.Store
	c *child
}

func (p pinned) Commit(ctx context.Context, b *store.Batch) (err error) {
	p.c.call(func() { err = p.Store.Commit(ctx, b) })
	return err
}

func (p pinned) Lookup(ctx context.Context, ids []health.ID) (s store.State, err error) {
	p.c.call(func() { s, err = p.Store.Lookup(ctx, ids) })
	return s, err
}

func (c *child) work(path string) (err error) {
	var s *boltstore.Store
	c.call(func() { s, err = boltstore.Open(path, boltstore.Options{}) })
	if err != nil {
		return err
	}
	defer c.call(func() { err = errors.Join(err, s.Close()) })
	lease := uint64(0)
	c.Registry, err = registry.New(context.Background(), registry.Config{
		Store: pinned{s, c}, Policy: health.MeshPolicy{FlapHalfLife: -1},
		NewLease: func() uint64 { lease++; return lease },
	})
	if err != nil {
		return err
	}
	if err := c.run(); err != nil {
		return err
	}
	return c.compare(s)
}

// run runs the registry as long as the script takes.
func (c *child) run() error {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	defer wg.Wait()
	defer stop()
	for i := range script {
		c.settle()
		if err := c.step(i, &script[i]); err != nil {
			return err
		}
	}
	c.settle()
	return c.well()
}

// settle waits until what the registry has published so far was given to the
// store: an order that comes to nothing is answered after that.
func (c *child) settle() {
	_ = c.Deregister(context.Background(), health.ParseID("no/body"), 0)
}

// step does one step, and says what has become of it.
func (c *child) step(i int, s *step) error {
	if s.what == "says" {
		return c.says(i, s)
	}
	for {
		err := c.ask(s)
		if err == nil {
			c.say("acknowledged %d", i)
			return nil
		}
		c.say("refused %d: %v", i, err)
		if errors.Is(err, wire.ErrStore) && c.self().Status != health.Degraded {
			return fmt.Errorf("step %d is refused (%v), and the coordinator is %v", i, err, c.self().Status)
		}
		if os.Getenv(patientEnv) == "" {
			return nil
		}
	}
}

func (c *child) ask(s *step) (err error) {
	ctx := context.Background()
	switch s.what {
	case "register":
		_, err = c.Register(ctx, s.registrations())
	case "deregister":
		err = c.Deregister(ctx, s.ids[0], 0)
	case "clear":
		err = c.ClearOverride(ctx, health.ScopeOf(s.ids[0]), "eve", "done")
	default:
		err = c.SetOverride(ctx, health.ScopeOf(s.ids[0]), s.override())
	}
	return err
}

// says hands in evidence, which has to be published whatever the store does.
func (c *child) says(i int, s *step) error {
	id := s.ids[0]
	e, ok := c.Feed().Get(id)
	if !ok {
		c.say("refused %d: %v is not there", i, id)
		return nil
	}
	err := c.Observe(context.Background(), health.Event{
		Kind: health.EventReport, ID: id, Lease: e.Spec.Lease,
		Report: health.Report{Source: health.SourceMeshhealth, Status: s.to},
	}, time.Time{})
	if err != nil {
		return err
	}
	c.published()
	if e, _ := c.Feed().Get(id); e.Judged != s.to {
		return fmt.Errorf("step %d: %v is %v", i, id, e.Judged)
	}
	c.say("acknowledged %d", i)
	return nil
}

// published waits until the owner has published what it was given.
func (c *child) published() {
	_, _, _ = c.Renew(context.Background(), health.ParseID("no/body"), 0)
}

func (c *child) self() health.State {
	c.published()
	e, _ := c.Feed().Get(health.ID{})
	return e.State
}

// well waits for the coordinator to be well again, if its store is to be.
func (c *child) well() error {
	if os.Getenv(patientEnv) == "" {
		return nil
	}
	for late := time.Now().Add(10 * time.Second); c.self().Status != health.Serving; {
		if time.Now().After(late) {
			return fmt.Errorf("the store takes records, and the coordinator is %v (%s)", c.self().Status, c.self().Reason)
		}
	}
	return nil
}

// compare wants memory and store to know the same, if the store has taken all
// in the end.
func (c *child) compare(s store.Store) error {
	if os.Getenv(patientEnv) == "" {
		return nil
	}
	state, err := s.Load(context.Background())
	if err != nil {
		return err
	}
	held := held(&state)
	entries, _ := c.Feed().Snapshot()
	var differ []string
	for _, e := range entries {
		if e.Spec == nil {
			continue
		}
		text := e.Spec.Version
		if e.Override != nil {
			text += "," + e.Override.Reason
		}
		if held[e.ID] != text {
			differ = append(differ, fmt.Sprintf("%v is %q in memory, %q in the store", e.ID, text, held[e.ID]))
		}
		delete(held, e.ID)
	}
	if len(differ)+len(held) > 0 {
		return fmt.Errorf("%s; in the store only: %v", strings.Join(differ, "; "), held)
	}
	return nil
}

// held is what a store holds, but for its history.
func held(state *store.State) records {
	r := records{}
	for i := range state.Registrations {
		r[state.Registrations[i].ID] = state.Registrations[i].Version
	}
	for i := range state.Overrides {
		r[state.Overrides[i].ID] += "," + state.Overrides[i].Reason
	}
	return r
}
