package store_test

import (
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T, maxTransitions int) store.Store {
		m := store.NewMemory(maxTransitions)
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		return m
	})
}

func TestJournalBound(t *testing.T) {
	for n, want := range map[int]int{0: store.DefaultTransitions, -1: 0, 1: 1, 200_000: 200_000} {
		if got := store.JournalBound(n); got != want {
			t.Errorf("JournalBound(%d) = %d, want %d", n, got, want)
		}
	}
}
