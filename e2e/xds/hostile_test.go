//go:build e2e || soak

package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	bulkServices  = 2000 // services that exist so that responses are large
	unreadStreams = 200
	unreadPerConn = 50 // streams on one connection
	bulkChanges   = 10 // changes of all of them while streams are unread
	// mostMemory is the memory in MiB that all hostile clients together may cost.
	mostMemory = 500
)

// TestHostileClients sends what no client should send. Each such client gets a clear answer. All other
// clients are served meanwhile, and the memory of the coordinator stays bounded.
func TestHostileClients(t *testing.T) {
	h := newHostile(t)
	before := h.c.memory()
	for _, a := range h.attacks() {
		got := h.refused(a)
		h.rows = append(h.rows, []string{a.what, got})
		h.othersAreServed(a.what)
	}
	h.ignored()
	h.rejectsAll()
	h.neverReads()
	h.rows = append(h.rows, []string{"memory of the coordinator", fmt.Sprintf("%d MiB before, %d MiB after", before, h.c.memory())})
	if grown := h.c.memory() - before; grown > mostMemory {
		t.Errorf("the memory grew by %d MiB; allowed: %d", grown, mostMemory)
	}
	h.load.stop()
	for i, d := range h.drivers {
		got := h.load.total[i]
		h.rows = append(h.rows, []string{d.name + " meanwhile", fmt.Sprintf("%d calls, %d failed", got.total(), got.failed())})
		if got.failed() > 0 {
			t.Errorf("%s: %v", d.name, got.Errors)
		}
	}
	t.Logf("\n%s", table(append([][]string{{"client", "answer"}}, h.rows...)))
}

// hostile is a coordinator with many services, and well-behaved clients of one of them.
type hostile struct {
	t       *testing.T
	c       *coordinator
	pay     []*backend
	ads     []*adsClient
	drivers []*driver
	load    *load
	rows    [][]string
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{t: t, c: startCoordinator(t)}
	mesh := newClient(t, h.c.at)
	h.pay = startBackends(t, mesh, "pay", 0, backendConfig{}, backendConfig{})
	for _, b := range h.pay {
		b.set(health.Serving)
	}
	bulk := startBackend(t, mesh, "bulk/b0", backendConfig{})
	bulk.set(health.Serving)
	for i := 0; i < bulkServices; i += 100 {
		req := &pb.RegisterRequest{}
		for j := range 100 {
			req.Registrations = append(req.Registrations, &pb.Registration{
				Service: bulkName(i + j), Instance: "b0", Address: bulk.proxy.address(), HealthName: "bulk", Static: true, Zone: "bulk",
			})
		}
		if _, err := pb.NewRegistryServiceClient(h.c.conn).Register(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	h.ads = startADSClients(t, h.c.at, "pay")
	h.drivers = startDrivers(t, h.c.at, "")
	h.bulkIs("SERVING")
	h.othersAreServed("the start")
	h.load = startLoad(h.drivers, "xds:///pay")
	return h
}

func bulkName(i int) string { return fmt.Sprintf("bulk-%d", i) }

// bulkIs waits until all services of the bulk have a status.
func (h *hostile) bulkIs(status string) {
	for _, i := range []int{0, bulkServices / 2, bulkServices - 1} {
		name := bulkName(i) + "/b0"
		until(h.t, name+" is "+status, func() bool { return h.c.status(name) == status })
	}
}

// othersAreServed changes a backend, and requires that all well-behaved clients see it.
func (h *hostile) othersAreServed(when string) {
	h.t.Helper()
	for _, s := range []health.Status{health.NotServing, health.Serving} {
		h.pay[0].set(s)
		want, n := map[string]float64{"b1": 1}, 1
		if s == health.Serving {
			want, n = shares(0.5, 2, 0, 0), 2
		}
		for _, a := range h.ads {
			until(h.t, a.name()+" is served after "+when, func() bool { return a.sees("pay", n) })
		}
		each(h.drivers, func(_ int, d *driver) { d.settle(&step{what: when, target: "xds:///pay", shares: want}) })
	}
}

// attack is requests that the coordinator refuses, of the state of the world or of delta.
type attack struct {
	what  string
	world []*discoverypb.DiscoveryRequest
	delta []*discoverypb.DeltaDiscoveryRequest
	bytes []byte // sent as they are, instead of a request
	code  codes.Code
	says  string // part of the error text
}

var goodNode = &corepb.Node{Id: "hostile"}

func manyNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("name-%d", i)
	}
	return all
}

func (h *hostile) attacks() []attack {
	type world = discoverypb.DiscoveryRequest
	type delta = discoverypb.DeltaDiscoveryRequest
	var types []*world
	for i := range 20 {
		types = append(types, &world{Node: goodNode, TypeUrl: fmt.Sprintf("type.googleapis.com/unknown.%d", i)})
	}
	return []attack{
		{what: "no node", world: []*world{{TypeUrl: endpointType, ResourceNames: []string{"pay"}}}, code: codes.InvalidArgument, says: "node.id: is empty; allowed:"},
		{what: "no node, delta", delta: []*delta{{TypeUrl: endpointType, ResourceNamesSubscribe: []string{"pay"}}}, code: codes.InvalidArgument, says: "node.id: is empty; allowed:"},
		{what: "no type", world: []*world{{Node: goodNode, ResourceNames: []string{"pay"}}}, code: codes.InvalidArgument, says: "type_url: has 0 bytes; allowed:"},
		{what: "100,000 names", world: []*world{{Node: goodNode, TypeUrl: endpointType, ResourceNames: manyNames(100_000)}}, code: codes.InvalidArgument, says: "resource_names: has 100000 names; allowed:"},
		{what: "100,000 names, delta", delta: []*delta{{Node: goodNode, TypeUrl: endpointType, ResourceNamesSubscribe: manyNames(100_000)}}, code: codes.InvalidArgument, says: "resource_names_subscribe: has 100000 names; allowed:"},
		{what: "a name of 10,000 bytes", world: []*world{{Node: goodNode, TypeUrl: endpointType, ResourceNames: []string{strings.Repeat("x", 10_000)}}}, code: codes.InvalidArgument, says: "resource_names[0]: has 10000 bytes; allowed:"},
		{what: "20 unknown types", world: types, code: codes.InvalidArgument, says: "type_url: is the type number 17 of this stream; allowed:"},
		{what: "a request of 64 MiB", bytes: make([]byte, 64<<20), code: codes.ResourceExhausted, says: "larger than max"},
		{what: "bytes that are no request", bytes: []byte("\xff\xff\xff\xff"), code: codes.Internal},
	}
}

// refused makes an attack, and requires the error. It returns the text of the error.
func (h *hostile) refused(a attack) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := a.make(ctx, dial(h.t, h.c.at))
	if code, text := grpcstatus.Code(err), grpcstatus.Convert(err).Message(); code != a.code || !strings.Contains(text, a.says) {
		h.t.Errorf("%s: %v; want %v and %q", a.what, err, a.code, a.says)
	}
	return fmt.Sprintf("%v: %s", grpcstatus.Code(err), grpcstatus.Convert(err).Message())
}

// make sends the requests, and returns the error that ends the stream.
func (a *attack) make(ctx context.Context, conn *grpc.ClientConn) error {
	ads := discoverypb.NewAggregatedDiscoveryServiceClient(conn)
	if a.bytes != nil {
		stream, err := conn.NewStream(ctx, &discoverypb.AggregatedDiscoveryService_ServiceDesc.Streams[0],
			discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName, grpc.ForceCodec(raw{}))
		if err == nil {
			err = stream.SendMsg(a.bytes)
		}
		return endOf(err, stream)
	}
	if len(a.delta) > 0 {
		stream, err := ads.DeltaAggregatedResources(ctx)
		for i := 0; err == nil && i < len(a.delta); i++ {
			err = stream.Send(a.delta[i])
		}
		return endOf(err, stream)
	}
	stream, err := ads.StreamAggregatedResources(ctx)
	for i := 0; err == nil && i < len(a.world); i++ {
		err = stream.Send(a.world[i])
	}
	return endOf(err, stream)
}

// raw is a codec that sends bytes as they are, and ignores what it receives.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (raw) Unmarshal([]byte, any) error { return nil }

func (raw) Name() string { return "proto" }

// endOf returns the error with which a stream ends.
func endOf(err error, stream grpc.ClientStream) error {
	if errors.Is(err, io.EOF) {
		err = nil // Send returns this after the end of the stream, and only Recv says why it has ended
	}
	for err == nil {
		err = stream.RecvMsg(&emptypb.Empty{})
	}
	return err
}

// world opens a stream of the state of the world.
func (h *hostile) world(options ...grpc.CallOption) discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesClient {
	h.t.Helper()
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(dial(h.t, h.c.at)).StreamAggregatedResources(h.t.Context(), options...)
	if err != nil {
		h.t.Fatal(err)
	}
	return stream
}

// ignored sends wrong nonces and an unknown type. The stream ignores the nonces, answers that there is
// no resource of the type, and still serves endpoint sets.
func (h *hostile) ignored() {
	h.t.Helper()
	stream := h.world()
	send := func(r *discoverypb.DiscoveryRequest) {
		if err := stream.Send(r); err != nil {
			h.t.Error(err)
		}
	}
	send(&discoverypb.DiscoveryRequest{Node: goodNode, TypeUrl: "type.googleapis.com/unknown.Type", ResourceNames: []string{"x"}})
	resp, err := stream.Recv()
	if err != nil || len(resp.GetResources()) != 0 || resp.GetTypeUrl() != "type.googleapis.com/unknown.Type" {
		h.t.Errorf("an unknown type: %v %v, want an empty response", resp, err)
	}
	send(&discoverypb.DiscoveryRequest{TypeUrl: endpointType, ResourceNames: []string{"pay"}})
	first, err := stream.Recv()
	if err != nil || len(first.GetResources()) != 1 {
		h.t.Fatalf("after an unknown type: %v %v", first, err)
	}
	for i := range 10_000 {
		send(&discoverypb.DiscoveryRequest{TypeUrl: endpointType, ResourceNames: []string{bulkName(i % bulkServices)}, ResponseNonce: "wrong"})
	}
	send(&discoverypb.DiscoveryRequest{TypeUrl: endpointType, ResourceNames: []string{"pay"}, VersionInfo: first.GetVersionInfo(), ResponseNonce: first.GetNonce()})
	h.pay[0].set(health.NotServing)
	next, err := stream.Recv()
	if err != nil || next.GetVersionInfo() == first.GetVersionInfo() || len(next.GetResources()) != 1 {
		h.t.Errorf("after wrong nonces: %v %v, want the next version of one endpoint set", next, err)
	}
	h.othersAreServed("wrong nonces")
	h.rows = append(h.rows, []string{"an unknown type, then 10,000 wrong nonces", "an empty response; then the next version of the endpoint set that it has subscribed to"})
}

// rejectsAll rejects each response. It gets one response for each change, and not the same again.
func (h *hostile) rejectsAll() {
	h.t.Helper()
	stream := h.world()
	req := &discoverypb.DiscoveryRequest{Node: goodNode, TypeUrl: endpointType, ResourceNames: []string{"pay"}}
	const changes = 20
	for i := range changes {
		if err := stream.Send(req); err != nil {
			h.t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			h.t.Fatal(err)
		}
		if resp.GetVersionInfo() == req.GetErrorDetail().GetMessage() {
			h.t.Errorf("the rejected version %s came again", resp.GetVersionInfo())
		}
		req = &discoverypb.DiscoveryRequest{
			TypeUrl: endpointType, ResourceNames: []string{"pay"}, ResponseNonce: resp.GetNonce(),
			ErrorDetail: &status.Status{Code: int32(codes.InvalidArgument), Message: resp.GetVersionInfo()},
		}
		h.pay[0].set([]health.Status{health.NotServing, health.Serving}[i%2])
	}
	h.othersAreServed("rejections")
	h.rows = append(h.rows, []string{"rejects every response", fmt.Sprintf("%d changes, %d responses", changes, changes)})
}

// neverReads subscribes to everything on many streams, and reads nothing while everything changes.
func (h *hostile) neverReads() {
	h.t.Helper()
	names := make([]string, bulkServices)
	for i := range names {
		names[i] = bulkName(i)
	}
	var ads discoverypb.AggregatedDiscoveryServiceClient
	for i := range unreadStreams {
		if i%unreadPerConn == 0 {
			ads = discoverypb.NewAggregatedDiscoveryServiceClient(dial(h.t, h.c.at))
		}
		stream, err := ads.DeltaAggregatedResources(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if err := stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: goodNode, TypeUrl: endpointType, ResourceNamesSubscribe: names}); err != nil {
			h.t.Fatal(err)
		}
	}
	most := 0
	began := time.Now()
	for i := range bulkChanges {
		if i%2 == 0 {
			h.c.command("override", "set", "zone=bulk", "MAINTENANCE", "--reason", "test", "--for", "1h")
			h.bulkIs("MAINTENANCE")
		} else {
			h.c.command("override", "clear", "zone=bulk")
			h.bulkIs("SERVING")
		}
		h.othersAreServed("unread streams")
		most = max(most, h.c.memory())
	}
	h.rows = append(h.rows, []string{
		fmt.Sprintf("%d streams with %d names each read nothing", unreadStreams, bulkServices),
		fmt.Sprintf("%d changes of all services in %v, memory at most %d MiB", bulkChanges, time.Since(began).Round(time.Second/10), most),
	})
}
