package watch

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

	"github.com/meshhealth/meshhealth/health"
)

// judged is a rig whose evidence a real mesh judges.
type judged struct {
	*rig
	lock sync.Mutex
	mesh *health.Mesh
}

func newJudged(t *testing.T) *judged {
	j := &judged{mesh: health.NewMesh(health.MeshPolicy{}, 1, time.Now())}
	j.rig = newRigWith(t, func(c *Config) {
		c.Observe = func(_ context.Context, ev health.Event, _ time.Time) error { j.apply(&ev); return nil }
		c.Score = func() int { j.lock.Lock(); defer j.lock.Unlock(); return j.mesh.Score() }
	})
	return j
}

func (j *judged) apply(ev *health.Event) {
	j.lock.Lock()
	defer j.lock.Unlock()
	j.mesh.Apply(nil, time.Now(), ev)
}

func (j *judged) add(name, address string) {
	spec := health.Spec{Address: address, Static: true, Lease: 1}
	j.apply(&health.Event{Kind: health.EventRegister, ID: health.ParseID(name), Lease: 1, Spec: &spec})
	j.register(name, spec)
}

// dead lets time pass, and counts who is NOT_SERVING then.
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

// TestCrowdedDials: all connections break at once, and nothing gets through any
// more, as when a gateway restarts. There are more to dial than can be: those who
// wait for it are in doubt too, so that the guard comes in time.
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
			t.Fatalf("%d of %d are NOT_SERVING before anything happened", dead, n)
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

// TestRefusedBehindTheSilent: who has died is called so in time, however many
// others do not answer.
func TestRefusedBehindTheSilent(t *testing.T) {
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
			if e.Kind == health.EventRefused {
				refusals++
			}
		}
		if refusals < 2 {
			t.Errorf("refused %d times within %v, want 2", refusals, time.Since(began))
		}
	})
}

// TestOwnLackAndBreakers: what we lack opens nobody's breaker.
func TestOwnLackAndBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lack atomic.Bool
		lack.Store(true)
		r := newRigWith(t, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, a string) (net.Conn, error) {
				if lack.Load() {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
				}
				return dial(ctx, a)
			}
		})
		_, reg := knows("pay")
		r.serve("host:0", reg)
		r.at(100, "host:0")
		for i := range 100 {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", i)})
		}
		r.after(time.Minute)
		if by := r.w.Breakers(); by["closed"] != 100 {
			t.Errorf("breakers: %v", by)
		}
		lack.Store(false)
		heard := map[health.ID]bool{}
		for _, e := range r.after(3 * time.Second) {
			heard[e.ID] = heard[e.ID] || e.Kind == health.EventReport
		}
		if len(heard) != 100 {
			t.Errorf("%d of 100 were heard within 3 s", len(heard))
		}
	})
}
