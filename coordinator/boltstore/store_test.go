package boltstore

import (
	"path/filepath"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, maxTransitions int) store.Store {
		return openAt(t, t.TempDir(), maxTransitions)
	})
}

func TestStoreDurable(t *testing.T) {
	storetest.RunDurable(t, openAt)
}

func fileIn(folder string) string { return filepath.Join(folder, "meshhealth.db") }

// openAt opens a store, and at the end of the test closes it and examines all
// of its file.
func openAt(t *testing.T, folder string, maxTransitions int) store.Store {
	t.Helper()
	s, err := Open(fileIn(folder), Options{MaxTransitions: maxTransitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := examine(fileIn(folder)); err != nil {
			t.Errorf("after the test: %v", err)
		}
	})
	return s
}
