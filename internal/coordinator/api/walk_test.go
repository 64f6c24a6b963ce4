package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// hidingPolicy allows everything except what concerns the service "hidden". It records the
// questions.
type hidingPolicy struct {
	mu    sync.Mutex
	asked map[string]bool // "verb name"
}

func (p *hidingPolicy) Decide(_ access.Principal, verb access.Verb, name access.Name) access.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[fmt.Sprintf("%v %v", verb, name)] = true
	return access.Decision{Allowed: name.ID.Service != "hidden", Detail: access.Full}
}

// questions returns the questions since the last call.
func (p *hidingPolicy) questions() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = map[string]bool{}
	return asked
}

// knowing is the default policy. It records the callers.
type knowing struct {
	access.TrustPolicy
	mu  sync.Mutex
	who map[access.Principal]bool
}

func (k *knowing) Decide(who access.Principal, verb access.Verb, name access.Name) access.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.who[who] = true
	return k.TrustPolicy.Decide(who, verb, name)
}

// TestPolicyKnowsTheCaller: all services tell the policy the identity of a verified caller,
// and nothing about another caller.
func TestPolicyKnowsTheCaller(t *testing.T) {
	for _, c := range []struct {
		client func(*authority) credentials.TransportCredentials
		want   access.Principal
	}{
		{known, access.Principal{Identity: "CN=ann", Trusted: true}},
		{nobody, access.Principal{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, policy := newAuthority(t), &knowing{who: map[access.Principal]bool{}}
			w := newWorld(t, func(s *setup) {
				s.Policy, s.TrustAll = policy, false
				s.Credentials, s.client = a.server(tls.VerifyClientCertIfGiven), c.client(a)
			})
			for _, req := range []any{&pb.ListRequest{}, &pb.GetCoordinatorRequest{}, &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}}} {
				clear(policy.who)
				_ = w.send(req) // the stranger is refused
				if len(policy.who) != 1 || !policy.who[c.want] {
					t.Errorf("%T: the policy is asked for %+v, want %+v", req, policy.who, c.want)
				}
			}
		})
	}
}

// walk says how to call one method, and about what it must ask the policy.
type walk struct {
	req  proto.Message
	asks []string
	// refused is a request that names the hidden service. nil: no request can name one.
	refused proto.Message
}

const (
	reading     = "read the state of "
	inspecting  = "read the history and state of "
	registering = "register "
	overriding  = "override "
	locating    = "see the addresses of "
)

// everyEntry returns the questions about all entries of the world.
func everyEntry(verb string) []string {
	return []string{verb + "the coordinator", verb + "*", verb + "pay", verb + "pay/1", verb + "hidden", verb + "hidden/1"}
}

const clusterURL = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// walks has one walk for each method of the API. A new method needs its line here.
func walks(pay, hidden *pb.Lease) map[string]walk {
	stock := func(name string) proto.Message { return &healthpb.HealthCheckRequest{Service: name} }
	return map[string]walk{
		healthpb.Health_Check_FullMethodName: {stock("pay"), []string{reading + "pay"}, stock("hidden")},
		healthpb.Health_Watch_FullMethodName: {stock("pay"), []string{reading + "pay"}, stock("hidden")},
		healthpb.Health_List_FullMethodName: {
			&healthpb.HealthListRequest{}, []string{reading + "the coordinator", reading + "*", reading + "pay", reading + "hidden"}, nil,
		},
		pb.HealthService_Check_FullMethodName: {
			&pb.CheckRequest{Service: "pay/1"}, []string{reading + "pay/1"}, &pb.CheckRequest{Service: "hidden/1"},
		},
		pb.HealthService_List_FullMethodName: {&pb.ListRequest{}, everyEntry(reading), nil},
		pb.HealthService_Watch_FullMethodName: {
			&pb.WatchRequest{}, everyEntry(reading), &pb.WatchRequest{Names: []string{"pay", "hidden/1"}},
		},
		pb.RegistryService_Register_FullMethodName: {
			&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2"), instance("pay/3")}},
			[]string{registering + "pay/2", registering + "pay/3"},
			&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2"), instance("hidden/2")}},
		},
		pb.RegistryService_Renew_FullMethodName: {renewal(pay), []string{registering + "pay/1"}, renewal(hidden)},
		pb.RegistryService_Report_FullMethodName: {
			pushed(pay, pb.Status_STATUS_SERVING), []string{registering + "pay/1"}, pushed(hidden, pb.Status_STATUS_SERVING),
		},
		pb.RegistryService_Deregister_FullMethodName: {farewell(pay), []string{registering + "pay/1"}, farewell(hidden)},
		pb.AdminService_SetOverride_FullMethodName:   {good(), []string{overriding + "pay/1"}, forever("service=hidden,zone=eu-1", pb.Status_STATUS_SERVING)},
		pb.AdminService_ClearOverride_FullMethodName: {&pb.ClearOverrideRequest{Name: "zone=eu-1"}, []string{overriding + "zone=eu-1"}, &pb.ClearOverrideRequest{Name: "hidden/1"}},
		pb.AdminService_ListOverrides_FullMethodName: {
			&pb.ListOverridesRequest{}, []string{inspecting + "the coordinator", inspecting + "hidden/1", inspecting + "service=hidden,zone=eu-1"}, nil,
		},
		pb.AdminService_ListTransitions_FullMethodName: {
			&pb.ListTransitionsRequest{},
			[]string{inspecting + "the coordinator", inspecting + "hidden/1", inspecting + "service=hidden,zone=eu-1"},
			&pb.ListTransitionsRequest{Name: "hidden"},
		},
		pb.AdminService_Explain_FullMethodName: {
			&pb.ExplainRequest{Name: "*"}, []string{inspecting + "*", inspecting + "pay", inspecting + "hidden"}, &pb.ExplainRequest{Name: "hidden"},
		},
		pb.AdminService_ListRoutes_FullMethodName: {
			&pb.ListRoutesRequest{Service: "pay"}, []string{locating + "pay"}, &pb.ListRoutesRequest{Service: "hidden"},
		},
		pb.AdminService_ListXDSClients_FullMethodName:   {&pb.ListXDSClientsRequest{}, []string{inspecting + "the coordinator"}, nil},
		pb.AdminService_ListXDSResources_FullMethodName: {&pb.ListXDSResourcesRequest{Node: "walker"}, []string{inspecting + "the coordinator"}, nil},
		discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName: {
			&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: clusterURL}, []string{locating + "*", locating + "pay", locating + "hidden"}, nil,
		},
		discoverypb.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName: {
			&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: clusterURL}, []string{locating + "*", locating + "pay", locating + "hidden"}, nil,
		},
		pb.AdminService_GetCoordinator_FullMethodName: {&pb.GetCoordinatorRequest{}, []string{inspecting + "the coordinator"}, nil},
		reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: {
			&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}},
			[]string{"list the services of the coordinator"},
			nil,
		},
		// Its messages have the same fields.
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {
			&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}},
			[]string{"list the services of the coordinator"},
			nil,
		},
	}
}

// invoke calls a method of any kind with one request. It returns the answers as text, and
// the error with which the call has ended. A stream that stays open has ended without one.
func (c *visitor) invoke(method string, req proto.Message) (answers string, err error) {
	ctx, cancel := context.WithCancel(c.t.Context())
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(req)
	}
	if err == nil && method != pb.RegistryService_Report_FullMethodName {
		err = stream.CloseSend()
	}
	if err != nil {
		c.t.Fatal(method, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			answer := newResponse(c.t, method)
			if err = stream.RecvMsg(answer); err != nil {
				return
			}
			answers += prototext.Format(answer)
		}
	}()
	synctest.Wait()
	cancel()
	<-done
	if code := status.Code(err); code == codes.Canceled || err.Error() == "EOF" {
		err = nil
	}
	return answers, err
}

// newResponse returns an empty response of a method.
func newResponse(t *testing.T, method string) proto.Message {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)).Output())
}

// methodsOf lists all methods that are registered.
func methodsOf(g *grpc.Server) (all []string) {
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			all = append(all, "/"+service+"/"+m.Name)
		}
	}
	slices.Sort(all)
	return all
}

// newWalkedWorld has the instances pay/1 and hidden/1, of which hidden/1 is overridden.
func newWalkedWorld(t *testing.T) (w *world, policy *hidingPolicy, pay, hidden *pb.Lease) {
	t.Helper()
	policy = &hidingPolicy{asked: map[string]bool{}}
	w = newWorld(t, func(s *setup) { s.Policy, s.TrustAll, s.Reflection, s.routing = policy, false, true, true })
	regs := []*pb.Registration{instance("pay/1"), instance("hidden/1")}
	for _, r := range regs {
		r.Zone = "eu-1"
	}
	specs, err := w.registry.Register(t.Context(), must(wire.Registrations(&pb.RegisterRequest{Registrations: regs})))
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []health.Scope{{Service: "hidden", Instance: "1"}, {Service: "hidden", Zone: "eu-1"}, {Zone: "eu-1"}} {
		o := &health.Override{Scope: scope, Status: health.NotServing, Author: "ann", Reason: "disks"}
		if err := w.registry.SetOverride(t.Context(), scope, o); err != nil {
			t.Fatal(err)
		}
	}
	w.subscribe("walker")
	return w, policy, leaseOf(must(wire.ParseInstance("pay/1")), specs[0]), leaseOf(must(wire.ParseInstance("hidden/1")), specs[1])
}

// subscribe opens the stream of an xDS client that asks for all clusters.
func (w *world) subscribe(node string) {
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(w.conn).DeltaAggregatedResources(w.t.Context())
	if err == nil {
		err = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: node}, TypeUrl: clusterURL})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestEveryMethodAsksThePolicy: each registered method asks the policy about the names of
// its request and of its answer, and its answer contains nothing that the policy hides.
func TestEveryMethodAsksThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _, _ := newWalkedWorld(t)
		methods := methodsOf(w.server.Services())
		for _, method := range methods {
			w, policy, pay, hidden := newWalkedWorld(t)
			walk, ok := walks(pay, hidden)[method]
			if !ok {
				t.Errorf("%s: no walk; add a line to walks", method)
				continue
			}
			policy.questions()
			answers, err := w.invoke(method, walk.req)
			if err != nil {
				t.Errorf("%s: %v", method, err)
			}
			asked := policy.questions()
			for _, question := range walk.asks {
				if !asked[question] {
					t.Errorf("%s: does not ask whether the caller may %s", method, question)
				}
			}
			if strings.Contains(answers, "hidden") {
				t.Errorf("%s: answers what the policy hides: %s", method, answers)
			}
		}
		if len(methods) != len(walks(nil, nil)) {
			t.Errorf("%d methods are registered, %d are walked: %q", len(methods), len(walks(nil, nil)), methods)
		}
	})
}

// TestGroupsOfListAskThePolicy: List with group_by asks about each instance that it counts, and
// counts nothing that the policy hides.
func TestGroupsOfListAskThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, policy, _, _ := newWalkedWorld(t)
		policy.questions()
		answers, err := w.invoke(pb.HealthService_List_FullMethodName, &pb.ListRequest{GroupBy: "service"})
		if asked := policy.questions(); err != nil || !asked[reading+"pay/1"] || !asked[reading+"hidden/1"] {
			t.Errorf("%v, asks %v", err, asked)
		}
		if !strings.Contains(answers, "pay") || strings.Contains(answers, "hidden") {
			t.Errorf("answers %s", answers)
		}
	})
}

// TestEveryMethodRefusesHiddenNames: a request that names a hidden service is refused.
func TestEveryMethodRefusesHiddenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, pay, hidden := newWalkedWorld(t)
		for method, walk := range walks(pay, hidden) {
			if walk.refused == nil {
				continue
			}
			answers, err := w.invoke(method, walk.refused)
			if status.Code(err) != codes.PermissionDenied || wire.ReasonOf(err) != wire.ReasonNotAllowed || answers != "" {
				t.Errorf("%s: %q, %v", method, answers, err)
			}
		}
	})
}
