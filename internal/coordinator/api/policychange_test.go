package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// losers are the callers that lose rights when the policy changes: the first loses its rule, the second
// loses details, and the token of the third is removed. The caller named stay loses nothing.
var losers = []string{"rule", "detail", "gone"}

const stay = "stay"

// policyOf returns a policy that allows callers with these tokens to do much. Their details are given.
func policyOf(tokens []string, details map[string]access.Detail) *access.Policy {
	p := &access.Policy{Tokens: map[string][]access.TokenHash{}}
	for _, name := range tokens {
		p.Tokens[name] = []access.TokenHash{sha256.Sum256([]byte(name))}
		if detail := details[name]; detail > access.Hidden {
			p.Rules = append(p.Rules, access.Rule{
				Name: name, Who: []string{"token:" + name}, Read: &access.Read{Services: []string{"*"}, Detail: detail},
				Route: &access.Services{Services: []string{"*"}}, Report: &access.Services{Services: []string{"*"}},
				Register: &access.Register{Services: []string{"*"}, Peer: true},
			})
		}
	}
	return p
}

// socketWorld is a world that also listens on a unix socket.
type socketWorld struct {
	*world
	path  string
	lease *pb.Lease // of pay/1
}

func newSocketWorld(t *testing.T, instances int, policy *access.Policy) *socketWorld {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *setup) {
		s.access, s.routing, s.listeners, s.MaxWatchersPerPeer = policy, true, []Listener{{Listener: l}}, 10_000
	})
	sw := &socketWorld{world: w, path: path}
	for i := 0; i < instances; i += 100 {
		req := &pb.RegisterRequest{}
		for j := range 100 {
			req.Registrations = append(req.Registrations, instance(fmt.Sprintf("pay/%d", i+j)))
		}
		regs := must(wire.Registrations(req))
		specs, err := w.registry.Register(t.Context(), regs)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			sw.lease = leaseOf(regs[1].ID, specs[1])
		}
	}
	return sw
}

// force sets an override of pay/1.
func (w *socketWorld) force(reason string, status health.Status) {
	o := &health.Override{Status: status, Author: "ann", Reason: reason, SetAt: time.Now()}
	if err := w.registry.SetOverride(w.t.Context(), must(health.ParseScope("pay/1")), o); err != nil {
		w.t.Error(err)
	}
}

// visit returns a connection over the unix socket.
func (w *socketWorld) visit(more ...grpc.DialOption) *visitor {
	conn, err := grpc.NewClient("unix://"+w.path, append(more, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &visitor{t: w.t, conn: conn, mesh: pb.NewHealthServiceClient(conn), leases: pb.NewRegistryServiceClient(conn), admin: pb.NewAdminServiceClient(conn)}
}

func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// watched is a Watch of pay/1 while the policy changes.
type watched struct {
	token string
	began sync.WaitGroup // done when the first message is there
	seen  chan struct{}  // closed when the last change is there
	ended chan struct{}
	got   chan struct{} // has a value after each message; nil for most
	err   error
	gap   bool
	last  uint64 // revision of the last message with entries
}

// lastReason is the reason of the change that is made after the policy has changed.
const lastReason = "after the change of the policy"

func (w *watched) receive(ctx context.Context, c *visitor) {
	defer close(w.ended)
	stream, err := c.mesh.Watch(withToken(ctx, w.token), &pb.WatchRequest{Names: []string{"pay/1"}})
	seen := false
	for first := true; err == nil; first = false {
		var m *pb.WatchResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		select {
		case w.got <- struct{}{}:
		default:
		}
		if seen {
			continue
		}
		if first {
			w.began.Done()
		} else {
			w.gap = w.gap || m.GetGap() || m.GetSnapshot()
		}
		for _, e := range m.GetEntries() {
			w.last = m.GetRevision()
			if e.GetReason() == lastReason {
				seen = true
				close(w.seen)
			}
		}
	}
	w.err = err
}

// TestPolicyChangeEndsStreams: a change of the policy ends exactly the streams of callers that have lost
// something. Nothing that happens after Set has returned is sent on them. All other streams continue.
func TestPolicyChangeEndsStreams(t *testing.T) {
	all := access.Evidence
	w := newSocketWorld(t, 3000, policyOf([]string{"rule", "detail", "gone", stay}, map[string]access.Detail{"rule": all, "detail": all, "gone": all, stay: all}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watches []*watched
	var visitors []*visitor
	for i := range 1000 {
		if i%50 == 0 {
			visitors = append(visitors, w.visit())
		}
		token := stay
		if i%2 == 0 {
			token = losers[i/2%len(losers)]
		}
		one := &watched{token: token, seen: make(chan struct{}), ended: make(chan struct{})}
		if i == 1 {
			one.got = make(chan struct{}, 1)
		}
		one.began.Add(1)
		go one.receive(ctx, visitors[len(visitors)-1])
		watches = append(watches, one)
	}
	for _, one := range watches {
		one.began.Wait()
	}
	others := w.openOthers(ctx)

	// Changes are made all the time while the policy changes, each after a Watch has received the one before.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-watches[1].got:
				w.force(fmt.Sprint("change ", n), []health.Status{health.Serving, health.Degraded}[n%2])
			}
		}
	}()
	policy := must(access.Compile(policyOf([]string{"rule", "detail", stay}, map[string]access.Detail{"detail": access.Status, stay: all})))
	ended := w.access.Set(policy)
	close(stop)
	<-stopped
	revision := w.registry.Feed().Revision()
	w.force(lastReason, health.NotServing)

	if want := 500 + len(others) - 1; ended != want {
		t.Errorf("Set has ended %d streams, want %d", ended, want)
	}
	for i, one := range watches {
		if one.token == stay {
			select {
			case <-one.seen:
			case <-one.ended:
				t.Errorf("Watch %d has ended: %v", i, one.err)
			}
			if one.gap {
				t.Errorf("Watch %d has a gap", i)
			}
			continue
		}
		<-one.ended
		wantCode(t, one.err, codes.PermissionDenied, wire.ReasonNotAllowed)
		wantText(t, one.err, "the access policy has changed, and your rights with it; subscribe again")
		if one.last > revision {
			t.Errorf("Watch %d of %s got revision %d after Set, which returned at %d", i, one.token, one.last, revision)
		}
	}
	for what, end := range others {
		if what == stay {
			continue
		}
		err := <-end
		wantCode(t, err, codes.PermissionDenied, wire.ReasonNotAllowed)
	}
	cancel()
	for _, one := range watches {
		<-one.ended
	}
	<-others[stay]
}

// openOthers opens streams of other kinds. The one with the key stay continues. Each channel receives the error with
// which a stream has ended.
func (w *socketWorld) openOthers(ctx context.Context) map[string]chan error {
	ended := map[string]chan error{}
	c := w.visit()
	for what, token := range map[string]string{"report": "gone", "world": "rule", "delta": "gone", stay: stay} {
		end := make(chan error, 1)
		ended[what] = end
		ctx, began := withToken(ctx, token), make(chan struct{})
		routes := discoverypb.NewAggregatedDiscoveryServiceClient(c.conn)
		switch what {
		case "report":
			stream, err := c.leases.Report(ctx)
			if err == nil {
				err = stream.Send(pushed(w.lease, pb.Status_STATUS_SERVING))
			}
			if err != nil {
				w.t.Fatal(err)
			}
			go func() { end <- stream.RecvMsg(&pb.ReportResponse{}) }()
			for pushing := false; !pushing; { // until the coordinator has read the report
				e, _ := w.registry.Feed().Get(must(wire.ParseInstance("pay/1")))
				pushing = e.Pushed
			}
			close(began)
		case "delta":
			stream, err := routes.DeltaAggregatedResources(ctx)
			if err == nil {
				err = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: what}, TypeUrl: clusterURL})
			}
			if err != nil {
				w.t.Fatal(err)
			}
			go drain(stream.Recv, began, end)
		default:
			stream, err := routes.StreamAggregatedResources(ctx)
			if err == nil {
				err = stream.Send(&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: what}, TypeUrl: clusterURL})
			}
			if err != nil {
				w.t.Fatal(err)
			}
			go drain(stream.Recv, began, end)
		}
		<-began
	}
	return ended
}

// drain receives until the stream ends. It closes began after the first message.
func drain[M any](receive func() (M, error), began chan struct{}, end chan<- error) {
	for first := true; ; first = false {
		if _, err := receive(); err != nil {
			end <- err
			return
		}
		if first {
			close(began)
		}
	}
}

// TestPolicyChangeEndsStuckStream: a stream whose client does not read ends too, and its connection is closed.
func TestPolicyChangeEndsStuckStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		crowd(w, 500)
		p := newRawPeer(t, w.listener.dialFrom(home))
		stuck := p.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
		synctest.Wait()
		if n := w.server.Watchers(); n != 1 {
			t.Fatalf("%d watchers", n)
		}
		began, before := time.Now(), p.bytes[stuck]
		if ended := w.access.Set(must(access.Compile(&access.Policy{}))); ended != 1 {
			t.Errorf("%d streams have ended, want 1", ended)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if n := w.server.Watchers(); n != 0 || p.bytes[stuck] != before {
			t.Errorf("%d watchers, and %d bytes after the change", n, p.bytes[stuck]-before)
		}
	})
}
