package server_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// arrival is one message of a Watch.
type arrival struct {
	at     time.Time
	status pb.Status
}

// arrivals are the messages of one Watch without heartbeats.
type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

func arriving(t *testing.T, s *server.Server) *arrivals {
	t.Helper()
	stream, err := pb.NewHealthServiceClient(serve(t, s).dial(t)).Watch(t.Context(), &pb.WatchRequest{
		Names: []string{service}, Heartbeat: durationpb.New(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &arrivals{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			if len(m.GetEntries()) > 0 {
				a.mu.Lock()
				a.all = append(a.all, arrival{time.Now(), m.GetEntries()[0].GetStatus()})
				a.mu.Unlock()
			}
		}
	})
	t.Cleanup(running.Wait)
	synctest.Wait()
	return a
}

// take returns the messages since the previous call.
func (a *arrivals) take() []arrival {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

// flapping returns checks that change at each run and do not affect the service.
func flapping(n int) []server.Check {
	checks := make([]server.Check, n)
	for i := range checks {
		var runs atomic.Int64
		checks[i] = server.Check{
			Name: fmt.Sprint("flaps", i), Every: server.MinEvery, OnFail: server.Ignore, FailAfter: 1, RecoverAfter: 1,
			Run: func(context.Context) error {
				if runs.Add(1)%2 == 0 {
					return errDown
				}
				return nil
			},
		}
	}
	return checks
}

// TestNewsAreBounded: a Watch receives at most ten messages per second about checks,
// however many checks there are. It receives a changed status at once.
func TestNewsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{MaxConcurrent: -1})
		db := &probe{}
		add(t, s, flapping(1000)...)
		add(t, s, server.Check{Name: "db", Run: db.run, Every: 100 * time.Millisecond, FailAfter: 1, RecoverAfter: 1})
		start(t, s)
		a := arriving(t, s)
		time.Sleep(10 * time.Second)
		all := a.take()
		if n := len(all); n < 40 {
			t.Errorf("%d messages in ten seconds: news are lost", n)
		}
		for i := range all[:len(all)-10] {
			if apart := all[i+10].at.Sub(all[i].at); apart < time.Second {
				t.Errorf("eleven messages in %v", apart)
			}
		}
		for _, c := range []struct {
			err  error
			want pb.Status
		}{{errDown, pb.Status_STATUS_NOT_SERVING}, {nil, pb.Status_STATUS_SERVING}} {
			time.Sleep(37 * time.Millisecond)
			a.take()
			db.set(c.err)
			now := time.Now()
			time.Sleep(time.Second)
			all = a.take()
			changed := all[0].at
			for _, one := range all {
				if changed = one.at; one.status == c.want {
					break
				}
			}
			if ran := ranAfter(db, now); !changed.Equal(ran) {
				t.Errorf("%v was told %v after the run that said so", c.want, changed.Sub(ran))
			}
			if n := len(all); n > 12 {
				t.Errorf("%d messages in the second of a change", n)
			}
		}
	})
}

// ranAfter returns the time of the first run of p after a time.
func ranAfter(p *probe, at time.Time) time.Time {
	for _, start := range p.runs() {
		if start.After(at) {
			return start
		}
	}
	return time.Time{}
}

// TestStatusesAreNotBounded: each status that is set by hand is sent at once. A new
// reason alone is sent soon, and the last reason is always sent.
func TestStatusesAreNotBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{ShowReasons: func(context.Context) bool { return true }})
		start(t, s)
		a := arriving(t, s)
		a.take()
		for i := range 100 {
			status := [...]health.Status{health.Degraded, health.NotServing}[i%2]
			if err := s.SetStatus(status, "by hand"); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			if got := a.take(); len(got) != 1 || !got[0].at.Equal(now) {
				t.Fatalf("%v: told %v, want it at %v", status, got, now)
			}
			time.Sleep(time.Millisecond)
		}
		for i := range 1000 {
			if err := s.SetStatus(health.NotServing, fmt.Sprint("queue ", i)); err != nil {
				t.Fatal(err)
			}
			s.SetServingStatus(service, 2)
			time.Sleep(time.Millisecond)
		}
		if n := len(a.take()); n > 10 || n < 9 {
			t.Errorf("%d messages for a thousand reasons in a second, want 10", n)
		}
		time.Sleep(200 * time.Millisecond)
		if got := current(t, s).Reason; got != "queue 999; failed" {
			t.Errorf("the last reason is %q", got)
		}
	})
}
