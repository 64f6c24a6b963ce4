package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// rig is the environment of one scenario: its processes, its files and the recorded true states.
// The method close ends the processes and closes the files.
type rig struct {
	ctx         context.Context
	cfg         *Config
	name        string
	dir         string   // folder for the files of the scenario
	log         *os.File // file for the output of the child processes
	record      *record
	bounds      Bounds
	random      *rand.Rand // decides what Config.Seed decides; only the goroutine of the scenario may use it
	coordinator *coordinator
	watcher     *watcher  // the watcher whose updates are compared with the true states of the targets
	countFrom   time.Time // updates before this time are not compared with the true states of the targets

	mu      sync.Mutex
	closers []func() // functions that the method close calls, the last one first
}

func newRig(ctx context.Context, cfg *Config, dir, name string) (*rig, error) {
	r := &rig{
		ctx: ctx, cfg: cfg, name: name, dir: filepath.Join(dir, name), record: &record{},
		random: rand.New(rand.NewPCG(uint64(cfg.Seed), 0)),
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	r.log, err = logFile(filepath.Join(r.dir, "children.log"))
	return r, err
}

// onClose registers a function that the method close calls. The function that was registered
// last is called first.
func (r *rig) onClose(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, f)
}

func (r *rig) close() {
	r.mu.Lock()
	closers := r.closers
	r.mu.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
	_ = r.log.Close() // a failure loses no output, because only child processes wrote to the file
}

// progress passes a text about the present phase of the scenario to the caller of Run.
func (r *rig) progress(format string, args ...any) {
	r.cfg.Progress(r.name + ": " + fmt.Sprintf(format, args...))
}

// wait waits for the duration d. It returns early with an error if the scenario is interrupted.
func (r *rig) wait(d time.Duration) error {
	if !sleep(r.ctx, d) {
		return r.ctx.Err()
	}
	return nil
}

// start starts a coordinator, and the watcher whose updates are compared with the true states of
// the targets.
func (r *rig) start(s settings) error {
	r.bounds = boundsFor(s.unreachableAfter())
	if err := r.startCoordinator(s); err != nil {
		return err
	}
	var err error
	r.watcher, err = r.startWatcher()
	return err
}

// waitUntilServing registers the static targets of all child processes. It waits until all targets
// are SERVING and confirmed, and then for the time Config.Wait. Later updates are compared with the
// true states of the targets.
func (r *rig) waitUntilServing(hosts ...*hostProcess) error {
	for _, h := range hosts {
		if err := r.register(h.staticRegistrations()); err != nil {
			return err
		}
	}
	all := ids(hosts...)
	if err := r.watcher.waitFor(r.ctx, fmt.Sprintf("%d targets are SERVING", len(all)), allConfirmed(serving, all)); err != nil {
		return err
	}
	r.countFrom = time.Now()
	return r.wait(r.cfg.Wait)
}

// ids returns the names of the targets that the child processes in hosts hosted when they started.
func ids(hosts ...*hostProcess) []health.ID {
	var all []health.ID
	for _, h := range hosts {
		for _, t := range h.listTargets() {
			all = append(all, t.id)
		}
	}
	return all
}

// hostLeasedAndStatic starts n targets, each with an address of its own. One child process hosts
// targets with a lease and servers of this library. Another child process hosts targets without a
// lease and with standard servers.
func (r *rig) hostLeasedAndStatic(n int) (leased, static *hostProcess, err error) {
	leased, err = r.host(Group{Kind: kindOurs, Service: "leased", Targets: n / 2, Leased: true})
	if err != nil {
		return nil, nil, err
	}
	static, err = r.host(Group{Kind: kindStock, Service: "stock", Targets: n - n/2})
	if err != nil {
		return nil, nil, err
	}
	return leased, static, r.waitUntilServing(leased, static)
}

// countErrors compares the true states of the targets with the published states. It stores the
// number of errors in v.
func (r *rig) countErrors(v *Verdict, instances int) {
	truths, gaps := r.record.read()
	seen, view := r.watcher.read()
	r.writeLogs(truths, seen)
	v.Instances = instances
	v.Count = Compare(&Case{Truths: truths, Seen: seen, Outages: gaps, From: r.countFrom, To: time.Now()})
	v.requireOrder("the watcher", truths, seen, view)
}

// writeLogs writes the true states and the published states of the targets into two files, if the
// user wants to keep logs.
func (r *rig) writeLogs(truths []Truth, seen []Seen) {
	if !r.cfg.Keep {
		return
	}
	var b strings.Builder
	for _, t := range truths {
		fmt.Fprintln(&b, t.At.UTC().Format(time.RFC3339Nano), t.ID, t.State, t.Bound)
	}
	err := os.WriteFile(filepath.Join(r.dir, "truth.log"), []byte(b.String()), 0o600)
	b.Reset()
	for _, s := range seen {
		fmt.Fprintln(&b, s.At.UTC().Format(time.RFC3339Nano), s.ID, s.State, s.Cause, s.Unconfirmed, s.Epoch, s.Revision)
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(r.dir, "seen.log"), []byte(b.String()), 0o600))
	if err != nil {
		r.progress("cannot write truth.log and seen.log: %v", err)
	}
}

// isTimeout reports whether err means that a condition did not become true in time. Such an
// error fails the scenario. Any other error means that the scenario could not run.
func isTimeout(err error) bool {
	_, never := errors.AsType[*timeoutError](err)
	return never
}
