package xds

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	managerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshhealth/meshhealth/health"
)

func routesOf(l *listenerpb.Listener) string {
	var m managerpb.HttpConnectionManager
	if err := l.GetApiListener().GetApiListener().UnmarshalTo(&m); err != nil {
		return err.Error()
	}
	return m.GetRds().GetRouteConfigName()
}

// strict checks that a message, and all messages in it, have no unknown fields and are valid.
func strict(m proto.Message) error {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			return err
		}
	}
	return strictFields(m.ProtoReflect())
}

func strictFields(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has unknown fields", m.Descriptor().FullName())
	}
	if packed, ok := m.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		return strict(inner)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapValue().Message() != nil {
					err = strictFields(v.Message())
				}
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = strictFields(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			err = strictFields(v.Message())
		}
		return err == nil
	})
	return err
}

// sample has services with every route, several places, IPv6, weights and TLS.
func sample() []Change {
	var changes []Change
	for r := range health.NumRoutes {
		for i, zone := range []string{"", "a", "b"} {
			c := Change{Service: "pay.v1.Pay"}
			c.Endpoint.Instance = fmt.Sprint(r, zone)
			c.Endpoint.Route, c.Endpoint.Region, c.Endpoint.Zone, c.Endpoint.Weight = r, "eu", zone, uint32(i*64)
			c.Endpoint.Address = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 14: byte(r), 15: byte(i)}), 443)
			changes = append(changes, c)
		}
	}
	tls := Change{Service: "tls"}
	tls.Endpoint.Instance, tls.Endpoint.Route = "a", health.RouteHealthy
	tls.Endpoint.Address = netip.MustParseAddrPort("10.0.0.1:443")
	tls.Endpoint.TLSNames = []string{"pay.example", "spiffe://mesh/pay"}
	return append(changes, tls, Change{Service: "empty"})
}

// TestResourcesAreValid checks every resource of every kind, under every form of its name.
func TestResourcesAreValid(t *testing.T) {
	for _, certificates := range []Certificates{{}, {Roots: "roots", Identity: "own"}} {
		s := New(Config{Certificates: certificates})
		s.Apply(sample())
		s.warmUp()
		for k := range numKinds {
			for _, features := range [][]string{nil, {plainFeature}} {
				for _, service := range []string{"pay.v1.Pay", "tls", "empty"} {
					for _, name := range []string{service, service + ":80", xdstp + "mesh/" + messageNames[k] + "/" + service} {
						checkResource(t, s, k, features, name)
					}
				}
			}
		}
	}
}

func checkResource(t *testing.T, s *Server, k kind, features []string, name string) {
	t.Helper()
	ses := &session{catalog: s.catalog, maxNames: 9, may: func(string) bool { return true }, delta: true, rendering: renderingFor(features)}
	if _, err := ses.handleDelta(transcriptTime, &discoverypb.DeltaDiscoveryRequest{TypeUrl: k.url(), ResourceNamesSubscribe: []string{name}}); err != nil {
		t.Fatal(err)
	}
	r := ses.next()
	if r == nil || len(r.parts) != 1 {
		t.Fatalf("%s %s: the response is %+v", nameOf(k.url()), name, r)
	}
	delta := remade(r.deltaMessage(), &discoverypb.DeltaDiscoveryResponse{})
	if err := strict(delta); err != nil {
		t.Errorf("%s %s: %v", nameOf(k.url()), name, err)
	}
	r.delta = false
	world := remade(r.worldMessage(), &discoverypb.DiscoveryResponse{})
	if err := strict(world); err != nil {
		t.Errorf("%s %s, state of the world: %v", nameOf(k.url()), name, err)
	}
	resource := delta.GetResources()[0]
	if !proto.Equal(resource.GetResource(), world.GetResources()[0]) {
		t.Errorf("%s %s differs between the protocols", nameOf(k.url()), name)
	}
	if got := describe(resource.GetResource()); !strings.HasPrefix(got, name+":\t") || resource.GetName() != name {
		t.Errorf("%s %s has the name in %s", nameOf(k.url()), name, got)
	}
	ses.end()
}

var transcriptTime = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
