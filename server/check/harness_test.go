package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

var errDown = errors.New("down")

// wantEvidence runs a check without a server.
func wantEvidence(t *testing.T, name string, run check.Func, want machine.Evidence, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := run(ctx)
	if got := machine.EvidenceOf(err); got != want {
		t.Errorf("%s: %v (%v), want %v", name, got, err, want)
	}
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v does not say %q", name, err, w)
		}
	}
}

// once runs a check once in a server and returns its state. The caller must be in a
// synctest bubble.
func once(t *testing.T, run check.Func) health.CheckState {
	t.Helper()
	s := inServer(t, server.Check{Name: "it", Run: run, Every: 1000 * time.Hour, Timeout: 4 * time.Second, FailAfter: 1})
	time.Sleep(10 * time.Second)
	return s.Checks()[0].CheckState
}

func inServer(t *testing.T, c server.Check) *server.Server {
	t.Helper()
	s, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return s
}
