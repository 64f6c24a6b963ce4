package access

import (
	"errors"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

func TestTrustPolicy(t *testing.T) {
	for verb, public := range map[Verb]bool{
		Read: true, Scrape: true, Describe: true, Inspect: false, Register: false, Override: false, Locate: false,
	} {
		for _, name := range []Name{{}, Of(health.ID{Service: "pay", Instance: "1"}), OfScope(health.Scope{Zone: "eu-1"})} {
			if d := (TrustPolicy{}).Decide(Principal{Trusted: true}, verb, name); !d.Allowed || d.Detail != Full {
				t.Errorf("a trusted caller, to %v %v: %+v", verb, name, d)
			}
			for _, who := range []Principal{{}, {Identity: "spiffe://mesh/pay"}} {
				if d := (TrustPolicy{}).Decide(who, verb, name); d.Allowed != public || d.Detail != Public {
					t.Errorf("%+v, to %v %v: %+v, want allowed %v", who, verb, name, d, public)
				}
			}
		}
	}
}

// denied is a policy that refuses everything.
type denied struct{ needs string }

func (d denied) Decide(Principal, Verb, Name) Decision { return Decision{Needs: d.needs} }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		verb   Verb
		name   Name
		want   string
	}{
		{TrustPolicy{}, Read, Name{}, ""},
		{TrustPolicy{}, Inspect, Name{}, "not allowed: to read the history and state of the coordinator needs a client certificate that was verified"},
		{TrustPolicy{}, Register, Of(health.ID{Service: "pay", Instance: "1"}), "not allowed: to register pay/1 needs a client certificate that was verified"},
		{denied{"a reason"}, Override, OfScope(health.Scope{Service: "pay"}), "not allowed: to override pay needs a reason"},
		{denied{}, Override, OfScope(health.Scope{Service: "pay", Zone: "eu-1"}), "not allowed: to override service=pay,zone=eu-1"},
		{TrustPolicy{}, Locate, Of(health.ID{Service: health.MeshName}), "not allowed: to see the addresses of * needs a client certificate that was verified"},
		{denied{}, Scrape, Of(health.ID{Service: health.MeshName}), "not allowed: to read the metrics of *"},
		{denied{}, Describe, Name{}, "not allowed: to list the services of the coordinator"},
		{denied{}, Read, Of(health.ID{Service: "pay"}), "not allowed: to read the state of pay"},
	} {
		caller := Caller{Policy: c.policy}
		_, err := caller.Check(c.verb, c.name)
		if caller.May(c.verb, c.name) != (err == nil) {
			t.Errorf("%v %v: May differs from Check: %v", c.verb, c.name, err)
		}
		if c.want == "" && err == nil {
			continue
		}
		if !errors.Is(err, domain.ErrNotAllowed) || err.Error() != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestOfScope(t *testing.T) {
	for _, c := range []struct {
		scope health.Scope
		want  Name
	}{
		{health.Scope{Service: "pay", Instance: "1"}, Name{ID: health.ID{Service: "pay", Instance: "1"}}},
		{health.Scope{Service: "pay"}, Name{ID: health.ID{Service: "pay"}}},
		{health.Scope{Zone: "eu-1"}, Name{Selector: "zone=eu-1"}},
		{health.Scope{Service: "pay", Zone: "eu-1"}, Name{ID: health.ID{Service: "pay"}, Selector: "service=pay,zone=eu-1"}},
	} {
		if got := OfScope(c.scope); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.scope, got, c.want)
		}
	}
}
