package resolver_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/meshhealth/meshhealth/client/resolver"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// load makes calls on channels until it is stopped.
type load struct {
	stop   context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	calls  int
	by     map[string]int // answers by instance
	errors []error
}

// loadAll makes calls on one channel for each policy, with this pause between two calls.
func (r *rig) loadAll(res *resolver.Resolver, pause time.Duration) map[string]*load {
	loads := map[string]*load{}
	for policy := range policies {
		conn := r.dial(res, "meshhealth:///pay", policy)
		l := &load{by: map[string]int{}}
		var ctx context.Context
		ctx, l.stop = context.WithCancel(context.Background())
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.call(conn)
				time.Sleep(pause)
			}
		})
		loads[policy] = l
		r.t.Cleanup(l.end)
	}
	return loads
}

func (l *load) call(conn *grpc.ClientConn) {
	name, err := ask(context.Background(), conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if err != nil {
		l.errors = append(l.errors, err)
		return
	}
	l.by[name]++
}

func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// since returns the answers by instance since the last call of since.
func (l *load) since() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := l.by
	l.by = map[string]int{}
	return by
}

// check reports failed calls, and too few calls.
func check(t *testing.T, loads map[string]*load, least int) {
	t.Helper()
	for policy, l := range loads {
		l.end()
		if len(l.errors) > 0 {
			t.Errorf("%s: %d of %d calls failed, the first with: %v", policy, len(l.errors), l.calls, l.errors[0])
		}
		if l.calls < least {
			t.Errorf("%s: %d calls, want at least %d", policy, l.calls, least)
		}
	}
}

// TestFlip: instances change their status under load, and no call fails. An instance gets no call soon
// after it is NOT_SERVING.
func TestFlip(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		all := r.many(4, 0)
		loads := r.loadAll(r.resolver(resolver.Config{}), 20*time.Millisecond)
		for round, status := range []health.Status{
			health.NotServing, health.Degraded, health.Maintenance, health.NotServing, health.Degraded, health.NotServing,
		} {
			b := all[round%len(all)]
			b.set(status)
			settle()
			for policy, l := range loads {
				if l.since(); status == health.Degraded {
					continue
				}
				after(time.Second)
				if got := l.since(); got[b.in.Instance] > 0 || len(got) == 0 {
					t.Errorf("%s: instance %s is %v; calls went to %v", policy, b.in.Instance, status, got)
				}
			}
			b.set(health.Serving)
			settle()
		}
		check(t, loads, 2000)
	})
}

// TestCoordinatorAway: the coordinator is away for 40 s under load, and no call fails. It continues
// with its store, or with an empty one.
func TestCoordinatorAway(t *testing.T) {
	for what, lose := range map[string]bool{"keeps its store": false, "loses its store": true} {
		bubble(t, what, func(t *testing.T, r *rig) {
			all := r.many(3, 1)
			loads := r.loadAll(r.resolver(resolver.Config{}), 50*time.Millisecond)
			settle()
			r.killCoordinator()
			after(40 * time.Second)
			if lose {
				r.store = keptStore{store.NewMemory(0)}
			}
			r.startCoordinator()
			after(40 * time.Second)
			all[0].set(health.NotServing)
			settle()
			for policy, l := range loads {
				l.since()
				after(time.Second)
				if got := l.since(); got["0"] > 0 || len(got) == 0 {
					t.Errorf("%s: instance 0 is NOT_SERVING; calls went to %v", policy, got)
				}
			}
			check(t, loads, 1500)
			if n := r.watchers(); n != 1 {
				t.Errorf("the coordinator has %d Watches, want 1", n)
			}
		})
	}
}

// TestPaused: the coordinator hangs for 10 s under load, and no call fails.
func TestPaused(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(3, 1)
		loads := r.loadAll(r.resolver(resolver.Config{}), 50*time.Millisecond)
		settle()
		r.net.Hang(coordinatorAt)
		after(10 * time.Second)
		r.net.Resume(coordinatorAt)
		settle()
		check(t, loads, 200)
	})
}

// TestForgetful: a coordinator that has lost its store learns of the instances one after the other. The
// channels keep the others meanwhile.
func TestForgetful(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(4, 0)
		conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth")
		if got := r.counts(conn, 100); len(got) != 4 {
			t.Fatalf("calls went to %v, want 4 instances", got)
		}
		r.killCoordinator()
		r.store = keptStore{store.NewMemory(0)}
		r.startCoordinator()
		for range 100 { // until the leases were renewed, every 10 s
			after(200 * time.Millisecond)
			got := map[string]int{}
			for range 20 {
				name, err := ask(context.Background(), conn)
				if err != nil {
					t.Fatal(err)
				}
				got[name]++
			}
			if len(got) != 4 {
				t.Fatalf("calls went to %v, want 4 instances", got)
			}
		}
	})
}

// TestIdle: a channel that was idle while the coordinator went away uses the instances that were known
// before.
func TestIdle(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(2, 0)
		conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth", grpc.WithIdleTimeout(time.Minute))
		r.counts(conn, 10)
		after(2 * time.Minute)
		if n := r.watchers(); n != 0 {
			t.Errorf("an idle channel has %d Watches, want 0", n)
		}
		r.killCoordinator()
		if got := r.counts(conn, 100); got["0"] == 0 || got["1"] == 0 {
			t.Errorf("calls went to %v, want 2 instances", got)
		}
	})
}

// TestStartedAlone: calls of a process that starts while the coordinator is away fail with the reason,
// and work as soon as the coordinator answers. Calls that wait for ready wait until then.
func TestStartedAlone(t *testing.T) {
	for policy := range policies {
		bubble(t, policy, func(t *testing.T, r *rig) {
			r.many(1, 0)
			r.killCoordinator()
			conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", policy)
			wantError(t, conn, "pay: no answer from the coordinator: ", "refused")
			waited := make(chan error, 1)
			go func() {
				waited <- conn.Invoke(context.Background(), "/test.Who/Ask", &emptypb.Empty{}, &emptypb.Empty{}, grpc.WaitForReady(true))
			}()
			after(10 * time.Second)
			r.startCoordinator()
			after(time.Minute)
			if err := <-waited; err != nil {
				t.Errorf("a call that waits for ready ends with %v", err)
			}
			if got := r.counts(conn, 10); got["0"] != 10 {
				t.Errorf("calls went to %v", got)
			}
			want := []string{
				"WARN resolver: the coordinator does not answer; channels keep the last known instances",
				"INFO resolver: the coordinator answers again",
			}
			r.wantLog(want...)
		})
	}
}

func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	got := r.log.all()
	same := len(got) == len(want)
	for i := range got {
		same = same && len(got[i]) >= len(want[i]) && got[i][:len(want[i])] == want[i]
	}
	if !same {
		r.t.Errorf("the log has\n%s\nwant records that begin with\n%s", join(got), join(want))
	}
}

func join(list []string) (text string) {
	for _, line := range list {
		text += fmt.Sprintln(line)
	}
	return text
}
