package health

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestScopeQuotes checks that a value with commas can be selected, and that quotes which
// are not closed are refused.
func TestScopeQuotes(t *testing.T) {
	for text, want := range map[string]string{
		`label.team="core,web"`:                "core,web",
		`label.team="core"`:                    "core",
		`label.team="a,""b"""`:                 `a,"b"`,
		`label.team="",zone=eu-1`:              "",
		`service=pay,label.team=",",zone=eu-1`: ",",
		`label.team=a"b`:                       `a"b`,
		`label.team=a="b`:                      `a="b`,
		`label.team="="`:                       "=",
	} {
		s, err := ParseScope(text)
		if err != nil || s.Labels()["team"] != want || len(s.Labels()) != 1 {
			t.Errorf("%s: %q, %v, want %q", text, s.Labels(), err, want)
		}
		if !s.Matches(ID{"pay", "a"}, "eu-1", map[string]string{"team": want}) || s.Matches(ID{"pay", "a"}, "eu-1", map[string]string{"team": want + "x"}) {
			t.Errorf("%s: does not match its own labels", text)
		}
	}
	for _, text := range []string{`label.a="`, `label.a="b`, `label.a="b"c`, `label.a="b""`, `label.a="b,zone=z`, `label.a="b" ,zone=z`} {
		if s, err := ParseScope(text); err == nil || !strings.Contains(err.Error(), "not closed") {
			t.Errorf("%s is parsed as %q, %v", text, s, err)
		}
	}
}

// TestScopeTextOfAnyLabels checks that ParseScope is the inverse of String for all values.
func TestScopeTextOfAnyLabels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() string {
		b := make([]byte, random.IntN(6))
		for i := range b {
			b[i] = `,="ab `[random.IntN(6)]
		}
		return string(b)
	}
	for range 20_000 {
		labels := map[string]string{}
		for _, key := range []string{"a", "b", "c"}[:1+random.IntN(3)] {
			labels[key] = value()
		}
		s := Scope{Zone: "z"}.WithLabels(labels)
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Fatalf("%q is parsed as %q, %v", s, got, err)
		}
		for key, want := range labels {
			if got := s.Labels()[key]; got != want {
				t.Fatalf("%q: %s is %q, want %q", s, key, got, want)
			}
		}
	}
}
