package xds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
)

const edsURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

// world is a server with a client, in one bubble of synctest.
type world struct {
	*xds.Server
	t        *testing.T
	feed     *feed.Feed
	revision uint64
	end      func() // ends Run
	client   discoverypb.AggregatedDiscoveryServiceClient
}

// inBubble runs a test with a server over an in-memory connection. It checks that no goroutine is left.
func inBubble(t *testing.T, cfg xds.Config, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cfg)
		defer w.end()
		listener, g := bufconn.Listen(1<<20), grpc.NewServer(grpc.ForceServerCodecV2(w.Codec()))
		discoverypb.RegisterAggregatedDiscoveryServiceServer(g, w.Server)
		go func() { _ = g.Serve(listener) }()
		// With windows of a fixed size, the memory for a stream that does not read is bounded.
		conn, err := grpc.NewClient("passthrough:mem", grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		w.client = discoverypb.NewAggregatedDiscoveryServiceClient(conn)
		defer g.Stop()
		defer func() { _ = conn.Close() }()
		test(t, w)
	})
}

// newWorld runs a server that reads an empty feed.
func newWorld(t *testing.T, cfg xds.Config) *world {
	w := &world{t: t, feed: feed.New(1, 0)}
	cfg.Feed = w.feed
	w.Server = xds.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// publish publishes states in one batch.
func (w *world) publish(states ...health.State) {
	var changes []health.Change
	for _, s := range states {
		w.revision++
		s.Revision = w.revision
		changes = append(changes, health.Change{State: s, Epoch: 1})
	}
	w.feed.Publish(changes)
}

// set gives a service n healthy endpoints.
func (w *world) set(service string, n int) {
	var states []health.State
	for i := range n {
		states = append(states, endpoint(service, i, health.RouteHealthy))
	}
	w.publish(states...)
	synctest.Wait() // the server has read them
}

func endpoint(service string, i int, route health.Route) health.State {
	return health.State{
		ID: health.ID{Service: service, Instance: fmt.Sprintf("i%05d", i)}, Spec: &health.Spec{}, Route: route,
		Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80),
	}
}

func (w *world) delta(t *testing.T, ctx context.Context, names ...string) discoverypb.AggregatedDiscoveryService_DeltaAggregatedResourcesClient {
	t.Helper()
	stream, err := w.client.DeltaAggregatedResources(ctx)
	if err == nil {
		err = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: edsURL, ResourceNamesSubscribe: names})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF means that Recv says why the stream has ended
		t.Fatal(err)
	}
	return stream
}

// endpointsIn returns the number of endpoints of the only resource in a response.
func endpointsIn(t *testing.T, m *discoverypb.DeltaDiscoveryResponse) int {
	t.Helper()
	var set endpointpb.ClusterLoadAssignment
	if len(m.GetResources()) != 1 {
		t.Fatalf("the response has %d resources, want 1", len(m.GetResources()))
	}
	if err := m.GetResources()[0].GetResource().UnmarshalTo(&set); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range set.GetEndpoints() {
		n += len(l.GetLbEndpoints())
	}
	return n
}

// TestWarm checks that a stream gets nothing before the server is warm, and then what is current.
func TestWarm(t *testing.T) {
	inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
		stream := w.delta(t, t.Context(), "pay")
		got := make(chan *discoverypb.DeltaDiscoveryResponse)
		go func() {
			m, _ := stream.Recv()
			got <- m
		}()
		w.set("pay", 1)
		synctest.Wait()
		select {
		case m := <-got:
			t.Errorf("before the server is warm: %v", m)
		default:
		}
		w.set("pay", 3)
		w.Loaded()
		w.Loaded()
		if n := endpointsIn(t, <-got); n != 3 {
			t.Errorf("%d endpoints, want 3", n)
		}
	})
}

// TestUnreadStream checks that a stream that does not read costs bounded memory, holds nobody up, and
// gets the newest content when it reads.
func TestUnreadStream(t *testing.T) {
	inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
		w.Loaded()
		w.set("pay", 5000)
		stuck, reader := w.delta(t, t.Context(), "pay"), w.delta(t, t.Context(), "pay")
		synctest.Wait()
		const flips = 50
		for i := range flips {
			w.publish(endpoint("pay", i, health.RouteNone))
			m, err := reader.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if err := reader.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResponseNonce: m.GetNonce()}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		messages, n := 0, 0
		for n != 5000-flips {
			m, err := stuck.Recv()
			if err != nil {
				t.Fatal(err)
			}
			n, messages = endpointsIn(t, m), messages+1
		}
		if messages > flips/4 {
			t.Errorf("the stream that did not read got %d messages for %d changes", messages, flips)
		}
	})
}

// TestBadStreams checks how wrong requests end their stream.
func TestBadStreams(t *testing.T) {
	for _, c := range []struct {
		name string
		req  *discoverypb.DiscoveryRequest
		code codes.Code
		text string
	}{
		{"no node", &discoverypb.DiscoveryRequest{TypeUrl: edsURL}, codes.InvalidArgument, "node.id: is empty; allowed: 1 to 1024 bytes"},
		{"long node", &discoverypb.DiscoveryRequest{TypeUrl: edsURL, Node: &corepb.Node{Id: strings.Repeat("n", 1025)}}, codes.InvalidArgument, "node.id: has 1025 bytes"},
		{"no type", &discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}}, codes.InvalidArgument, "type_url: has 0 bytes; allowed: 1 to 1024 bytes"},
		{
			"many names", &discoverypb.DiscoveryRequest{TypeUrl: edsURL, Node: &corepb.Node{Id: "n"}, ResourceNames: make([]string, 100_000)},
			codes.InvalidArgument, "resource_names: has 100000 names; allowed: at most 50000 on one stream",
		},
		{
			"long name", &discoverypb.DiscoveryRequest{TypeUrl: edsURL, Node: &corepb.Node{Id: "n"}, ResourceNames: []string{strings.Repeat("x", 1025)}},
			codes.InvalidArgument, "resource_names[0]: has 1025 bytes; allowed: at most 1024",
		},
		{
			"control characters", &discoverypb.DiscoveryRequest{TypeUrl: edsURL, Node: &corepb.Node{Id: "n"}, ResourceNames: []string{"a", "\x1b[2J"}},
			codes.InvalidArgument, "resource_names[1]: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
				w.Loaded()
				w.set("pay", 1)
				good := w.delta(t, t.Context(), "pay")
				stream, err := w.client.StreamAggregatedResources(t.Context())
				if err == nil {
					err = stream.Send(c.req)
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err = stream.Recv(); status.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %v and %q", err, c.code, c.text)
				}
				if m, err := good.Recv(); err != nil || endpointsIn(t, m) != 1 {
					t.Errorf("another stream gets %v, %v", m, err)
				}
			})
		})
	}
}

// TestManyTypes checks that a stream cannot ask for any number of types.
func TestManyTypes(t *testing.T) {
	inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
		w.Loaded()
		stream := w.delta(t, t.Context(), "pay")
		for i := range 16 {
			_ = stream.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: fmt.Sprint("type", i)})
		}
		var err error
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "type_url: is the type number 17 of this stream; allowed: at most 16") {
			t.Error(err)
		}
	})
}

// TestLimits checks the limits of all streams together.
func TestLimits(t *testing.T) {
	inBubble(t, xds.Config{MaxStreamsPerPeer: 2, MaxSubscriptions: 3}, func(t *testing.T, w *world) {
		w.Loaded()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 2 {
			if _, err := w.delta(t, ctx, "a").Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.delta(t, ctx, "a").Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "2 xDS streams are open") {
			t.Error(err)
		}
		cancel()
		synctest.Wait()
		one := w.delta(t, t.Context(), "a", "b")
		if _, err := one.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.delta(t, t.Context(), "a", "b").Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "ask for more than 3 resources") {
			t.Error(err)
		}
		synctest.Wait()
		if s := w.Stats(); s.Streams["spill-over delta"] != 1 || s.Subscribed != 2 {
			t.Errorf("the first stream remains, and %+v", s)
		}
	})
}

// TestSettle checks that a client with resources from an earlier run gets nothing until all instances
// could register again, and that others are served.
func TestSettle(t *testing.T) {
	inBubble(t, xds.Config{SettleAfter: 30 * time.Second}, func(t *testing.T, w *world) {
		w.Loaded()
		w.set("pay", 1)
		begun := time.Now()
		stream, err := w.client.DeltaAggregatedResources(t.Context())
		if err == nil {
			err = stream.Send(&discoverypb.DeltaDiscoveryRequest{
				Node: &corepb.Node{Id: "n"}, TypeUrl: edsURL, ResourceNamesSubscribe: []string{"pay"},
				InitialResourceVersions: map[string]string{"pay": "0123456789abcdf0"},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		if m, err := w.delta(t, t.Context(), "pay").Recv(); err != nil || endpointsIn(t, m) != 1 {
			t.Errorf("a new client gets %v, %v", m, err)
		}
		synctest.Wait()
		w.set("pay", 3)
		m, err := stream.Recv()
		if err != nil || endpointsIn(t, m) != 3 || time.Since(begun) != 30*time.Second {
			t.Errorf("after %v the client gets %v, %v", time.Since(begun), m, err)
		}
	})
}

// TestEnd checks that the end of the server ends the streams, so that clients keep what they have and
// connect again.
func TestEnd(t *testing.T) {
	inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
		w.Loaded()
		stream := w.delta(t, t.Context(), "pay")
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		w.end()
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		if _, err := w.delta(t, t.Context(), "pay").Recv(); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
	})
}

// TestClientEnds checks that a client that sends no more requests is served until it ends the stream.
func TestClientEnds(t *testing.T) {
	inBubble(t, xds.Config{}, func(t *testing.T, w *world) {
		w.Loaded()
		w.set("pay", 1)
		ctx, cancel := context.WithCancel(t.Context())
		stream := w.delta(t, ctx, "pay")
		_ = stream.CloseSend()
		for n := 1; n < 3; n++ {
			w.set("pay", n)
			if m, err := stream.Recv(); err != nil || endpointsIn(t, m) != n {
				t.Errorf("%v, %v", m, err)
			}
		}
		cancel()
		synctest.Wait()
		if n := w.Stats().Subscribed; n != 0 {
			t.Errorf("%d subscriptions remain", n)
		}
	})
}

// TestLatency checks what is told about the time from a change to its acknowledgement.
func TestLatency(t *testing.T) {
	latencies := make(chan time.Duration, 10)
	inBubble(t, xds.Config{Acknowledged: func(d time.Duration) { latencies <- d }}, func(t *testing.T, w *world) {
		w.Loaded()
		w.set("pay", 1)
		stream := w.delta(t, t.Context(), "pay")
		answer := func(reason string) {
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			req := &discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResponseNonce: m.GetNonce()}
			if reason != "" {
				req.ErrorDetail = &statuspb.Status{Message: reason}
			}
			if err := stream.Send(req); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		answer("") // the first content is no change
		w.set("pay", 2)
		answer("")
		w.set("pay", 3)
		answer("too many")
		if n := len(latencies); n != 1 {
			t.Fatalf("%d latencies, want 1", n)
		}
		if d := <-latencies; d != 3*time.Second {
			t.Errorf("the latency is %v, want 3 s", d)
		}
		if h := w.History(9); len(h) != 1 || h[0].GetReason() != "too many" || h[0].GetNode() != "n" || h[0].GetNames()[0] != "pay" {
			t.Errorf("the history is %+v", h)
		}
	})
}
