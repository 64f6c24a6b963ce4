package health

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Everything that is wrong is said at once, by field.
func TestPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   []string
	}{
		{Policy{}, nil},
		{Policy{StaleAfter: -1, MinHold: time.Hour}, nil},
		{Policy{DegradeAfter: 3}, nil},
		{Policy{DegradeAfter: 4}, []string{"DegradeAfter: 4 is above FailAfter (3)"}},
		{Policy{DegradeAfter: 2, FailAfter: 1}, []string{"DegradeAfter: 2 is above FailAfter (1)"}},
		{
			Policy{DegradeAfter: -1, FailAfter: -2, RecoverAfter: -3, MinHold: -time.Second},
			[]string{"DegradeAfter: -1 is below 1", "FailAfter: -2 is below 1", "RecoverAfter: -3 is below 1", "MinHold: -1s is negative", "DegradeAfter: -1 is above"},
		},
	} {
		complains(t, fmt.Sprintf("%+v", c.policy), c.policy.Validate(), c.want)
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
			[]string{"RecoverAfter: -1", "UnreachableAfter: 1ms is below 1s", "StartupGrace", "MinAvailable: 101 is not in 1..100"},
		},
		{MeshPolicy{MinAvailable: -1}, []string{"MinAvailable: -1"}},
	} {
		complains(t, fmt.Sprintf("%+v", c.policy), c.policy.Validate(), c.want)
	}
}

func complains(t *testing.T, what string, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	text := fmt.Sprint(err)
	if n := strings.Count(text, "\n") + 1; n != len(want) {
		t.Errorf("%s: %d complaints, want %d: %s", what, n, len(want), text)
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
		got.StartupGrace != time.Minute || got.DeregisterAfter != 10*time.Minute || got.Amnesty != 30*time.Second || got.MinAvailable != 50 {
		t.Errorf("defaults are %+v", got)
	}
}

func TestEvidenceOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Evidence
	}{
		{nil, Pass},
		{io.EOF, Fail},
		{Degrade(nil), Pass},
		{Degrade(io.EOF), Warn},
		{Warnf("%d of %d", 1, 2), Warn},
		{fmt.Errorf("disk: %w", Warnf("full soon")), Warn},
	} {
		if got := EvidenceOf(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
	if err := Degrade(io.EOF); !errors.Is(err, io.EOF) || err.Error() != "EOF" {
		t.Errorf("Degrade(io.EOF) is %v", err)
	}
	for e, cause := range map[Evidence]Cause{Pass: CauseOK, Warn: CauseWarned, Fail: CauseFailed, 0: CauseFailed} {
		if e.cause() != cause {
			t.Errorf("cause of %q is %s", e, e.cause())
		}
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
