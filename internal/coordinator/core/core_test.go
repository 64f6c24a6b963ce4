package core

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

var errDisk = errors.New("no space left on device")

// rig is a core without a clock and a store: a test gives it the time and the
// results.
type rig struct {
	t     *testing.T
	core  *Core
	now   time.Time
	lease uint64
	out   Output // of the last Step
}

// newRig returns a core whose store holds nothing, after its first commit.
func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: time.Unix(1_000_000, 0)}
	r.core = New(Config{
		StoreTrust: time.Minute, MaxInstances: 10, QueueBytes: 1 << 20, NewLease: func() uint64 { r.lease++; return r.lease },
	}, r.now)
	r.core.Load(r.now, &store.State{})
	r.step(0)
	r.step(0, Input{Result: &Result{}})
	return r
}

// step lets time pass and gives the core inputs. It calls the replies.
func (r *rig) step(after time.Duration, inputs ...Input) {
	r.now = r.now.Add(after)
	r.out = r.core.Step(r.now, inputs)
	for _, reply := range r.out.Replies {
		reply()
	}
}

// register sends a registration. The returned function reports whether it is
// answered, and how.
func (r *rig) register(name string) (answer func() (bool, error)) {
	c := &Command{Register: []wire.Registration{{
		ID: health.ParseID(name), Spec: health.Spec{Address: "192.0.2.1:1", Incarnation: "i", TTL: time.Minute},
	}}}
	answered := false
	r.step(0, Input{Command: c, Reply: func() { answered = true }})
	return func() (bool, error) { return answered, c.Err }
}

// wantAnswer checks that a command is answered with an error, nil for success.
func (r *rig) wantAnswer(answer func() (bool, error), want error) {
	r.t.Helper()
	if answered, err := answer(); !answered || !errors.Is(err, want) {
		r.t.Errorf("answered %t: %v, want %v", answered, err, want)
	}
}

func (r *rig) wantOperation(batch bool) {
	r.t.Helper()
	if op := r.out.Operation; op == nil || (op.Batch != nil) != batch {
		r.t.Fatalf("the operation is %+v; want one with a batch: %t", op, batch)
	}
}

func (r *rig) publishes(name string) bool {
	for i := range r.out.Changes {
		if r.out.Changes[i].ID == health.ParseID(name) {
			return true
		}
	}
	return false
}

// TestAnswerAfterCommit: a registration is neither published nor answered before its
// batch is committed, and both in the same Step then.
func TestAnswerAfterCommit(t *testing.T) {
	r := newRig(t)
	answer := r.register("pay/a")
	r.wantOperation(true)
	if n := len(r.out.Operation.Batch.PutRegistrations); n != 1 {
		t.Errorf("the batch has %d registrations", n)
	}
	r.step(time.Second)
	if answered, _ := answer(); answered || r.publishes("pay/a") || r.out.Operation != nil {
		t.Errorf("before the commit: answered %t, output %+v", answered, r.out)
	}
	r.step(0, Input{Result: &Result{}})
	if r.wantAnswer(answer, nil); !r.publishes("pay/a") {
		t.Errorf("the changes are %+v", r.out.Changes)
	}
}

// TestOneOperationAtATime: commands that arrive during a commit are in the next one.
func TestOneOperationAtATime(t *testing.T) {
	r := newRig(t)
	first := r.register("pay/a")
	second, third := r.register("pay/b"), r.register("pay/c")
	if r.out.Operation != nil {
		t.Fatalf("a second operation: %+v", r.out.Operation)
	}
	r.step(0, Input{Result: &Result{}})
	r.wantAnswer(first, nil)
	r.wantOperation(true)
	if n := len(r.out.Operation.Batch.PutRegistrations); n != 2 {
		t.Errorf("the batch has %d registrations, want both that wait", n)
	}
	r.step(0, Input{Result: &Result{}})
	r.wantAnswer(second, nil)
	r.wantAnswer(third, nil)
}

// TestFailedCommit: after an error the store is asked whether it has made the commit,
// and the command is answered by that.
func TestFailedCommit(t *testing.T) {
	for what, c := range map[string]struct {
		made bool
		want error
	}{"made": {true, nil}, "not made": {false, domain.ErrStore}} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			answer := r.register("pay/a")
			id := r.out.Operation.Batch.ID
			r.step(0, Input{Result: &Result{Err: errDisk}})
			r.wantOperation(false)
			if r.out.Operation.Lookup != id || r.out.Stats.StoreError == "" {
				t.Errorf("asks for %v, want %v; the store error is %q", r.out.Operation.Lookup, id, r.out.Stats.StoreError)
			}
			r.step(0, Input{Result: &Result{Made: c.made}})
			if r.wantAnswer(answer, c.want); r.publishes("pay/a") != c.made {
				t.Errorf("the changes are %+v", r.out.Changes)
			}
		})
	}
}

// TestIndeterminateCommit: while the store cannot tell, commands are refused and
// nothing is published. When it can, memory follows the store.
func TestIndeterminateCommit(t *testing.T) {
	for what, made := range map[string]bool{"made": true, "not made": false} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			answer := r.register("pay/a")
			r.step(0, Input{Result: &Result{Err: errDisk}})
			r.step(0, Input{Result: &Result{Err: errDisk}})
			if r.wantAnswer(answer, domain.ErrStore); r.publishes("pay/a") {
				t.Errorf("the changes are %+v", r.out.Changes)
			}
			r.step(RetryStore)
			r.wantOperation(false)
			r.step(0, Input{Result: &Result{Made: made}})
			if r.wantOperation(true); r.publishes("pay/a") != made {
				t.Errorf("the changes are %+v", r.out.Changes)
			}
		})
	}
}

// TestStop: the last Steps write what waits, and nothing else happens.
func TestStop(t *testing.T) {
	r := newRig(t)
	first, second := r.register("pay/a"), r.register("pay/b")
	r.core.Stop()
	for range 2 {
		r.step(0, Input{Result: &Result{}})
	}
	r.wantAnswer(first, nil)
	r.wantAnswer(second, nil)
	if !r.core.Stopped() {
		t.Error("it waits for another operation")
	}
	if late := r.register("pay/c"); r.out.Operation != nil {
		answered, err := late()
		t.Errorf("after the end: %+v, answered %t, %v", r.out.Operation, answered, err)
	}
}

// TestHangingStoreIsShown: a hanging operation makes the coordinator DEGRADED after
// SlowCommit, and a Step is due by then.
func TestHangingStoreIsShown(t *testing.T) {
	r := newRig(t)
	r.register("pay/a")
	for r.out.Stats.StoreError == "" {
		if r.out.Sleep > MaxSleep {
			t.Fatalf("sleeps for %v", r.out.Sleep)
		}
		r.step(MaxSleep)
	}
	if hangs := r.now.Sub(time.Unix(1_000_000, 0)); hangs <= SlowCommit || hangs > SlowCommit+MaxSleep {
		t.Errorf("it is shown after %v, want %v", hangs, SlowCommit)
	}
}

// TestStoredProof: a proof that was stored counts only for the registration for which it was found. A registration
// may be newer than the stored status.
func TestStoredProof(t *testing.T) {
	id := health.ParseID("pay/a")
	now := time.Unix(1_000_000, 0)
	reg := store.Registration{ID: id, Address: "192.0.2.1:1", Static: true, Registrant: "spiffe://d/x", Proof: "missing", Lease: 7}
	for name, c := range map[string]struct {
		change func(r *store.Registration, s *store.Status)
		proof  health.EndpointProof
		route  health.Route
	}{
		"the same":             {func(*store.Registration, *store.Status) {}, health.ProofIdentity, health.RouteHealthy},
		"another lease":        {func(r *store.Registration, _ *store.Status) { r.Lease++ }, health.ProofMissing, health.RouteUnproven},
		"another address":      {func(r *store.Registration, _ *store.Status) { r.Address = "192.0.2.1:2" }, health.ProofMissing, health.RouteUnproven},
		"another registrant":   {func(r *store.Registration, _ *store.Status) { r.Registrant = "" }, health.ProofMissing, health.RouteUnproven},
		"no proof":             {func(_ *store.Registration, s *store.Status) { s.Shown = nil }, health.ProofMissing, health.RouteUnproven},
		"an unknown proof":     {func(_ *store.Registration, s *store.Status) { s.Shown.Proof = "sworn" }, health.ProofMissing, health.RouteUnproven},
		"an unknown placement": {func(r *store.Registration, s *store.Status) { r.Proof, s.Shown = "sworn", nil }, health.ProofMissing, health.RouteUnproven},
		"an earlier version":   {func(r *store.Registration, s *store.Status) { r.Proof, s.Shown = "", nil }, health.ProofNotRequired, health.RouteHealthy},
	} {
		r, s := reg, store.Status{
			ID: id, Status: health.Serving, Route: "HEALTHY", Endpoint: netip.MustParseAddrPort("192.0.2.1:1"),
			Shown: &store.ShownProof{Proof: "identity", Lease: 7, Address: reg.Address, Registrant: reg.Registrant},
		}
		c.change(&r, &s)
		core := New(Config{StoreTrust: time.Minute, MaxInstances: 10, QueueBytes: 1 << 20, NewLease: func() uint64 { return 1 }}, now)
		changes, _ := core.Load(now, &store.State{AliveAt: now, Registrations: []store.Registration{r}, Statuses: []store.Status{s}})
		found := false
		for i := range changes {
			if changes[i].ID == id {
				found = true
				if changes[i].Proof != c.proof || changes[i].Route != c.route {
					t.Errorf("%s: the proof is %v and the route %v, want %v and %v", name, changes[i].Proof, changes[i].Route, c.proof, c.route)
				}
			}
		}
		if !found {
			t.Errorf("%s: the instance is not published", name)
		}
	}
}
