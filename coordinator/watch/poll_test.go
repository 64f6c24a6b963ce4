package watch

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
)

// counting is a server with Check only, and the times it was asked at.
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
	// No timer for no time: of thousands that are due when they are made, two
	// may run at once in a bubble, which Go 1.26's race detector does not
	// survive.
	if err := pause(ctx, time.Duration(c.takes.Load())); err != nil {
		return nil, err
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_ServingStatus(c.status.Load())}, nil
}

// times returns when it was asked since the last call.
func (c *counting) times() []time.Time {
	all := make([]time.Time, len(c.asked))
	for i := range all {
		all[i] = <-c.asked
	}
	return all
}

// gaps returns the least and the most time between two that follow each other.
func gaps(at []time.Time) (least, most time.Duration) {
	least = time.Hour
	for i := 1; i < len(at); i++ {
		least, most = min(least, at[i].Sub(at[i-1])), max(most, at[i].Sub(at[i-1]))
	}
	return least, most
}

// TestPoll: where there is only Check, it is asked every five seconds, give or
// take a tenth.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.are(r.take(), "pay/a: SERVING by grpc-poll")
		r.after(DefaultPollEvery)
		s.times()
		if got := r.after(10 * time.Minute); len(got) < 115 || len(got) > 125 {
			t.Errorf("%d answers in ten minutes, want about 120", len(got))
		}
		if least, most := gaps(s.times()); least < DefaultPollEvery*89/100 || most > DefaultPollEvery*111/100 || most-least < time.Second/2 {
			t.Errorf("asked after %v to %v, want %v give or take a tenth", least, most, DefaultPollEvery)
		}
	})
}

// TestPollMissed: no answer in time is evidence against the path that ends
// nothing; after some the connection is given up, so that a new one finds what
// the old one would not. It is asked sooner while there is doubt, and ever less
// often later.
func TestPollMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(time.Minute)
		s.takes.Store(int64(time.Hour))
		s.times()
		got := r.after(2 * (DefaultPollEvery + checkTimeout))
		missed := slices.IndexFunc(got, func(e told) bool { return e.Kind == health.EventPath })
		if missed < 0 || got[missed].at.Sub(got[missed].since) != checkTimeout || slices.ContainsFunc(got[missed:], not(health.EventPath)) {
			t.Fatalf("told %v while Check hangs", got)
		}
		if again := got[missed+1].since.Sub(got[missed].at); again > 1100*time.Millisecond {
			t.Errorf("asked again %v after a miss, want a second", again)
		}
		r.after(time.Minute)
		if n := len(r.dialled("host:1")); n < 2 {
			t.Errorf("%d dials, want another connection tried", n)
		}
		s.times()
		r.after(10 * time.Minute)
		if n := len(s.times()); n < 25 || n > 75 {
			t.Errorf("asked %d times in ten minutes, want about one in 13 s", n)
		}
		s.takes.Store(0)
		got = r.after(longestWait + 2*checkTimeout)
		if got[len(got)-1].Kind != health.EventReport {
			t.Errorf("told %v when it answers again", got)
		}
	})
}

// TestPollChanged: a status that has changed is looked at again sooner, until it
// was seen as often as a better one must be.
func TestPollChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(time.Minute)
		s.status.Store(int32(healthpb.HealthCheckResponse_NOT_SERVING))
		r.after(time.Minute)
		s.status.Store(int32(healthpb.HealthCheckResponse_SERVING))
		got := r.after(time.Minute)
		news := slices.IndexFunc(got, func(e told) bool { return e.Report.Status == health.Serving })
		if soon, then := got[news+1].at.Sub(got[news].at), got[news+2].at.Sub(got[news+1].at); soon > 1100*time.Millisecond || then < 4*time.Second {
			t.Errorf("asked again after %v, then %v; want a second, then five", soon, then)
		}
	})
}

// TestPollEvery: the interval is what is configured, but no more than lets all be
// in doubt before the first is given up.
func TestPollEvery(t *testing.T) {
	for every, want := range map[time.Duration]time.Duration{
		0: 5 * time.Second, time.Second: time.Second, 3 * time.Second: 3 * time.Second,
		time.Minute: health.DefaultUnreachableAfter / 3,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRigWith(t, func(c *Config) { c.PollEvery = every })
			s := newCounting()
			r.serve("host:1", checkOnly{s}.register)
			r.register("pay/a", health.Spec{Address: "host:1"})
			r.after(time.Minute)
			s.times()
			r.after(10 * time.Minute)
			n := len(s.times())
			if mean := 10 * time.Minute / time.Duration(n); mean < want*97/100 || mean > want*103/100 {
				t.Errorf("every %v: every %v, want %v", every, mean, want)
			}
		})
	}
}

// TestPollsAreSpread: what was registered together is not asked together.
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
			if tenth := int(a.Sub(at[0]) * 10 / DefaultPollEvery); tenth < 9 { // then the second ones begin
				tenths[tenth]++
			}
		}
		if len(at) < 90 || slices.Max(tenths[:]) > 30 {
			t.Errorf("asked %v times in the tenths of an interval", tenths)
		}
	})
}

// TestPollGone: that a connection has broken is seen at once, by all who use it,
// and not when each is asked the next time. It is dialled anew when the breaker
// lets it, and not by gRPC.
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
			t.Errorf("dialled at %v", dials)
		}
		refused := map[health.ID]int{}
		for _, e := range got {
			if e.Kind == health.EventRefused {
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
