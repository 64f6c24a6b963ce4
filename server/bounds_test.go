package server_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestTimesAreBounded: durations have an upper bound, so that sums cannot overflow.
func TestTimesAreBounded(t *testing.T) {
	run := func(context.Context) error { return nil }
	for _, d := range []time.Duration{health.MaxCheckTime + 1, 80 * 365 * 24 * time.Hour, math.MaxInt64} {
		if _, err := server.New(server.Config{Service: "a", Propagation: d}); err == nil || !strings.Contains(err.Error(), "Propagation: is ") {
			t.Errorf("Propagation of %v: %v", d, err)
		}
		for field, c := range map[string]server.Check{
			"Every": {Every: d}, "InitialDelay": {InitialDelay: d}, "MinHold": {MinHold: d}, "StaleAfter": {StaleAfter: d},
		} {
			s, err := server.New(server.Config{Service: "a"})
			if err != nil {
				t.Fatal(err)
			}
			c.Name, c.Run = "x", run
			if err := s.Add(c); err == nil || !strings.Contains(err.Error(), field+": is ") || !strings.Contains(err.Error(), "allowed: at most 8784h0m0s") {
				t.Errorf("%s of %v: %v", field, d, err)
			}
		}
	}
}
