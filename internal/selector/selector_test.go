package selector

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// cases are the contents of selectors.json, which the tests of the page read too.
type cases struct {
	Entries []struct {
		Service, Instance, Zone, Version, Root string

		Status      health.Status
		Cause       health.Cause
		Labels      map[string]string
		Unconfirmed bool
	}
	Cases []struct {
		Q       string
		Matches []string
		Error   string // beginning or part of the error text; empty if Q is valid
	}
}

func shared(t testing.TB) (c cases, entries []Entry) {
	t.Helper()
	text, err := os.ReadFile("../../web/testdata/selectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Entries {
		entries = append(entries, Entry{
			ID: health.ID{Service: e.Service, Instance: e.Instance}, Zone: e.Zone, Version: e.Version, Status: e.Status,
			Cause: e.Cause, Root: e.Root, Unconfirmed: e.Unconfirmed, Labels: e.Labels,
		})
	}
	return c, entries
}

// TestShared checks every case that the command line and the page have in common.
func TestShared(t *testing.T) {
	c, entries := shared(t)
	for _, want := range c.Cases {
		s, err := Parse(want.Q)
		if want.Error != "" || err != nil {
			if want.Error == "" || err == nil || !strings.Contains(err.Error(), want.Error) {
				t.Errorf("%s: error %v, want %q", want.Q, err, want.Error)
			}
			continue
		}
		got := []string{}
		for i := range entries {
			if s.Matches(&entries[i]) {
				got = append(got, entries[i].ID.String())
			}
		}
		if !slices.Equal(got, want.Matches) {
			t.Errorf("%s: matches %q, want %q", want.Q, got, want.Matches)
		}
	}
}

// TestScopes checks that a filter with the text of an override's scope matches the same instances.
func TestScopes(t *testing.T) {
	_, entries := shared(t)
	for _, scope := range []health.Scope{
		{Service: "pay", Zone: "eu-2"},
		{Zone: "eu-1"},
		health.Scope{}.WithLabels(map[string]string{"team": "core,web"}),
		health.Scope{Service: "pay"}.WithLabels(map[string]string{"note": `say "hi", now`, "team": "core,web"}),
		health.Scope{Zone: "eu-2"}.WithLabels(map[string]string{"note": ""}),
	} {
		s, err := Parse(scope.String())
		if err != nil {
			t.Errorf("%s: %v", scope, err)
			continue
		}
		found := 0
		for i := range entries {
			e := &entries[i]
			if e.ID.Aggregate() {
				continue
			}
			if got, want := s.Matches(e), scope.Matches(e.ID, e.Zone, e.Labels); got != want {
				t.Errorf("%s: %s: %v, want %v", scope, e.ID, got, want)
			} else if want {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s matches nothing", scope)
		}
	}
}

// TestLimits checks what a server need not send, and the bounds of a filter.
func TestLimits(t *testing.T) {
	s, err := Parse("status=SERVING|UNKNOWN,service=pay,x")
	if err != nil || s.Service() != "pay" || !slices.Equal(s.Statuses(), []health.Status{health.Serving, health.Unknown}) || s.Empty() {
		t.Errorf("%q, %v, %v", s.Service(), s.Statuses(), err)
	}
	s, err = Parse("!status=SERVING,!service=pay")
	if err != nil || s.Service() != "" || s.Statuses() != nil {
		t.Errorf("%q, %v, %v", s.Service(), s.Statuses(), err)
	}
	if s, err := Parse(" "); err != nil || !s.Empty() {
		t.Errorf("%v, %v", s, err)
	}
	for text, want := range map[string]string{
		strings.Repeat("x", maxBytes+1):                         "bytes long; allowed: 4096",
		strings.Repeat("x,", maxConditions) + "x":               "has 65 conditions; allowed: 64",
		"!" + strings.Repeat(" ", 3) + ",x":                     "is empty",
		"status=" + strings.Repeat("SERVING|", 20) + "NOTHING!": "is no status",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %q", text, err, want)
		}
	}
}

// FuzzParse checks that a filter is either refused, or matches in agreement with its negation.
func FuzzParse(f *testing.F) {
	c, entries := shared(f)
	for _, one := range c.Cases {
		f.Add(one.Q)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !strings.Contains(err.Error(), "allowed: ") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if len(s.conditions) != 1 {
			return
		}
		flipped := "!" + strings.TrimSpace(text)
		if after, ok := strings.CutPrefix(flipped, "!!"); ok {
			flipped = after
		}
		n, err := Parse(flipped)
		if err != nil || len(n.conditions) != 1 || n.conditions[0].negated == s.conditions[0].negated {
			return // the text begins with several !
		}
		for i := range entries {
			if s.Matches(&entries[i]) == n.Matches(&entries[i]) {
				t.Errorf("%q and its negation agree about %s", text, entries[i].ID)
			}
		}
	})
}
