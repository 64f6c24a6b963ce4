package health

import (
	"errors"
	"fmt"
	"testing"
)

// TestEvidenceOfJoined: of joined errors the worst counts. A warning beside a failure
// does not make that one.
func TestEvidenceOfJoined(t *testing.T) {
	down, slow := errors.New("down"), Warnf("slow")
	for _, c := range []struct {
		name string
		err  error
		want Evidence
	}{
		{"nil", nil, Pass},
		{"plain", down, Fail},
		{"warning", slow, Warn},
		{"wrapped warning", fmt.Errorf("db: %w", slow), Warn},
		{"degraded", Degrade(fmt.Errorf("db: %w", down)), Warn},
		{"two warnings", errors.Join(slow, Warnf("late")), Warn},
		{"a warning and a failure", errors.Join(slow, down), Fail},
		{"the other way round", errors.Join(down, slow), Fail},
		{"deep", fmt.Errorf("all: %w", errors.Join(slow, fmt.Errorf("x: %w", errors.Join(slow, down)))), Fail},
		{"a failure, joined and then degraded", Degrade(errors.Join(slow, down)), Warn},
		{"explained", Hint(With(slow, "host", "a"), "look"), Warn},
		{"explained failure", With(errors.Join(slow, down), "host", "a"), Fail},
		{"joins nothing", joinsNothing{}, Fail},
	} {
		if got := EvidenceOf(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

type joinsNothing struct{}

func (joinsNothing) Error() string   { return "nothing" }
func (joinsNothing) Unwrap() []error { return nil }

func TestDescribe(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"plain", down, "connection refused"},
		{"attributes", With(With(down, "host", "db-1"), "tries", 3), "connection refused (tries=3, host=db-1)"},
		{"hint", Hint(down, "is the VPN up?"), "connection refused (hint: is the VPN up?)"},
		{"both", Hint(With(down, "host", "db-1"), "look"), "connection refused (host=db-1; hint: look)"},
		{"inside", fmt.Errorf("db: %w", With(down, "host", "db-1")), "db: connection refused (host=db-1)"},
		{"parts", errors.Join(With(down, "host", "a"), Warnf("slow")), "connection refused (host=a); slow"},
		{"a warning's", Degrade(With(down, "host", "a")), "connection refused (host=a)"},
	} {
		if got := Describe(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if With(nil, "a", 1) != nil || Hint(nil, "b") != nil {
		t.Error("nothing can be said about nil")
	}
	if err := With(down, "host", "a"); !errors.Is(err, down) || err.Error() != down.Error() {
		t.Errorf("%v is another error now", err)
	}
}
