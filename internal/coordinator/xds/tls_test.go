package xds

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshhealth/meshhealth/health"
)

// TestTLSNames checks the kind of each name, and that no IP address and no URI is asked for by SNI.
func TestTLSNames(t *testing.T) {
	for _, c := range []struct {
		names []string
		sni   string
		want  string // kind and name for Envoy
	}{
		{[]string{"10.0.0.1"}, "", "IP_ADDRESS 10.0.0.1"},
		{[]string{"2001:db8::1", "pay.example"}, "pay.example", "IP_ADDRESS 2001:db8::1, DNS pay.example"},
		{[]string{"2001:DB8:0::1"}, "", "IP_ADDRESS 2001:db8::1"},
		{[]string{"spiffe://mesh/pay", "10.0.0.1"}, "", "URI spiffe://mesh/pay, IP_ADDRESS 10.0.0.1"},
		{[]string{"10.0.0.1.example"}, "10.0.0.1.example", "DNS 10.0.0.1.example"},
	} {
		for _, r := range []Rendering{SpillOver, Plain} {
			var tls tlspb.UpstreamTlsContext
			if err := newTransportSocket(r, c.names, &Certificates{}).GetTypedConfig().UnmarshalTo(&tls); err != nil {
				t.Fatal(err)
			}
			if tls.GetSni() != c.sni {
				t.Errorf("%v: %q: the SNI is %q, want %q", r, c.names, tls.GetSni(), c.sni)
			}
			var got []string
			for _, m := range tls.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchTypedSubjectAltNames() {
				got = append(got, fmt.Sprint(m.GetSanType(), " ", m.GetMatcher().GetExact()))
			}
			if all := strings.Join(got, ", "); r == SpillOver && all != c.want {
				t.Errorf("%q: %s, want %s", c.names, all, c.want)
			}
		}
	}
}

// TestTLSNamesOfRendered checks that only instances that clients get have a say in TLS.
func TestTLSNamesOfRendered(t *testing.T) {
	for route := range health.NumRoutes {
		src := &source{}
		change := func(instance string, route health.Route, names ...string) {
			c := Change{Service: "pay"}
			c.Endpoint.Instance, c.Endpoint.Route, c.Endpoint.TLSNames = instance, route, names
			c.Endpoint.Address = netip.MustParseAddrPort("10.0.0.1:80")
			src.apply(&c)
		}
		change("a", route, "old.example")
		change("b", health.RouteHealthy)
		want := "old.example"
		if _, rendered := healthOf[route]; !rendered {
			want = ""
		}
		if got := strings.Join(src.allTLSNames(), " "); got != want {
			t.Errorf("an instance with the route %v: the names are %q, want %q", route, got, want)
		}
	}
}
