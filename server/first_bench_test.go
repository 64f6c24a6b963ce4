package server_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

// BenchmarkFirstKnown measures from Run until each check has run once and the service is
// SERVING.
func BenchmarkFirstKnown(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				firstKnown(b, n)
			}
		})
	}
}

func firstKnown(b *testing.B, n int) {
	s, err := server.New(server.Config{Service: service})
	if err != nil {
		b.Fatal(err)
	}
	checks := make([]server.Check, n)
	for i := range checks {
		checks[i] = server.Check{Name: fmt.Sprint(i), Run: pass}
	}
	if err := s.Add(checks...); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for r := s.Feed().NewReader(feed.Interest{}); s.Status() != health.Serving; {
		if _, err := r.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
