//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
)

// traced has the options by which strace records all writes of the main thread.
var traced = []string{"-xx", "-s", "10000000", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,write"}

// recorded is a run of the script with its writes.
type recorded struct {
	*run
	image  []byte // of the store before the run
	events []event
}

func record(path string, options ...string) (*recorded, error) {
	s, err := bolt.Open(path, bolt.Options{})
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
	r.run = work(shortScript, path, true, append(traced, options...)...)
	r.events, err = events(r.calls)
	return r, r.explain(errors.Join(err, r.check()))
}

// cuts says where and how play cuts the power.
type cuts struct {
	from, calls int  // after each of so many calls, from this one on
	byChance    int  // random images after each call
	noSync      bool // the store does not wait for the disk
}

// play applies the calls of the run to a disk and cuts the power. It returns the number of
// images, and the errors of the bad ones.
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
			if err := openCut(r.path+".cut", d.cut(pick), acked); err != nil {
				bad = append(bad, fmt.Errorf("power cut after call %d (%s), the %d-th: %w", i, e.call, k, err))
			}
		}
	}
	return disks, bad
}

// openCut opens an image that a power cut has left.
func openCut(path string, image []byte, acked map[int]bool) error {
	if err := overwrite(path, image); err != nil {
		return err
	}
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return err
	}
	state, err := s.Load(context.Background())
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	_, err = shortScript.fits(held(&state), acked)
	return err
}

// overwrite does not empty the file first: after that, some file systems wait for the disk.
func overwrite(path string, image []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(image, 0)
	return errors.Join(err, f.Truncate(int64(len(image))), f.Close())
}

// TestPowerCut cuts the power after each call. As a control, it does the same without
// syncs, and must find bad images.
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
		t.Errorf("without waiting for the disk only %d of %d images are bad: the test cannot see lost syncs", len(bad), disks)
	}
}

// TestPowerCutAfterFailedSync makes each sync fail once, and cuts the power after the calls
// that follow.
func TestPowerCutAfterFailedSync(t *testing.T) {
	needStrace(t)
	syncs := counted(t, shortScript)["fdatasync"]
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
