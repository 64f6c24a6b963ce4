//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// childEnv makes this binary a child, which executes the script. Its value is the path of
// the store.
const childEnv = "MESHHEALTH_STOREFAULTS_CHILD"

// scriptEnv is the number of steps of longScript that the child executes. It executes shortScript without it.
const scriptEnv = "MESHHEALTH_STOREFAULTS_SCRIPT"

// patientEnv makes the child repeat each step until it is not refused.
const patientEnv = "MESHHEALTH_STOREFAULTS_PATIENT"

func init() {
	if os.Getenv(childEnv) != "" {
		runtime.LockOSThread() // strace follows the main thread
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
		if c.script, c.err = scriptOf(os.Getenv(scriptEnv)); c.err == nil {
			c.err = c.work(path)
		}
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

// scriptOf returns the script for a value of scriptEnv.
func scriptOf(value string) (script, error) {
	if value == "" {
		return shortScript, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return nil, err
	}
	return longScript[:n], nil
}

// child executes a script.
type child struct {
	calls  chan func() // executed by the main thread
	err    error
	script script
	*registry.Registry
}

// call executes f in the main thread.
func (c *child) call(f func()) {
	done := make(chan struct{})
	c.calls <- func() { defer close(done); f() }
	<-done
}

// say prints from the main thread, so that strace shows the order of acknowledgements and
// writes.
func (c *child) say(format string, args ...any) {
	c.call(func() { fmt.Printf(format+"\n", args...) })
}

// pinned is a store whose commits and lookups run in the main thread.
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
	switch {
	case os.Getenv(upgradeEnv) != "":
		return c.upgrade(path)
	case os.Getenv(auditEnv) != "":
		return c.audit(path)
	case os.Getenv(coordinatorEnv) != "":
		return c.coordinator(path)
	case os.Getenv(openerEnv) != "":
		return openAll(os.Stdin, os.Stdout)
	}
	var s *bolt.Store
	c.call(func() { s, err = bolt.Open(path, bolt.Options{}) })
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

// run runs the registry during the script.
func (c *child) run() error {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	defer wg.Wait()
	defer stop()
	for i := range c.script {
		c.waitForStore()
		if err := c.step(i, &c.script[i]); err != nil {
			return err
		}
	}
	c.waitForStore()
	return c.well()
}

// waitForStore waits until the registry has passed what it has published to the store. The
// registry answers a command without effect after that.
func (c *child) waitForStore() {
	_, _ = c.Deregister(context.Background(), health.ParseID("no/body"), 0, false, wire.Registrant{})
}

// step executes one step, and prints its result.
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
		if errors.Is(err, domain.ErrStore) && c.self().Status != health.Degraded {
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
		_, err = c.Deregister(ctx, s.ids[0], 0, false, wire.Registrant{})
	case "clear":
		err = c.ClearOverride(ctx, health.ScopeOf(s.ids[0]), "eve", s.text)
	default:
		err = c.SetOverride(ctx, health.ScopeOf(s.ids[0]), s.override())
	}
	return err
}

// says passes evidence to the registry, which must publish it even if the store fails.
func (c *child) says(i int, s *step) error {
	id := s.ids[0]
	e, ok := c.Feed().Get(id)
	if !ok {
		c.say("refused %d: %v is not there", i, id)
		return nil
	}
	err := c.Observe(context.Background(), mesh.Event{
		Kind: mesh.EventReport, ID: id, Lease: e.Spec.Lease,
		Report: mesh.Report{Source: health.SourceMeshhealth, Status: s.to},
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

// published waits until the owner has published the evidence that it was given.
func (c *child) published() {
	_, _, _ = c.Renew(context.Background(), health.ParseID("no/body"), 0, wire.Registrant{})
}

func (c *child) self() health.State {
	c.published()
	e, _ := c.Feed().Get(health.ID{})
	return e.State
}

// well waits until the coordinator is SERVING, if its store must recover.
func (c *child) well() error {
	if os.Getenv(patientEnv) == "" {
		return nil
	}
	for late := time.Now().Add(time.Minute); c.self().Status != health.Serving; {
		if time.Now().After(late) {
			return fmt.Errorf("the store has recovered, and the coordinator is %v (%s)", c.self().Status, c.self().Reason)
		}
	}
	return nil
}

// compare checks that the registry and the store have the same records, if the store must
// recover.
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

// held returns the records of a store without its journal.
func held(state *store.State) records {
	r := records{}
	for i := range state.Registrations {
		r[state.Registrations[i].ID] = state.Registrations[i].Version
	}
	for i := range state.Overrides {
		r[health.ParseID(state.Overrides[i].Scope)] += "," + state.Overrides[i].Reason
	}
	return r
}
