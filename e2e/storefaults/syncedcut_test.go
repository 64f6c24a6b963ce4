//go:build e2e || soak

package storefaults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// rig lets coordinators execute the script of a life on a syncedDisk, one after the other.
type rig struct {
	program string // that serves the disk
	folder  string // for the disk and its images
	noSync  bool   // syncs have no effect
	life    *life
	disk    *syncedDisk
	disks   int // so far
}

// left is what a coordinator has left at its end.
type left struct {
	run    *run
	images map[string]string       // folder of each image
	steps  map[string]map[int]bool // steps that the images have
	bad    map[string]error        // images that have lost something
}

// images are what a kill leaves, and what power cuts leave.
var images = []string{"all", "synced", "some"}

// begin mounts a disk that has the files of a folder, or none if from is empty.
func (g *rig) begin(from string) (err error) {
	g.disks++
	at := filepath.Join(g.folder, fmt.Sprint("disk", g.disks))
	g.disk, err = mountSynced(g.program, at, fmt.Sprint("-nosync=", g.noSync), "-from", from)
	return err
}

// run lets a coordinator go on until its call with this number, and checks all images. It returns an error if
// the disk cannot be used.
func (g *rig) run(call int) (*left, error) {
	if err := g.disk.stop(call); err != nil {
		return nil, err
	}
	r, env := g.life.run(filepath.Join(g.disk.mountpoint, "data"))
	r.execute(env, os.Args[0])
	if err := r.killedOrDone(); err != nil {
		return nil, r.explain(err)
	}
	to, err := os.MkdirTemp(g.folder, "images-")
	if err != nil {
		return nil, err
	}
	l := &left{run: r, images: map[string]string{}, steps: map[string]map[int]bool{}, bad: map[string]error{}}
	for _, keep := range images {
		l.images[keep] = filepath.Join(to, keep)
		seed := rand.Uint64()
		if err := g.disk.image(keep, seed, l.images[keep]); err != nil {
			return nil, err
		}
		as := *g.life
		as.cut = as.cut || keep == "some"
		if l.steps[keep], err = as.check(r, filepath.Join(l.images[keep], "data")); err != nil {
			l.bad[keep] = fmt.Errorf("call %d, image %s: %w", call, l.images[keep], err)
		}
	}
	return l, nil
}

// err returns the errors of all images.
func (l *left) err() error {
	var all error
	for _, keep := range images {
		all = errors.Join(all, l.bad[keep])
	}
	return l.run.explain(all)
}

// good lets a coordinator go on until its call with this number. No image may have lost anything.
func (g *rig) good(call int) (*left, error) {
	l, err := g.run(call)
	if err == nil {
		err = l.err()
	}
	return l, err
}

// cut cuts the power. The next coordinator gets a disk with this image.
func (g *rig) cut(l *left, keep string) error {
	g.life.restart(l.steps[keep])
	g.life.cut = g.life.cut || keep == "some"
	if err := g.disk.end(); err != nil {
		return err
	}
	return g.begin(l.images[keep])
}

// complete lets a coordinator complete the script of a life on a disk that has the files of a folder. It returns the
// number of changing calls, and a folder with the files at the end.
func complete(t *testing.T, program string, l *life, from string) (calls int, to string) {
	t.Helper()
	g := &rig{program: program, folder: t.TempDir(), life: l}
	if err := g.begin(from); err != nil {
		t.Fatal(err)
	}
	end, err := g.good(0)
	if err != nil {
		t.Fatal(err)
	}
	calls, errCalls := g.disk.ask("stop", 0)
	if err := errors.Join(errCalls, g.disk.end()); err != nil || !end.run.done {
		t.Fatal(end.run.explain(fmt.Errorf("without faults: %d steps: %w", len(end.run.acked), err)))
	}
	t.Logf("%d steps make %d changing calls", len(end.run.acked), calls)
	return calls, end.images["all"]
}

// TestSyncedDiskPowerCut cuts the power of coordinators at random calls. As a control, it does the same
// without syncs, and must find damage.
func TestSyncedDiskPowerCut(t *testing.T) {
	program := needSyncedDisk(t)
	cutPower(t, program, 60)
	loseSyncs(t, program, 12)
}

// TestSyncedDiskCreate kills a process at each call that makes a store. The next process uses what is there, and then
// the power is cut.
func TestSyncedDiskCreate(t *testing.T) {
	program := needSyncedDisk(t)
	sweep(t, 20, func(path string, n int) error {
		d, err := mountSynced(program, path)
		if err != nil {
			return err
		}
		file, image := filepath.Join(path, "data", "new", "store.db"), filepath.Join(filepath.Dir(path), "image")
		first, second := newRun(file), newRun(file)
		err = d.stop(n)
		first.execute(nil, os.Args[0])
		err = errors.Join(err, first.killedOrDone(), d.stop(0))
		if len(first.acked) == 0 {
			second.execute(nil, os.Args[0])
			err = errors.Join(err, second.err, d.image("synced", 0, image))
			second.path = filepath.Join(image, "data", "new", "store.db")
			err = errors.Join(err, second.check())
		}
		return second.explain(errors.Join(err, d.end()))
	})
}

// cutPower cuts the power so many times.
func cutPower(t *testing.T, program string, cuts int) {
	t.Helper()
	var done, kills, lives, acked atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for int(done.Load()) < cuts && !t.Failed() {
				lives.Add(1)
				g := &rig{program: program, folder: t.TempDir(), life: newLife(longScript, 0)}
				if err := g.cutPower(cuts, &done, &kills, &acked); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d power cuts and %d kills in %d folders, %d steps acknowledged", done.Load(), kills.Load(), lives.Load(), acked.Load())
}

// cutPower lets coordinators execute the script. Each is killed at a random call, and then the power of most is
// cut. The others leave a disk on which not all is synced to the next coordinator.
func (g *rig) cutPower(cuts int, done, kills, acked *atomic.Int64) error {
	if err := g.begin(""); err != nil {
		return err
	}
	for g.life.next() < len(g.life.script) && int(done.Load()) < cuts {
		l, err := g.good(1 + rand.IntN(200))
		if err != nil {
			return errors.Join(err, g.disk.end())
		}
		acked.Add(int64(len(l.run.acked)))
		if rand.IntN(4) == 0 {
			kills.Add(1)
			g.life.goOn(l.run, l.steps["all"])
			continue
		}
		done.Add(1)
		if err := g.cut(l, images[1+rand.IntN(2)]); err != nil {
			return err
		}
	}
	return errors.Join(g.disk.end(), os.RemoveAll(g.folder))
}

// loseSyncs cuts the power so many times on a disk that does not keep what was synced. Nearly all images must
// have lost something: else the test could not see a missing sync.
func loseSyncs(t *testing.T, program string, cuts int) {
	t.Helper()
	calls, _ := complete(t, program, newLife(longScript, 0), "")
	var all, bad atomic.Int64
	sweep(t, cuts, func(path string, _ int) error {
		g := &rig{program: program, folder: filepath.Dir(path), life: newLife(longScript, 0), noSync: true}
		if err := g.begin(""); err != nil {
			return err
		}
		l, err := g.run(1 + rand.IntN(calls))
		if err == nil {
			err = l.run.explain(l.bad["all"]) // a kill loses nothing
		}
		if err := errors.Join(err, g.disk.end()); err != nil {
			return err
		}
		if len(l.run.acked) > 0 {
			all.Add(1)
			if l.bad["some"] != nil {
				bad.Add(1)
			}
		}
		return nil
	})
	t.Logf("without syncs: %d of %d disks are damaged", bad.Load(), all.Load())
	if bad.Load()*10 < all.Load()*9 {
		t.Errorf("without syncs only %d of %d disks are damaged: the test cannot see lost syncs", bad.Load(), all.Load())
	}
}
