package follow

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
)

// counting is a server that implements Check only, and records when it was called.
type counting struct {
	healthpb.UnimplementedHealthServer
	asked  chan time.Time
	status atomic.Int32
	takes  atomic.Int64
}

func newCounting() *counting {
	c := &counting{asked: make(chan time.Time, 1<<16)}
	c.status.Store(int32(healthpb.HealthCheckResponse_SERVING))
	return c
}

func (c *counting) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	c.asked <- time.Now()
	// A timer of zero length is avoided. If thousands of timers are due when they are
	// made, two may run at once in a bubble. The race detector of Go 1.26 fails then.
	if err := pause(ctx, time.Duration(c.takes.Load())); err != nil {
		return nil, err
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_ServingStatus(c.status.Load())}, nil
}

// countPolls serves a counting target that is registered as pay/a.
func (r *rig) countPolls() *counting {
	s := newCounting()
	r.serve("host:1", checkOnly{s}.register)
	r.register("pay/a", health.Spec{Address: "host:1"})
	return s
}

// times returns when Check was called since the last call of times.
func (c *counting) times() []time.Time {
	all := make([]time.Time, len(c.asked))
	for i := range all {
		all[i] = <-c.asked
	}
	return all
}

// gaps returns the shortest and the longest time between neighbours.
func gaps(at []time.Time) (least, most time.Duration) {
	least = time.Hour
	for i := 1; i < len(at); i++ {
		least, most = min(least, at[i].Sub(at[i-1])), max(most, at[i].Sub(at[i-1]))
	}
	return least, most
}

// TestPoll tests that a target which implements Check only is polled every five
// seconds, plus or minus a tenth.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.countPolls()
		r.expect(r.drain(), "pay/a: SERVING by grpc-poll")
		r.after(DefaultPollEvery)
		s.times()
		if got := r.after(10 * time.Minute); len(got) < 115 || len(got) > 125 {
			t.Errorf("%d answers in ten minutes, want about 120", len(got))
		}
		if least, most := gaps(s.times()); least < DefaultPollEvery*89/100 || most > DefaultPollEvery*111/100 || most-least < time.Second/2 {
			t.Errorf("intervals from %v to %v, want %v plus or minus a tenth", least, most, DefaultPollEvery)
		}
	})
}

// TestPollMissed tests a target that stops answering. Each missed poll is evidence
// against the path. After some of them the connection is replaced. The target is polled
// sooner at first, and less and less often later.
func TestPollMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.countPolls()
		r.after(time.Minute)
		s.takes.Store(int64(time.Hour))
		s.times()
		got := r.after(2 * (DefaultPollEvery + checkTimeout))
		missed := slices.IndexFunc(got, func(e told) bool { return e.Kind == mesh.EventPath })
		if missed < 0 || got[missed].at.Sub(got[missed].since) != checkTimeout || slices.ContainsFunc(got[missed:], not(mesh.EventPath)) {
			t.Fatalf("evidence %v while Check hangs", got)
		}
		if again := got[missed+1].since.Sub(got[missed].at); again > 1100*time.Millisecond {
			t.Errorf("polled again %v after a missed poll, want a second", again)
		}
		r.after(time.Minute)
		if n := len(r.dialled("host:1")); n < 2 {
			t.Errorf("%d dials, want another connection tried", n)
		}
		s.times()
		r.after(10 * time.Minute)
		if n := len(s.times()); n < 25 || n > 75 {
			t.Errorf("%d polls in ten minutes, want about one every 13 s", n)
		}
		s.takes.Store(0)
		got = r.after(longestWait + 2*checkTimeout)
		if got[len(got)-1].Kind != mesh.EventReport {
			t.Errorf("evidence %v when the target answers again", got)
		}
	})
}

// TestPollChanged tests that a target whose status has changed is polled sooner, until
// the status was seen as often as a better one must be.
func TestPollChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.countPolls()
		r.after(time.Minute)
		s.status.Store(int32(healthpb.HealthCheckResponse_NOT_SERVING))
		r.after(time.Minute)
		s.status.Store(int32(healthpb.HealthCheckResponse_SERVING))
		got := r.after(time.Minute)
		news := slices.IndexFunc(got, func(e told) bool { return e.Report.Status == health.Serving })
		if soon, then := got[news+1].at.Sub(got[news].at), got[news+2].at.Sub(got[news+1].at); soon > 1100*time.Millisecond || then < 4*time.Second {
			t.Errorf("polled again after %v, then %v; want a second, then five", soon, then)
		}
	})
}

// TestPollEvery tests that the interval is the configured one, limited so that all
// targets are suspect before the first is given up.
func TestPollEvery(t *testing.T) {
	for every, want := range map[time.Duration]time.Duration{
		0: 5 * time.Second, time.Second: time.Second, 3 * time.Second: 3 * time.Second,
		time.Minute: health.DefaultUnreachableAfter / 3,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRigWith(t, func(c *Config) { c.PollEvery = every })
			s := r.countPolls()
			r.after(time.Minute)
			s.times()
			r.after(10 * time.Minute)
			n := len(s.times())
			if mean := 10 * time.Minute / time.Duration(n); mean < want*97/100 || mean > want*103/100 {
				t.Errorf("configured %v: polled every %v, want %v", every, mean, want)
			}
		})
	}
}

// TestPollsAreSpread tests that targets which were registered together are not polled
// together.
func TestPollsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		for i := range 100 {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: "host:1"})
		}
		s.times()
		r.after(DefaultPollEvery)
		var tenths [10]int
		at := s.times()
		for _, a := range at {
			if tenth := int(a.Sub(at[0]) * 10 / DefaultPollEvery); tenth < 9 { // later, the second polls begin
				tenths[tenth]++
			}
		}
		if len(at) < 90 || slices.Max(tenths[:]) > 50 { // the largest has 20 on average; without spreading it would have 100
			t.Errorf("%v polls in the tenths of an interval", tenths)
		}
	})
}

// TestPollGone tests that all users of a connection notice at once when it breaks, and
// not at their next poll. The follower dials again when the breaker permits it, and
// gRPC does not.
func TestPollGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stop := r.serve("host:1", checkOnly{newCounting()}.register)
		for i := range 10 {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: "host:1"})
		}
		r.after(time.Minute)
		before := len(r.dialled("host:1"))
		stop()
		got := r.after(firstWait)
		dials := r.dialled("host:1")[before:]
		if least, _ := gaps(dials); least < leastWait {
			t.Errorf("dials at %v", dials)
		}
		refused := map[health.ID]int{}
		for _, e := range got {
			if e.Kind == mesh.EventRefused {
				refused[e.ID]++
			}
		}
		for i := range 10 {
			if n := refused[health.ParseID(fmt.Sprintf("pay/%d", i))]; n != 2 {
				t.Errorf("pay/%d was refused %d times within %v, want twice", i, n, firstWait)
			}
		}
	})
}
