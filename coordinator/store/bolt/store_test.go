package bolt

import (
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
