package health

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPolicyValidate checks that Validate returns the errors of all fields.
func TestPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   []string
	}{
		{Policy{}, nil},
		{Policy{StaleAfter: -1, MinHold: time.Hour}, nil},
		{Policy{DegradeAfter: 3}, nil},
		{Policy{DegradeAfter: 4}, []string{"DegradeAfter: is 4; allowed: at most FailAfter (3)"}},
		{Policy{DegradeAfter: 2, FailAfter: 1}, []string{"DegradeAfter: is 2; allowed: at most FailAfter (1)"}},
		{
			Policy{DegradeAfter: -1, FailAfter: -2, RecoverAfter: -3, MinHold: -time.Second},
			[]string{"DegradeAfter: is -1; allowed: at least 1", "FailAfter: is -2; allowed: at least 1", "RecoverAfter: is -3; allowed: at least 1", "MinHold: is -1s; allowed: not negative", "DegradeAfter: is -1; allowed: at most"},
		},
	} {
		checkErrors(t, fmt.Sprintf("%+v", c.policy), c.policy.Validate(), c.want)
	}
}

func TestMeshPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		policy MeshPolicy
		want   []string
	}{
		{MeshPolicy{}, nil},
		{MeshPolicy{RecoverHold: -1, DeregisterAfter: -1, Amnesty: -1}, nil},
		{MeshPolicy{MinAvailable: 100, UnreachableAfter: time.Second}, nil},
		{
			MeshPolicy{RecoverAfter: -1, UnreachableAfter: time.Millisecond, StartupGrace: -1, MinAvailable: 101},
			[]string{"RecoverAfter: is -1", "UnreachableAfter: is 1ms; allowed: at least 1s", "StartupGrace", "MinAvailable: is 101; allowed: at most 100"},
		},
		{MeshPolicy{MeshRule: Worst, MeshMinAvailable: 100}, nil},
		{
			MeshPolicy{MeshRule: AtLeast(1), MeshMinAvailable: 101, Services: map[string]ServicePolicy{"pay": {Optional: true, Critical: true}}},
			[]string{"MeshRule: is any; allowed: available or worst", "MeshMinAvailable: is 101; allowed: at most 100", "Services[pay].Critical: is true beside Optional; allowed: one of both"},
		},
		{MeshPolicy{MinAvailable: -1}, []string{"MinAvailable: is -1"}},
	} {
		checkErrors(t, fmt.Sprintf("%+v", c.policy), c.policy.Validate(), c.want)
	}
}

func checkErrors(t *testing.T, what string, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	text := fmt.Sprint(err)
	if n := strings.Count(text, "\n") + 1; n != len(want) {
		t.Errorf("%s: %d errors, want %d: %s", what, n, len(want), text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %s, want %s", what, text, w)
		}
	}
}

func TestDefaults(t *testing.T) {
	if got, want := (Policy{}).WithDefaults(), (Policy{DegradeAfter: 1, FailAfter: 3, RecoverAfter: 2}); got != want {
		t.Errorf("defaults are %+v", got)
	}
	got := MeshPolicy{}.WithDefaults()
	if got.RecoverHold != 2*time.Second || got.RecoverAfter != 2 || got.UnreachableAfter != 15*time.Second ||
		got.StartupGrace != time.Minute || got.DeregisterAfter != 10*time.Minute || got.Amnesty != 30*time.Second || got.MinAvailable != 50 ||
		got.MeshRule != Available || got.MeshMinAvailable != 50 {
		t.Errorf("defaults are %+v", got)
	}
}

func TestIDs(t *testing.T) {
	for name, id := range map[string]ID{
		"a": {"a", ""}, "a/1": {"a", "1"}, "a/1/2": {"a", "1/2"}, "": {}, "*": {MeshName, ""},
	} {
		if got := ParseID(name); got != id || got.String() != name || got.Aggregate() != (id.Instance == "") {
			t.Errorf("%q is %+v", name, got)
		}
	}
	for i, a := range []ID{{}, {"a", ""}, {"a", "1"}, {"a", "2"}, {"b", ""}} {
		for j, b := range []ID{{}, {"a", ""}, {"a", "1"}, {"a", "2"}, {"b", ""}} {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v and %v compare as %d", a, b, got)
			}
		}
	}
}
