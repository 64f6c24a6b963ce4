//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// stock is the health server of grpc-go on a real socket.
type stock struct {
	*health.Server
	address string
}

func startStock(t *testing.T) *stock {
	t.Helper()
	l := listen(t)
	s := &stock{health.NewServer(), l.Addr().String()}
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); wg.Wait() })
	return s
}

// seen has the statuses that a Watch of a coordinator has received: the present ones and all
// earlier ones.
type seen struct {
	t       *testing.T
	mu      sync.Mutex
	now     map[string]pb.Status
	ever    map[string]map[pb.Status]bool
	sure    map[string]bool
	stale   bool // an outage has begun; what is known counts again after its end
	gaps    int
	changed chan struct{}
}

func watch(t *testing.T, address string) *seen {
	t.Helper()
	c, err := client.New(client.Config{Coordinator: address})
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{t: t, now: map[string]pb.Status{}, sure: map[string]bool{}, ever: map[string]map[pb.Status]bool{}, changed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for u, err := range c.Watch(ctx, client.WatchOptions{Heartbeat: time.Second}) {
			if err == nil {
				s.take(&u)
			}
		}
	})
	t.Cleanup(func() { stop(); wg.Wait(); _ = c.Close() })
	return s
}

func (s *seen) take(u *client.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = u.Stale
	if u.Gap {
		s.gaps++
		clear(s.sure) // a snapshot replaces all entries
	}
	for _, e := range u.Entries {
		h := e.Proto()
		name := strings.TrimSuffix(h.GetService()+"/"+h.GetInstance(), "/")
		s.now[name], s.sure[name] = h.GetStatus(), !h.GetUnconfirmed()
		if s.ever[name] == nil {
			s.ever[name] = map[pb.Status]bool{}
		}
		s.ever[name][h.GetStatus()] = true
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// until waits until all names are confirmed with the status want.
func (s *seen) until(want pb.Status, names ...string) {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		changed, missing := s.changed, []string{}
		for _, n := range names {
			if s.now[n] != want || !s.sure[n] || s.stale {
				missing = append(missing, fmt.Sprintf("%s is %s (confirmed: %t, stale: %t)", n, s.now[n], s.sure[n], s.stale))
			}
		}
		s.mu.Unlock()
		if len(missing) == 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("not %s: %v", want, missing)
		}
	}
}

// is reports whether a name has a status now, confirmed.
func (s *seen) is(name string, status pb.Status) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now[name] == status && s.sure[name] && !s.stale
}

func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.ever)
	clear(s.sure)
	s.gaps = 0
}

// never fails the test if one of the names has had the status since the last call of forget.
func (s *seen) never(status pb.Status, names ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if s.ever[n][status] {
			s.t.Errorf("%s was %s", n, status)
		}
	}
}

// fleet starts n stock servers, and registers them with `meshhealth register`.
func fleet(t *testing.T, at string, n int) (servers []*stock, names []string) {
	t.Helper()
	for i := range n {
		s, name := startStock(t), fmt.Sprintf("legacy/%d", i)
		register(t, at, name, s.address)
		servers, names = append(servers, s), append(names, name)
	}
	return servers, names
}

// register registers a static target at a coordinator.
func register(t *testing.T, coordinator, name, address string) {
	t.Helper()
	_, stderr, code := call(t, meshhealth, "register", name, "--address", address, "--coordinator", coordinator)
	if code != 0 {
		t.Fatalf("register: exit %d: %s", code, stderr)
	}
}

// TestFleet: 40 stock servers; a flip is seen; the coordinator is killed and
// comes back, and nobody alive is called dead for it.
func TestFleet(t *testing.T) {
	dir := t.TempDir()
	// Only listeners have this address, so no connection takes the port after the kill.
	p, at, _ := coordinator(t, "--data-dir", dir, "--listen", "127.0.0.3:0")
	servers, names := fleet(t, at, 40)
	s := watch(t, at)
	s.until(pb.Status_STATUS_SERVING, names...)

	servers[7].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	s.until(pb.Status_STATUS_NOT_SERVING, names[7])
	s.until(pb.Status_STATUS_DEGRADED, "legacy")
	servers[7].SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	s.until(pb.Status_STATUS_SERVING, names...)

	s.forget()
	stored(t, at, "legacy/7", "STATUS_SERVING", 2) // after the start, and after the flip
	p.signal(syscall.SIGKILL)
	p.wait()
	start(t, dir, meshhealth, "coordinator", "--listen", at, "--http", "off", "--data-dir", dir).line("listening")
	s.until(pb.Status_STATUS_SERVING, names...)
	s.never(pb.Status_STATUS_NOT_SERVING, names...)
	s.never(pb.Status_STATUS_UNKNOWN, names...)
	if s.gaps == 0 {
		t.Error("the watcher got no gap marker")
	}
	out, stderr, code := call(t, meshhealth, "history", "legacy/7", "--coordinator", at)
	if code != 0 || !strings.Contains(out, "NOT_SERVING") {
		t.Errorf("history after the restart: exit %d\n%s%s", code, out, stderr)
	}
}

// stored waits until the journal has at least n transitions of a name to a status. The
// coordinator stores a transition after watchers have received it.
func stored(t *testing.T, at, name, status string, n int) {
	t.Helper()
	var out string
	for late := time.Now().Add(patience); time.Now().Before(late); {
		out, _, _ = call(t, meshhealth, "history", name, "-o", "json", "--coordinator", at)
		if strings.Count(out, `"to":"`+status+`"`) >= n {
			return
		}
	}
	t.Fatalf("the journal has fewer than %d transitions of %s to %s:\n%s", n, name, status, out)
}

// TestPause suspends a coordinator for longer than UnreachableAfter. Afterwards, the coordinator
// must not publish any instance as dead.
func TestPause(t *testing.T) {
	t.Parallel()
	p, at, _ := coordinator(t, "--memory")
	_, names := fleet(t, at, 10)
	s := watch(t, at)
	s.until(pb.Status_STATUS_SERVING, names...)
	s.forget()
	_, other, _ := coordinator(t, "--memory")
	register(t, other, "coordinator/paused", at)
	w := watch(t, other)
	w.until(pb.Status_STATUS_SERVING, "coordinator/paused")
	p.signal(syscall.SIGSTOP)
	// The pause lasts until another coordinator has called the stopped one dead.
	w.until(pb.Status_STATUS_NOT_SERVING, "coordinator/paused")
	p.signal(syscall.SIGCONT)
	p.line("late")
	register(t, at, "legacy/new", startStock(t).address)
	s.until(pb.Status_STATUS_SERVING, "legacy/new")
	s.never(pb.Status_STATUS_NOT_SERVING, names...)
	s.never(pb.Status_STATUS_UNKNOWN, names...)
}

// TestLocked starts a second coordinator with the same store. Its error must say that another
// process has the store open.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	coordinator(t, "--data-dir", dir)
	_, stderr, code := call(t, meshhealth, "coordinator", "--listen", "127.0.0.1:0", "--http", "off", "--data-dir", dir)
	if code == 0 || !strings.Contains(stderr, "another process") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
