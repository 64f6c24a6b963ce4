package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/server"
)

// side is one of the two servers that receive the same calls.
type side struct {
	set    setter
	client healthpb.HealthClient

	mu   sync.Mutex
	last map[string]healthpb.HealthCheckResponse_ServingStatus // last status from Watch
	sent map[string]int                                        // number of messages
}

func newSide(t *testing.T, set setter, register func(grpc.ServiceRegistrar), names []string) *side {
	t.Helper()
	g, listener := grpc.NewServer(), bufconn.Listen(64<<10)
	register(g)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///mem", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); g.Stop(); <-done })
	s := &side{
		set: set, client: healthpb.NewHealthClient(conn),
		last: map[string]healthpb.HealthCheckResponse_ServingStatus{}, sent: map[string]int{},
	}
	for _, name := range names {
		stream, err := s.client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		go s.follow(name, stream)
	}
	return s
}

func (s *side) follow(name string, stream grpc.ServerStreamingClient[healthpb.HealthCheckResponse]) {
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.last[name] = m.GetStatus()
		s.sent[name]++
		s.mu.Unlock()
	}
}

// check returns the answer to Check as text.
func (s *side) check(t *testing.T, name string) string {
	t.Helper()
	r, err := s.client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		return status.Code(err).String()
	}
	return r.GetStatus().String()
}

// list returns the answer to List for these names as text, or its error.
func (s *side) list(t *testing.T, names []string) string {
	t.Helper()
	r, err := s.client.List(t.Context(), &healthpb.HealthListRequest{})
	if err != nil {
		return status.Code(err).String()
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%q %v\n", name, r.GetStatuses()[name])
	}
	return b.String()
}

func (s *side) watched(name string) healthpb.HealthCheckResponse_ServingStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name]
}

// pair is grpc-go's server and ours, which has no checks.
type pair struct {
	t            *testing.T
	theirs, ours *side
	names        []string
	set          map[string]bool // names that were set; only these are compared
	shut         bool
	calls        []string
}

func newPair(t *testing.T, run bool) *pair {
	names := []string{"", service, "orders.v1.Orders", "mail", "a-b_c"}
	theirs, ours := stock.NewServer(), newServer(t, server.Config{})
	if run {
		start(t, ours)
	}
	return &pair{
		t: t, names: names, set: map[string]bool{},
		theirs: newSide(t, theirs, func(r grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(r, theirs) }, names),
		ours:   newSide(t, ours, ours.Register, names),
	}
}

func (p *pair) call(random *rand.Rand) {
	name := p.names[random.IntN(len(p.names))]
	switch n := random.IntN(100); {
	case n < 55:
		to := healthpb.HealthCheckResponse_ServingStatus(random.IntN(4))
		p.calls = append(p.calls, fmt.Sprintf("Set(%q, %v)", name, to))
		p.theirs.set.SetServingStatus(name, to)
		p.ours.set.SetServingStatus(name, to)
		p.set[name] = p.set[name] || !p.shut
	case n < 58:
		p.calls = append(p.calls, "Shutdown()")
		p.theirs.set.Shutdown()
		p.ours.set.Shutdown()
		p.shut = true
	case n < 64:
		p.calls = append(p.calls, "Resume()")
		p.theirs.set.Resume()
		p.ours.set.Resume()
		p.shut = false
	case n < 90:
		p.compareCheck(name)
	case n < 97:
		p.compareList()
	default:
		p.compareWatch()
	}
}

func (p *pair) compareCheck(name string) {
	if !p.set[name] {
		return
	}
	if want, got := p.theirs.check(p.t, name), p.ours.check(p.t, name); got != want {
		p.fail("Check(%q) is %s, grpc-go says %s", name, got, want)
	}
}

func (p *pair) compareList() {
	var names []string
	for _, name := range p.names {
		if p.set[name] {
			names = append(names, name)
		}
	}
	if want, got := p.theirs.list(p.t, names), p.ours.list(p.t, names); got != want {
		p.fail("List is\n%sgrpc-go says\n%s", got, want)
	}
}

func (p *pair) compareWatch() {
	synctest.Wait()
	for _, name := range p.names {
		if want, got := p.theirs.watched(name), p.ours.watched(name); p.set[name] && got != want {
			p.fail("Watch(%q) says %v, grpc-go's %v", name, got, want)
		}
	}
}

func (p *pair) fail(format string, args ...any) {
	p.t.Helper()
	recent := p.calls[max(0, len(p.calls)-12):]
	p.t.Fatalf("after %d calls, the last of them %s:\n%s", len(p.calls), strings.Join(recent, ", "), fmt.Sprintf(format, args...))
}

// TestSameAsStockServer makes 100,000 random calls (20,000 under the race detector) to
// grpc-go's health server and to ours without checks. Check, List and Watch of each name
// that was set must agree.
func TestSameAsStockServer(t *testing.T) {
	const calls = 1000
	runs := uint64(100)
	if raced {
		runs = 20
	}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 15))
			p := newPair(t, seed%2 == 0)
			for range calls {
				p.call(random)
			}
			p.compareWatch()
			p.compareList()
			for _, name := range p.names {
				p.compareCheck(name)
			}
			if !slices.ContainsFunc(p.names, func(name string) bool { return p.set[name] && p.theirs.sent[name] > 1 && p.ours.sent[name] > 1 }) {
				t.Error("no Watch has said anything twice")
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestNoNameRaisesAnother: the status of one name does not change another name.
func TestNoNameRaisesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		c := newSide(t, s, s.Register, nil)
		is := func(want map[string]string) {
			t.Helper()
			for name, status := range want {
				if got := c.check(t, name); got != status {
					t.Errorf("%q is %s, want %s", name, got, status)
				}
			}
		}
		s.SetServingStatus(service, down)
		is(map[string]string{service: "NOT_SERVING", "": "NOT_SERVING"}) // "" was not set and has the status of the service
		s.SetServingStatus("", up)
		is(map[string]string{service: "NOT_SERVING", "": "SERVING"})
		s.SetServingStatus(service, up)
		s.SetServingStatus("", down)
		is(map[string]string{service: "SERVING", "": "NOT_SERVING"})
	})
}

// TestWorstOfWhatIsSetAndChecks: with checks, a status set by hand can lower a name, but
// not raise it.
func TestWorstOfWhatIsSetAndChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{}
		s := newServer(t, server.Config{Services: []server.Service{{Name: "orders", Checks: []string{"db"}}}})
		add(t, s, server.Check{Name: "db", Run: db.run, RecoverAfter: 1, FailAfter: 1})
		c := newSide(t, s, s.Register, nil)
		start(t, s)
		names := []string{"", service, "orders"}
		set := map[string]bool{"": true, service: true, "orders": true} // these are SERVING
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 300 {
			name, well := names[random.IntN(3)], random.IntN(2) == 0
			set[name] = well
			s.SetServingStatus(name, map[bool]healthpb.HealthCheckResponse_ServingStatus{true: up, false: down}[well])
			if i < 3 { // all names are set from here on
				s.SetServingStatus(names[i], up)
				set[names[i]] = true
				continue
			}
			sound := random.IntN(2) == 0
			db.set(map[bool]error{true: nil, false: errDown}[sound])
			untilRun(t, db)
			for _, name := range names {
				want := "NOT_SERVING"
				if set[name] && sound {
					want = "SERVING"
				}
				if got := c.check(t, name); got != want {
					t.Fatalf("%q is %s, want %s: set %v, the check %v", name, got, want, set, sound)
				}
			}
		}
	})
}

// TestManyNames: as with grpc-go, List shows at most 100 names, and Check answers for
// more.
func TestManyNames(t *testing.T) {
	theirs, ours := stock.NewServer(), newServer(t, server.Config{})
	a := newSide(t, theirs, func(r grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(r, theirs) }, nil)
	b := newSide(t, ours, ours.Register, nil)
	for _, s := range []*side{a, b} {
		s.set.SetServingStatus(service, up)
		for i := range 98 {
			s.set.SetServingStatus(fmt.Sprintf("n%d", i), up)
		}
	}
	if want, got := a.list(t, []string{"", "n97"}), b.list(t, []string{"", "n97"}); got != want {
		t.Errorf("of 100 names List is %s, grpc-go says %s", got, want)
	}
	for _, s := range []*side{a, b} {
		s.set.SetServingStatus("n98", down)
	}
	if want, got := a.list(t, nil), b.list(t, nil); got != want || got != "ResourceExhausted" {
		t.Errorf("of 101 names List is %s, grpc-go says %s", got, want)
	}
	if got := b.check(t, "n98"); got != "NOT_SERVING" {
		t.Errorf("the 101st is %s", got)
	}
	for i := range 2000 {
		ours.SetServingStatus(fmt.Sprintf("m%d", i), up)
	}
	if n := len(ours.Statuses()); n != 999 {
		t.Errorf("%d names besides \"\"", n)
	}
}
