package coordinator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/testmesh"
)

const (
	coordinatorAt = "127.0.0.1:7070"
	at            = "127.0.0.1:9001" // the address of the only target

	unreachableAfter = health.DefaultUnreachableAfter
	leaseTTL         = 30 * time.Second // of an instance that requests no other
)

// rig is a coordinator on a network in memory, and a watcher of everything that it
// publishes. It needs a synctest bubble and is used by the goroutine of the test.
type rig struct {
	t        *testing.T
	net      *testmesh.Network
	client   *client.Client // of the watcher
	registry pb.RegistryServiceClient
	admin    pb.AdminServiceClient
	stalls   *stalls
	started  time.Time

	mu    sync.Mutex
	dials map[string]int // dial attempts of the coordinator, by address
	seen  map[health.ID][]published
}

// published is one received state.
type published struct {
	*pb.Health
	at time.Time
}

// bubble runs f as a subtest with a coordinator of default configuration.
func bubble(t *testing.T, what string, f func(*rig)) {
	bubbleWith(t, what, func(*coordinator.Config) {}, f)
}

// bubbleWith is bubble with another configuration.
func bubbleWith(t *testing.T, what string, change func(*coordinator.Config), f func(*rig)) {
	t.Run(what, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(newRig(t, change)) })
	})
}

func newRig(t *testing.T, change func(*coordinator.Config)) *rig {
	r := &rig{t: t, net: testmesh.NewNetwork(), started: time.Now(), dials: map[string]int{}, seen: map[health.ID][]published{}}
	r.stalls = &stalls{Handler: slog.DiscardHandler}
	cfg := coordinator.Config{
		Listener: r.net.Listen(coordinatorAt), HTTP: coordinator.Off, Store: store.NewMemory(0),
		Dial: coordinator.Dial{Context: r.dial}, Logger: slog.New(r.stalls),
	}
	change(&cfg)
	c, err := coordinator.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the coordinator ended with: %v", err)
		}
	})
	r.client = r.newClient()
	r.registry, r.admin = pb.NewRegistryServiceClient(r.client.Conn()), pb.NewAdminServiceClient(r.client.Conn())
	watching := make(chan struct{})
	go r.watch(watching)
	t.Cleanup(func() { _ = r.client.Close(); <-watching })
	synctest.Wait()
	return r
}

// dial dials for the coordinator.
func (r *rig) dial(ctx context.Context, address string) (net.Conn, error) {
	r.mu.Lock()
	r.dials[address]++
	r.mu.Unlock()
	return r.net.Dial(ctx, address)
}

// newClient returns a client of the coordinator. The end of the test closes it.
func (r *rig) newClient() *client.Client {
	c, err := client.New(client.Config{
		Coordinator: "passthrough:///" + coordinatorAt, Credentials: insecure.NewCredentials(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(r.net.Dial)},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) watch(done chan<- struct{}) {
	defer close(done)
	for u, err := range r.client.Watch(context.Background(), client.WatchOptions{}) {
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, e := range u.Entries {
			r.seen[e.ID] = append(r.seen[e.ID], published{e.Proto(), time.Now()})
		}
		r.mu.Unlock()
	}
}

// after lets time pass, and waits until all goroutines are idle.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// of returns the states of a name since a time, including the state at that time.
func (r *rig) of(name string, since time.Time) (all []published) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.seen[health.ParseID(name)] {
		if !p.at.After(since) {
			all = nil
		}
		all = append(all, p)
	}
	return all
}

// now returns the current state of a name.
func (r *rig) now(name string) published {
	all := r.of(name, time.Now())
	if len(all) == 0 {
		return published{Health: &pb.Health{}}
	}
	return all[len(all)-1]
}

// String formats a state: "SERVING ok", or "SERVING ok unconfirmed, next unreachable".
func (p published) String() string {
	text := p.short()
	if next := health.CauseFromWire(int32(p.GetNextCause())); p.GetUnconfirmed() && next != health.CauseNone {
		text += ", next " + next.String()
	}
	return text
}

// short is String without the part after "next".
func (p published) short() string {
	s, _ := health.StatusFromWire(int32(p.GetStatus()))
	text := s.String() + " " + health.CauseFromWire(int32(p.GetCause())).String()
	if p.GetUnconfirmed() {
		text += " unconfirmed"
	}
	if p.GetRemoved() {
		text += " removed"
	}
	return text
}

// fits reports whether String or short formats p like this.
func (p published) fits(want string) bool { return p.String() == want || p.short() == want }

// trail formats the first states of a name since a time, for failures.
func (r *rig) trail(name string, since time.Time) string {
	const most = 20
	var lines []string
	all := r.of(name, since)
	for _, p := range all[:min(most, len(all))] {
		lines = append(lines, fmt.Sprintf("%v: %v (%s)", p.at.Sub(since), p, p.GetReason()))
	}
	return "\n\t" + strings.Join(lines, "\n\t")
}

// is checks the current state of a name, as String formats it.
func (r *rig) is(name, want string) {
	r.t.Helper()
	if got := r.now(name).String(); got != want {
		r.t.Errorf("%v after the start %s is %q, want %q:%s", time.Since(r.started), name, got, want, r.trail(name, r.started))
	}
}

// only checks that since a time a name had some of these states, and no others.
func (r *rig) only(name string, since time.Time, want ...string) {
	r.t.Helper()
	all := r.of(name, since)
	if len(all) == 0 {
		r.t.Errorf("nothing is published of %s", name)
	}
	for _, p := range all {
		if !slices.ContainsFunc(want, p.fits) {
			r.t.Errorf("%s was %q, want only %q:%s", name, p, want, r.trail(name, since))
			return
		}
	}
}

// never checks that a name has not had a status since a time.
func (r *rig) never(name string, since time.Time, status health.Status) {
	r.t.Helper()
	for _, p := range r.of(name, since) {
		if s, _ := health.StatusFromWire(int32(p.GetStatus())); s == status {
			r.t.Errorf("%s was %v:%s", name, p, r.trail(name, since))
			return
		}
	}
}

// when returns the time from a moment to the first such state of a name.
func (r *rig) when(name string, since time.Time, want string) time.Duration {
	r.t.Helper()
	return r.first(name, since, want, func(p published) bool { return p.fits(want) })
}

// first returns the time from a moment to the first state for which the function wanted is
// true.
func (r *rig) first(name string, since time.Time, what string, is func(published) bool) time.Duration {
	r.t.Helper()
	for _, p := range r.of(name, since) {
		if is(p) {
			return max(0, p.at.Sub(since))
		}
	}
	r.t.Errorf("%s was never %s:%s", name, what, r.trail(name, since))
	return 0
}

// between checks that a duration is within bounds.
func (r *rig) between(what string, d, least, most time.Duration) {
	r.t.Helper()
	if d < least || d > most {
		r.t.Errorf("%s after %v, want %v to %v", what, d, least, most)
	}
}

// explained checks that the explanation of a name contains these texts.
func (r *rig) explained(name string, want ...string) {
	r.t.Helper()
	resp, err := r.admin.Explain(r.t.Context(), &pb.ExplainRequest{Name: name})
	if err != nil {
		r.t.Fatal(err)
	}
	said := strings.Join(resp.GetSentences(), "\n\t")
	for _, w := range want {
		if !strings.Contains(said, w) {
			r.t.Errorf("the explanation of %s does not say %q:\n\t%s", name, w, said)
		}
	}
}

// state returns the coordinator's state of itself.
func (r *rig) state() *pb.GetCoordinatorResponse {
	r.t.Helper()
	resp, err := r.admin.GetCoordinator(r.t.Context(), &pb.GetCoordinatorRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp
}

// dialled returns the number of dial attempts of the coordinator at an address.
func (r *rig) dialled(address string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials[address]
}

// stalls is a log that delays the owner of the mesh, as a stopped process would. The owner
// calls Enabled for each transition, and Enabled blocks. Writes do not block.
type stalls struct {
	slog.Handler
	mu    sync.Mutex
	every time.Duration // from the begin of a delay to the begin of the next
	long  time.Duration // of one delay; 0 means none
	next  time.Time
}

// begin delays the owner at its next transition for the time long, and again at the first
// transition after each interval every; every 0 means once.
func (s *stalls) begin(long, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.long, s.every, s.next = long, every, time.Now()
}

// Enabled implements slog.Handler.
func (s *stalls) Enabled(context.Context, slog.Level) bool {
	time.Sleep(s.due(time.Now()))
	return false
}

func (s *stalls) due(now time.Time) (long time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.long == 0 || now.Before(s.next) {
		return 0
	}
	long, s.next = s.long, now.Add(s.every)
	if s.every == 0 {
		s.long = 0
	}
	return long
}
