//go:build e2e || soak

package storefaults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	"github.com/meshhealth/meshhealth/health"
)

// earlierStores are stores of an earlier format. An upgrade of one is a single commit.
const earlierStores = "../../coordinator/store/bolt/testdata/format-1*.db"

// upgradeEnv makes the child open its store and commit to it, without a registry.
const upgradeEnv = "MESHHEALTH_STOREFAULTS_UPGRADE"

// newService is the service that the child adds transitions of. No fixture has it.
const newService = "new"

// upgrade opens a store, which upgrades it, and commits to it. The main thread makes all
// its calls.
func (c *child) upgrade(path string) (err error) {
	c.call(func() {
		var s *bolt.Store
		if s, err = bolt.Open(path, bolt.Options{}); err != nil {
			return
		}
		for n := range 5 {
			err = errors.Join(err, s.Commit(context.Background(), &store.Batch{
				Transitions: []store.Transition{{ID: health.ID{Service: newService}, Reason: strings.Repeat("x", n*1000)}},
			}))
		}
		err = errors.Join(err, s.Close())
	})
	return err
}

// upgradeUnderStrace runs a child that upgrades the store at path.
func upgradeUnderStrace(path string, options ...string) *run {
	return runChild(path, []string{upgradeEnv + "=1"}, options...)
}

// contentAt opens the store at path, which upgrades it, and returns its content as text,
// without the transitions that the child has added.
func contentAt(path string) (string, error) {
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return "", err
	}
	state, err := s.Load(context.Background())
	state.LastBatch = 0
	page, err2 := s.Transitions(context.Background(), store.Query{Limit: store.MaxPage})
	page.Transitions = slices.DeleteFunc(page.Transitions, func(t store.Transition) bool { return t.ID.Service == newService })
	text, err3 := json.Marshal([]any{state, page})
	var ids strings.Builder // JSON omits them
	for i := range state.Registrations {
		fmt.Fprintln(&ids, state.Registrations[i].ID)
	}
	for i := range state.Overrides {
		fmt.Fprintln(&ids, state.Overrides[i].Scope)
	}
	for i := range page.Transitions {
		fmt.Fprintln(&ids, page.Transitions[i].ID, page.Transitions[i].Seq)
	}
	return ids.String() + string(text), errors.Join(err, err2, err3, s.Close())
}

// checkUpgrade opens the store at path after a fault. It must have all its content.
func checkUpgrade(path, want string) error {
	got, err := contentAt(path)
	if err == nil && got != want {
		err = fmt.Errorf("the store has %s\nwant %s", got, want)
	}
	return err
}

// forEachEarlierStore calls f with the image of each store and with its content.
func forEachEarlierStore(t *testing.T, f func(t *testing.T, image []byte, content string)) {
	needStrace(t)
	names, err := filepath.Glob(earlierStores)
	if err != nil || len(names) == 0 {
		t.Fatalf("no stores: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			image, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "store.db")
			if err := overwrite(path, image); err != nil {
				t.Fatal(err)
			}
			content, err := contentAt(path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, image, content)
		})
	}
}

// recordUpgrade runs an upgrade and records its writes.
func recordUpgrade(path string, image []byte, options ...string) (*recorded, error) {
	if err := overwrite(path, image); err != nil {
		return nil, err
	}
	r := &recorded{image: image, run: upgradeUnderStrace(path, append(traced, options...)...)}
	var err error
	r.events, err = events(r.calls)
	return r, r.explain(errors.Join(r.err, err))
}

// TestPowerCutDuringUpgrade cuts the power after each call of an upgrade.
func TestPowerCutDuringUpgrade(t *testing.T) {
	forEachEarlierStore(t, func(t *testing.T, image []byte, content string) {
		r, err := recordUpgrade(filepath.Join(t.TempDir(), "store.db"), image)
		if err != nil {
			t.Fatal(err)
		}
		d, disks := newDisk(image), 0
		for i := range r.events {
			d.apply(&r.events[i])
			for k, pick := range picks(uint64(i), 8) {
				disks++
				path := r.path + ".cut"
				if err := errors.Join(overwrite(path, d.cut(pick)), checkUpgrade(path, content)); err != nil {
					t.Errorf("power cut after call %d (%s), the %d-th: %v", i, r.events[i].call, k, err)
				}
			}
		}
		t.Logf("%d disks", disks)
		if writes := len(r.events); writes < 4 {
			t.Errorf("only %d calls were seen", writes)
		}
	})
}

// TestPowerCutAfterFailedUpgrade makes a sync of an upgrade fail, which ends the process.
// A second process then opens the store and commits, and the power is cut.
func TestPowerCutAfterFailedUpgrade(t *testing.T) {
	forEachEarlierStore(t, func(t *testing.T, image []byte, content string) {
		for n := 1; n <= 2; n++ { // the data pages, the meta page
			path := filepath.Join(t.TempDir(), "store.db")
			r, err := recordUpgrade(path, image, "-e", fmt.Sprintf("inject=fdatasync:error=EIO:when=%d+", n))
			if err == nil {
				t.Fatalf("sync %d of the upgrade did not fail", n)
			}
			d := newDisk(image)
			for i := range r.events {
				d.apply(&r.events[i])
			}
			second := &recorded{run: upgradeUnderStrace(path, traced...)}
			if second.events, err = events(second.calls); err != nil || second.err != nil {
				t.Fatal(second.explain(errors.Join(err, second.err)))
			}
			for i := range second.events {
				d.apply(&second.events[i])
				for k, pick := range picks(uint64(i), 8) {
					if err := errors.Join(overwrite(path+".cut", d.cut(pick)), checkUpgrade(path+".cut", content)); err != nil {
						t.Errorf("sync %d failed; power cut after call %d of the second process, the %d-th: %v", n, i, k, err)
					}
				}
			}
		}
	})
}

// TestEveryCallOfUpgrade makes each call of an upgrade fail once, or kills the process
// there.
func TestEveryCallOfUpgrade(t *testing.T) {
	forEachEarlierStore(t, func(t *testing.T, image []byte, content string) {
		r, err := recordUpgrade(filepath.Join(t.TempDir(), "store.db"), image)
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]int{}
		for i := range r.events {
			made[r.events[i].call]++
		}
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				sweep(t, made[f.call], func(path string, n int) error {
					if err := overwrite(path, image); err != nil {
						return err
					}
					r := upgradeUnderStrace(path, "-e", "trace="+f.call, "-e", f.inject(n))
					if !r.injected() {
						return r.explain(errors.New("the call was not made"))
					}
					return r.explain(checkUpgrade(path, content))
				})
			})
		}
	})
}
