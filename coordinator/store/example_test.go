package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// A consumer processes every transition once and in order. It keeps its position in the
// store, so that it continues there after a restart.
func ExampleCursor() {
	ctx, s := context.Background(), store.NewMemory(2)
	defer s.Close()
	for _, to := range []health.Status{health.Starting, health.Serving, health.Degraded} {
		t := store.Transition{ID: health.ID{Service: "payments", Instance: "a"}, To: to}
		if err := s.Commit(ctx, &store.Batch{Transitions: []store.Transition{t}}); err != nil {
			log.Fatal(err)
		}
	}

	after, err := s.Position(ctx, "printer")
	if err != nil {
		log.Fatal(err)
	}
	segment, err := s.TransitionsAfter(ctx, store.Cursor{After: after, Limit: 100})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("dropped:", segment.Dropped)
	for _, t := range segment.Transitions {
		fmt.Println(t.Seq, t.ID, t.To)
	}
	// Only the store writer may commit the position.
	done := store.Position{Consumer: "printer", Seq: segment.Next}
	if err := s.Commit(ctx, &store.Batch{PutPositions: []store.Position{done}}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// dropped: 1
	// 2 payments/a SERVING
	// 3 payments/a DEGRADED
}
