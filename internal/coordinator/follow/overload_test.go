package follow

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/health"
)

// judged is a rig that passes its evidence to a real mesh.
type judged struct {
	*rig
	lock sync.Mutex
	mesh *mesh.Mesh
}

func newJudged(t *testing.T) *judged {
	j := &judged{mesh: mesh.New(health.MeshPolicy{}, 1, time.Now())}
	j.rig = newRigWith(t, func(c *Config) {
		c.Observe = func(_ context.Context, ev mesh.Event, _ time.Time) error { j.apply(&ev); return nil }
		c.Score = func() int { j.lock.Lock(); defer j.lock.Unlock(); return j.mesh.Score() }
	})
	return j
}

func (j *judged) apply(ev *mesh.Event) {
	j.lock.Lock()
	defer j.lock.Unlock()
	j.mesh.Apply(nil, time.Now(), ev)
}

func (j *judged) add(name, address string) {
	spec := health.Spec{Address: address, Static: true, Lease: 1}
	j.apply(&mesh.Event{Kind: mesh.EventRegister, ID: health.ParseID(name), Lease: 1, Spec: &spec})
	j.register(name, spec)
}

// dead lets time pass, and returns the number of instances that are NOT_SERVING then.
func (j *judged) dead(d time.Duration) (n int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		j.lock.Lock()
		j.mesh.Tick(nil, time.Now())
		j.lock.Unlock()
	}
	synctest.Wait()
	j.lock.Lock()
	defer j.lock.Unlock()
	for _, s := range j.mesh.Snapshot(nil) {
		if s.Spec != nil && s.Status == health.NotServing {
			n++
		}
	}
	return n
}

// TestCrowdedDials lets all connections break at once, and all dials hang, as when a
// gateway restarts. There are more targets than dial slots. Targets that wait for a
// slot must become suspect too, so that the guard trips in time.
func TestCrowdedDials(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	const n = 1500
	synctest.Test(t, func(t *testing.T) {
		j := newJudged(t)
		_, reg := knows("pay")
		stop := j.serve("host:0", reg)
		j.at(n, "host:0")
		for i := range n {
			j.add(fmt.Sprintf("pay/%d", i), fmt.Sprintf("host:%d", i))
		}
		if dead := j.dead(time.Minute); dead > 0 {
			t.Fatalf("%d of %d are NOT_SERVING at the start", dead, n)
		}
		j.mu.Lock()
		for i := range n {
			j.silent[fmt.Sprintf("host:%d", i)] = true
		}
		j.mu.Unlock()
		stop()
		for at := range 4 {
			if dead := j.dead(20 * time.Second); dead > 0 {
				t.Fatalf("%d of %d are NOT_SERVING after %d s", dead, n, 20*(at+1))
			}
		}
	})
}

// TestRefusedBehindTheSilent tests that a dead target is reported in time, however many
// other targets do not answer.
func TestRefusedBehindTheSilent(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.silence(1000)
		_, reg := knows("pay")
		stop := r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(2 * time.Minute)
		began := time.Now()
		stop()
		refusals := 0
		for _, e := range r.after(2500 * time.Millisecond) {
			if e.Kind == mesh.EventRefused {
				refusals++
			}
		}
		if refusals < 2 {
			t.Errorf("refused %d times within %v, want 2", refusals, time.Since(began))
		}
	})
}

// TestOwnLackAndBreakers tests that a lack of file descriptors opens no breaker.
func TestOwnLackAndBreakers(t *testing.T) {
	n := 100
	if raced {
		n = 20 // each dials repeatedly, with thousands of timers
	}
	synctest.Test(t, func(t *testing.T) {
		var lack atomic.Bool
		lack.Store(true)
		r := newRigWith(t, func(c *Config) {
			dial := c.Dial.Context
			c.Dial.Context = func(ctx context.Context, a string) (net.Conn, error) {
				if lack.Load() {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
				}
				return dial(ctx, a)
			}
		})
		_, reg := knows("pay")
		r.serve("host:0", reg)
		r.at(n, "host:0")
		for i := range n {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", i)})
		}
		r.after(time.Minute)
		if by := r.manager.Breakers(); by["closed"] != n {
			t.Errorf("breakers: %v", by)
		}
		lack.Store(false)
		heard := map[health.ID]bool{}
		for _, e := range r.after(3 * time.Second) {
			heard[e.ID] = heard[e.ID] || e.Kind == mesh.EventReport
		}
		if len(heard) != n {
			t.Errorf("%d of %d have answered within 3 s", len(heard), n)
		}
	})
}

// TestMassSilence lets more targets fall silent at once than can be polled in time. All
// must be suspect, or reported as unasked, before the first one is given up. The guard
// of the mesh depends on that.
func TestMassSilence(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 6 * maxPolls
		r := newRig(t)
		s := newCounting()
		r.serve("host:0", checkOnly{s}.register)
		r.at(n, "host:0")
		for i := range n {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", i)})
		}
		r.after(2 * DefaultPollEvery)
		s.takes.Store(int64(time.Hour))
		r.after(0)
		told := map[health.ID]bool{}
		var first time.Time
		for first.IsZero() || time.Since(first) < health.DefaultUnreachableAfter {
			for _, e := range r.after(100 * time.Millisecond) {
				switch e.Kind {
				case mesh.EventPath:
					if first.IsZero() {
						first = e.at
					}
					told[e.ID] = true
				case mesh.EventNotAsked:
					told[e.ID] = true
				case mesh.EventReport:
					t.Fatalf("evidence %v from a silent target", e)
				}
			}
		}
		if len(told) != n {
			t.Errorf("evidence about %d of %d when the first is given up", len(told), n)
		}
		if c := r.manager.Coverage(); c > 0.7 {
			t.Errorf("coverage %v", c)
		}
	})
}

// at lets n addresses lead to one host.
func (r *rig) at(n int, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.hosts[host]
	for i := range n {
		r.hosts[fmt.Sprintf("host:%d", i)] = l
	}
}
