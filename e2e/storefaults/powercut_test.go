//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/boltstore"
)

// traced makes strace write down all that the child's main thread writes.
var traced = []string{"-xx", "-s", "10000000", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,write"}

// recorded is a run of the script whose every write is known.
type recorded struct {
	*run
	image  []byte // of the store before it
	events []event
}

func record(path string, options ...string) (*recorded, error) {
	s, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	r := &recorded{}
	if r.image, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	r.run = work(path, true, append(traced, options...)...)
	r.events, err = events(r.calls)
	return r, r.explain(errors.Join(err, r.check()))
}

// cuts plays the run up to each of its calls, cuts the power there, and returns
// how many disks that left, and what was wrong with some. From the first call
// that failed on it looks at so many calls.
type cuts struct {
	from, calls int
	byChance    int  // cuts by chance after each call
	noSync      bool // as if the store never waited for the disk
}

func (c *cuts) play(r *recorded) (disks int, bad []error) {
	d, acked := newDisk(r.image), map[int]bool{}
	for i := range r.events {
		e := &r.events[i]
		var n int
		if scan(e.said, "acknowledged %d", &n) {
			acked[n] = true
		}
		if c.noSync && (e.call == "fdatasync" || e.call == "fsync") {
			d.sync(false)
		} else {
			d.apply(e)
		}
		if i < c.from || i >= c.from+c.calls || e.call == "write" {
			continue
		}
		for k, pick := range picks(uint64(i), c.byChance) {
			disks++
			if err := left(r.path+".cut", d.cut(pick), acked); err != nil {
				bad = append(bad, fmt.Errorf("power cut after call %d (%s), the %d-th: %w", i, e.call, k, err))
			}
		}
	}
	return disks, bad
}

// left opens what a power cut has left.
func left(path string, image []byte, acked map[int]bool) error {
	if err := overwrite(path, image); err != nil {
		return err
	}
	s, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		return err
	}
	state, err := s.Load(context.Background())
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	return fits(held(&state), acked)
}

// overwrite does not empty the file first: some file systems take that for a
// reason to wait for the disk.
func overwrite(path string, image []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(image, 0)
	return errors.Join(err, f.Truncate(int64(len(image))), f.Close())
}

// TestPowerCut cuts the power after each call. As a control it does so as if
// the store never waited for the disk, and must find that out.
func TestPowerCut(t *testing.T) {
	needStrace(t)
	r, err := record(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	all := cuts{calls: len(r.events), byChance: 2}
	disks, bad := all.play(r)
	t.Logf("%d disks, %d bad", disks, len(bad))
	for _, err := range bad {
		t.Error(err)
	}
	all.noSync = true
	disks, bad = all.play(r)
	t.Logf("without waiting for the disk: %d disks, %d bad", disks, len(bad))
	if len(bad) < disks/4 {
		t.Errorf("without waiting for the disk only %d of %d are bad: the test does not see what it should", len(bad), disks)
	}
}

// TestPowerCutAfterFailedSync cuts the power around every sync that failed, and
// was taken back up.
func TestPowerCutAfterFailedSync(t *testing.T) {
	needStrace(t)
	syncs := counted(t)["fdatasync"]
	sweep(t, syncs, func(path string, n int) error {
		r, err := record(path, "-e", fmt.Sprintf("inject=fdatasync:error=EIO:when=%d", n))
		if err != nil {
			return err
		}
		_, bad := (&cuts{from: failedCall(r.events), calls: 16, byChance: 2}).play(r)
		return errors.Join(bad...)
	})
}

func failedCall(events []event) int {
	for i := range events {
		if events[i].injected {
			return i
		}
	}
	return len(events)
}
