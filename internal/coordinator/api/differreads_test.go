package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// reading is what one caller has read, as a text.
type reading struct {
	*visitor
	stock   healthpb.HealthClient
	at      healthpb.HealthClient // its calls have the :authority of an instance
	browser *browser

	text   strings.Builder
	sealed map[string]int // how often each sealed token has come

	stocks, watches, routing map[string]*recorded // open streams
	token                    string               // the last resume token
}

// recorded is an open stream and the text of what it has received.
type recorded struct {
	mu   sync.Mutex
	text []string
	last string // its last resume token
}

func (r *recorded) add(text, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, text)
	if token != "" {
		r.last = token
	}
}

// take returns the texts since the last call.
func (r *recorded) take() (text []string, last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, r.text = r.text, nil
	return text, r.last
}

var sealedText = regexp.MustCompile(`(?i:page|resume)_?[tT]oken"?: *"([^"]+)"`)

// note adds what a call has returned.
func (r *reading) note(what string, m proto.Message, err error) {
	if err != nil {
		r.noteText(what, prototext.Format(status.Convert(err).Proto()))
		return
	}
	r.noteText(what, prototext.Format(m))
}

// noteText adds a text without sealed tokens, whose bytes are different each time. All other tokens stay as
// they are.
func (r *reading) noteText(what, text string) {
	text = sealedText.ReplaceAllStringFunc(text, func(field string) string {
		token := sealedText.FindStringSubmatch(field)[1]
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(b) == 0 || b[0] != 2 {
			return field
		}
		if r.sealed[token]++; r.sealed[token] > 1 {
			return "token: sealed, and the same as another one"
		}
		return "token: sealed"
	})
	fmt.Fprintf(&r.text, "=== %s\n%s", what, text)
}

// newReading opens the long streams of a caller.
func newReading(w *world, v *visitor) *reading {
	r := &reading{
		visitor: v, stock: healthpb.NewHealthClient(v.conn), at: w.stockAt("1.instance.meshhealth"), sealed: map[string]int{},
		stocks: map[string]*recorded{}, watches: map[string]*recorded{}, routing: map[string]*recorded{},
	}
	for _, name := range asked() {
		r.stocks["stock "+name] = record(w, func(ctx context.Context) (grpc.ServerStreamingClient[healthpb.HealthCheckResponse], error) {
			return r.stock.Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
		})
	}
	for what, req := range map[string]*pb.WatchRequest{
		"all": {}, "heartbeats": {Heartbeat: durationpb.New(time.Second)}, "figures": {FiguresEvery: durationpb.New(time.Second)},
		"names": {Names: asked()}, "aggregates": {Selector: &pb.Selector{AggregatesOnly: true}},
		"services": {Selector: &pb.Selector{Services: []string{"bank", "abc", "pay"}}}, "zone": {Selector: &pb.Selector{Zone: "eu-1"}},
		"labels": {Selector: &pb.Selector{Labels: map[string]string{"team": "core"}}},
	} {
		r.watches[what] = record(w, func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchResponse], error) {
			return r.mesh.Watch(ctx, req)
		})
	}
	for _, kind := range []string{"envoy.config.cluster.v3.Cluster", "envoy.config.listener.v3.Listener", "envoy.config.endpoint.v3.ClusterLoadAssignment", "envoy.config.route.v3.RouteConfiguration"} {
		r.routing["world "+kind], r.routing["delta "+kind] = r.routeWorld(kind), r.routeDelta(kind)
	}
	synctest.Wait()
	return r
}

// record opens a stream and records what it receives.
func record[M any](w *world, open func(context.Context) (grpc.ServerStreamingClient[M], error)) *recorded {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	to := &recorded{}
	go func() {
		stream, err := open(ctx)
		for err == nil {
			var m *M
			if m, err = stream.Recv(); err == nil {
				to.add(prototext.Format(any(m).(proto.Message)), tokenOf(any(m)))
			}
		}
		to.add(prototext.Format(status.Convert(err).Proto()), "")
	}()
	return to
}

func tokenOf(m any) string {
	if w, is := m.(*pb.WatchResponse); is {
		return w.GetResumeToken()
	}
	return ""
}

// routed returns the names for which a routing client asks.
func routed(kind string) []string {
	if strings.Contains(kind, "Cluster") && !strings.Contains(kind, "Load") || strings.Contains(kind, "Listener") {
		return nil // all
	}
	return slices.DeleteFunc(asked(), func(name string) bool { return name == "" || strings.ContainsAny(name, "*/") })
}

func (r *reading) routeWorld(kind string) *recorded {
	to := &recorded{}
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(r.conn).StreamAggregatedResources(r.t.Context())
	url := "type.googleapis.com/" + kind
	req := &discoverypb.DiscoveryRequest{TypeUrl: url, ResourceNames: routed(kind)}
	req.Node = &corepbNode
	go func() {
		for err == nil {
			_ = stream.Send(req) // if it fails, Recv returns the reason
			var m *discoverypb.DiscoveryResponse
			if m, err = stream.Recv(); err == nil {
				to.add(prototext.Format(m), "")
				req = &discoverypb.DiscoveryRequest{TypeUrl: url, ResourceNames: routed(kind), VersionInfo: m.GetVersionInfo(), ResponseNonce: m.GetNonce()}
			}
		}
		to.add(prototext.Format(status.Convert(err).Proto()), "")
	}()
	return to
}

func (r *reading) routeDelta(kind string) *recorded {
	to := &recorded{}
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(r.t.Context())
	url := "type.googleapis.com/" + kind
	req := &discoverypb.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: routed(kind)}
	req.Node = &corepbNode
	go func() {
		for err == nil {
			_ = stream.Send(req) // if it fails, Recv returns the reason
			var m *discoverypb.DeltaDiscoveryResponse
			if m, err = stream.Recv(); err == nil {
				to.add(prototext.Format(m), "")
				req = &discoverypb.DeltaDiscoveryRequest{TypeUrl: url, ResponseNonce: m.GetNonce()}
			}
		}
		to.add(prototext.Format(status.Convert(err).Proto()), "")
	}()
	return to
}

// streams adds what the open streams have received since the last call.
func (r *reading) streams() {
	synctest.Wait()
	for _, all := range []map[string]*recorded{r.stocks, r.watches, r.routing} {
		for _, what := range slices.Sorted(maps.Keys(all)) {
			for _, text := range first(all[what].take()) {
				r.noteText(what, text)
			}
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// reads calls every method that reads, and methods that change hidden names.
func (r *reading) reads() {
	ctx := r.t.Context()
	r.streams()
	for _, name := range asked() {
		var trailers metadata.MD
		stock, err := r.stock.Check(ctx, &healthpb.HealthCheckRequest{Service: name}, grpc.Trailer(&trailers))
		r.note(fmt.Sprint("stock Check ", name, map[string][]string(trailers)), stock, err)
		stock, err = r.at.Check(ctx, &healthpb.HealthCheckRequest{Service: name})
		r.note("stock Check 1 of "+name, stock, err)
		check, err := r.mesh.Check(ctx, &pb.CheckRequest{Service: name})
		r.note("Check "+name, check, err)
		explained, err := r.admin.Explain(ctx, &pb.ExplainRequest{Name: name})
		r.note("Explain "+name, explained, err)
		r.history(&pb.ListTransitionsRequest{Name: name, PageSize: 3})
		routes, err := r.admin.ListRoutes(ctx, &pb.ListRoutesRequest{Service: name, PageSize: 2})
		r.note("ListRoutes "+name, routes, err)
	}
	r.history(&pb.ListTransitionsRequest{OldestFirst: true, PageSize: 2})
	r.history(&pb.ListTransitionsRequest{Name: "pay", OldestFirst: true, PageSize: 100})
	list, err := r.stock.List(ctx, &healthpb.HealthListRequest{})
	r.note("stock List", list, err)
	list, err = r.at.List(ctx, &healthpb.HealthListRequest{})
	r.note("stock List of 1", list, err)
	r.lists()
	overrides, err := r.admin.ListOverrides(ctx, &pb.ListOverridesRequest{})
	r.note("ListOverrides", overrides, err)
	coordinator, err := r.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	r.note("GetCoordinator", coordinator, err)
	clients, err := r.admin.ListXDSClients(ctx, &pb.ListXDSClientsRequest{})
	r.note("ListXDSClients", clients, err)
	resources, err := r.admin.ListXDSResources(ctx, &pb.ListXDSResourcesRequest{})
	r.note("ListXDSResources", resources, err)
	r.resumes()
	r.writes()
	r.overHTTP()
}

// history reads all pages of the journal.
func (r *reading) history(req *pb.ListTransitionsRequest) {
	what := fmt.Sprintf("ListTransitions %q %v", req.GetName(), req.GetOldestFirst())
	for {
		page, err := r.admin.ListTransitions(r.t.Context(), req)
		r.note(what, page, err)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return
		}
	}
}

func (r *reading) lists() {
	for _, selector := range []*pb.Selector{nil, {AggregatesOnly: true}, {Zone: "eu-1"}, {Services: []string{"abc", "bank", "pay"}}, {Statuses: []pb.Status{pb.Status_STATUS_NOT_SERVING}}} {
		for _, group := range []string{"", "service", "cause", "zone", "label.team"} {
			req := &pb.ListRequest{Selector: selector, GroupBy: group, PageSize: 2}
			for {
				page, err := r.mesh.List(r.t.Context(), req)
				r.note(fmt.Sprint("List ", req), page, err)
				if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
		}
	}
}

// resumes opens a Watch that begins where the others were in the call before, and ends it.
func (r *reading) resumes() {
	_, latest := r.watches["all"].take()
	token := r.token
	r.token = latest
	if token == "" {
		return
	}
	w := r.watch(&pb.WatchRequest{ResumeToken: token})
	came, err := w.received()
	w.cancel()
	r.noteText("resumed", fmt.Sprintln(len(came), err))
	for _, m := range came {
		r.note("resumed", m, nil)
	}
	synctest.Wait()
}

// writes tries to change names that the caller may not change, whether they exist or not.
func (r *reading) writes() {
	for _, name := range []string{"bank/1", "abc/1", "paz/7", "nobody/1"} {
		l := &pb.Lease{Service: strings.TrimSuffix(name, name[len(name)-2:]), Instance: name[len(name)-1:], LeaseId: "a1"}
		for _, req := range []any{
			&pb.RegisterRequest{Registrations: []*pb.Registration{instance(name)}}, renewal(l), farewell(l), pushed(l, pb.Status_STATUS_SERVING),
			&pb.DeregisterRequest{Service: l.GetService(), Instance: l.GetInstance(), Force: true},
			forAnHour(name, pb.Status_STATUS_SERVING), &pb.ClearOverrideRequest{Name: name}, &pb.ClearOverrideRequest{Name: "zone=eu-1"},
		} {
			r.note(fmt.Sprintf("%T %s", req, name), nil, r.send(req))
		}
	}
}

func (r *reading) overHTTP() {
	for _, call := range []struct {
		method string
		req    proto.Message
	}{
		{pb.HealthService_Check_FullMethodName, &pb.CheckRequest{Service: "pay"}},
		{pb.HealthService_Check_FullMethodName, &pb.CheckRequest{Service: "bank"}},
		{pb.HealthService_List_FullMethodName, &pb.ListRequest{}},
		{pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{}},
		{pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{Names: []string{"abc", "bank", "pay"}}},
		{pb.AdminService_Explain_FullMethodName, &pb.ExplainRequest{Name: "pay"}},
		{pb.AdminService_Explain_FullMethodName, &pb.ExplainRequest{Name: "bank"}},
		{pb.AdminService_ListTransitions_FullMethodName, &pb.ListTransitionsRequest{PageSize: 2}},
		{pb.AdminService_ListOverrides_FullMethodName, &pb.ListOverridesRequest{}},
		{pb.AdminService_ListRoutes_FullMethodName, &pb.ListRoutesRequest{Service: "pay"}},
		{pb.AdminService_GetCoordinator_FullMethodName, &pb.GetCoordinatorRequest{}},
	} {
		r.noteText(fmt.Sprint("HTTP ", call.method, call.req), fmt.Sprintf("%+v\n", r.browser.call(call.method, call.req)))
	}
}
