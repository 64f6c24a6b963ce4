package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

var errDisk = errors.New("no space left on device")

// How a disk handles a commit.
const (
	diskWell   = iota
	diskFull   // the commit fails
	diskUnsure // the commit is made, but returns an error
	diskBlind  // the commit is made, but returns an error, and every read fails
)

// disk is a store in memory that can be slow, can fail, and can lose its power. Its content
// remains when a registry ends.
type disk struct {
	*store.Memory
	mu    sync.Mutex
	mode  int
	takes time.Duration
	dead  chan struct{} // closed when the machine loses its power
}

func newDisk() *disk { return &disk{Memory: store.NewMemory(100), dead: make(chan struct{})} }

func (d *disk) set(mode int, takes time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mode, d.takes = mode, takes
}

func (d *disk) now() (mode int, takes time.Duration, dead chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mode, d.takes, d.dead
}

// cut turns the power off. The returned function turns it on again.
func (d *disk) cut() (on func()) {
	_, _, dead := d.now()
	close(dead)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.mode, d.takes, d.dead = diskWell, 0, make(chan struct{})
	}
}

func (d *disk) Commit(ctx context.Context, b *store.Batch) error {
	_, takes, dead := d.now()
	timer := time.NewTimer(takes)
	defer timer.Stop()
	if takes > 0 {
		select {
		case <-timer.C:
		case <-dead:
		}
	}
	mode, _, _ := d.now()
	select {
	case <-dead:
		return errDisk
	default:
	}
	if mode != diskFull {
		if err := d.Memory.Commit(ctx, b); err != nil {
			return err
		}
	}
	if mode != diskWell {
		return errDisk
	}
	return nil
}

func (d *disk) Lookup(ctx context.Context, ids []health.ID) (store.State, error) {
	mode, _, dead := d.now()
	select {
	case <-dead:
		return store.State{}, errDisk
	default:
	}
	if mode == diskBlind {
		return store.State{}, errDisk
	}
	return d.Memory.Lookup(ctx, ids)
}

func (d *disk) Close() error { return nil }

// holds returns the stored records of an instance, and whether the instance is registered.
func (d *disk) holds(id health.ID) (store.State, bool) {
	s, err := d.Memory.Lookup(context.Background(), []health.ID{id})
	return s, err == nil && len(s.Registrations) == 1
}
