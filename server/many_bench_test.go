package server_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// BenchmarkPeriodic measures one run of a check, with n periodic checks.
func BenchmarkPeriodic(b *testing.B) {
	for _, n := range []int{10, 1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			s, err := server.New(server.Config{Service: service})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			checks := make([]server.Check, n)
			for i := range checks {
				checks[i] = server.Check{Name: fmt.Sprint(i), Every: server.MinEvery, Run: func(context.Context) error {
					if left.Add(-1) == 0 {
						stop()
					}
					return nil
				}}
			}
			if err := s.Add(checks...); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			began := time.Now()
			if err := s.Run(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "runs/s")
		})
	}
}
