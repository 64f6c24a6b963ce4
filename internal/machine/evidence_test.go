package machine

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// TestEvidenceOfJoined checks that a failure among joined errors is a failure, also if the
// others are warnings.
func TestEvidenceOfJoined(t *testing.T) {
	down, slow := errors.New("down"), health.Warnf("slow")
	for _, c := range []struct {
		name string
		err  error
		want Evidence
	}{
		{"nil", nil, Pass},
		{"plain", down, Fail},
		{"warning", slow, Warn},
		{"wrapped warning", fmt.Errorf("db: %w", slow), Warn},
		{"degraded", health.Warning(fmt.Errorf("db: %w", down)), Warn},
		{"two warnings", errors.Join(slow, health.Warnf("late")), Warn},
		{"a warning and a failure", errors.Join(slow, down), Fail},
		{"the other way round", errors.Join(down, slow), Fail},
		{"deep", fmt.Errorf("all: %w", errors.Join(slow, fmt.Errorf("x: %w", errors.Join(slow, down)))), Fail},
		{"a failure, joined and then degraded", health.Warning(errors.Join(slow, down)), Warn},
		{"explained", health.Hint(health.With(slow, "host", "a"), "look"), Warn},
		{"explained failure", health.With(errors.Join(slow, down), "host", "a"), Fail},
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

func TestEvidenceOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Evidence
	}{
		{nil, Pass},
		{io.EOF, Fail},
		{health.Warning(nil), Pass},
		{health.Warning(io.EOF), Warn},
		{health.Warnf("%d of %d", 1, 2), Warn},
		{fmt.Errorf("disk: %w", health.Warnf("full soon")), Warn},
	} {
		if got := EvidenceOf(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
	if err := health.Warning(io.EOF); !errors.Is(err, io.EOF) || err.Error() != "EOF" {
		t.Errorf("Warning(io.EOF) is %v", err)
	}
	for e, cause := range map[Evidence]health.Cause{Pass: health.CauseOK, Warn: health.CauseWarned, Fail: health.CauseFailed, 0: health.CauseFailed} {
		if e.cause() != cause {
			t.Errorf("cause of %q is %s", e, e.cause())
		}
	}
}
