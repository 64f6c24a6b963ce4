package health

import (
	"strings"
	"testing"
)

func TestScopeText(t *testing.T) {
	for _, s := range []Scope{
		{Service: "pay"},
		{Service: "pay", Instance: "a:1"},
		{Zone: "eu-1"},
		{Service: "pay", Zone: "eu-1"},
		Scope{}.WithLabels(map[string]string{"team": "core", "app": "a=b"}),
		Scope{Service: "pay", Zone: "z"}.WithLabels(map[string]string{"team": ""}),
	} {
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Errorf("%q is parsed as %+v, %v", s, got, err)
		}
		if id := s.ID(); id != (ID{}) && ScopeOf(id) != s || id == (ID{}) && !s.Selector() {
			t.Errorf("the ID of %q is %+v", s, id)
		}
	}
	for _, text := range []string{
		"zone=", "zone=a,zone=b", "service=", "team=core", "label.=x", "label.a=1,label.a=2", "zone=a,", "pay/a,zone=b",
	} {
		if s, err := ParseScope(text); err == nil {
			t.Errorf("%q is parsed as %+v", text, s)
		}
	}
}

func TestScopeMatches(t *testing.T) {
	spec := &Spec{Zone: "eu-1", Labels: map[string]string{"team": "core", "tier": "web"}}
	for text, want := range map[string]bool{
		"":                                      false,
		"pay":                                   true,
		"pay/1":                                 true,
		"pay/2":                                 false,
		"shop":                                  false,
		"zone=eu-1":                             true,
		"zone=eu-2":                             false,
		"label.team=core":                       true,
		"label.team=other":                      false,
		"label.none=":                           false,
		"service=pay,zone=eu-1,label.tier=web":  true,
		"service=shop,zone=eu-1,label.tier=web": false,
		"zone=eu-1,label.tier=web,label.team=core": true,
		"zone=eu-1,label.tier=web,label.team=c":    false,
	} {
		s, err := ParseScope(text)
		if err != nil || s.Matches(ID{"pay", "1"}, spec.Zone, spec.Labels) != want {
			t.Errorf("%q: %v, want %v (%v)", text, !want, want, err)
		}
	}
}

// TestScopeNarrower has scopes in order: each one is narrower than the next.
func TestScopeNarrower(t *testing.T) {
	list := strings.Fields("pay/1 service=pay,zone=z,label.a=b service=pay,label.a=b service=pay,zone=z pay zone=z,label.a=b label.a=b zone=z")
	for i := range list[1:] {
		a, _ := ParseScope(list[i])
		b, _ := ParseScope(list[i+1])
		if !a.Narrower(b) || b.Narrower(a) {
			t.Errorf("%s is not narrower than %s", a, b)
		}
	}
}
