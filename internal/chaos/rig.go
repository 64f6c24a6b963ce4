package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// rig is what one scenario has started; close ends it all.
type rig struct {
	ctx         context.Context
	cfg         *Config
	name        string
	dir         string
	log         *os.File
	record      *record
	bounds      Bounds
	coordinator *coordinator
	main        *watcher // the one that is judged
	from        time.Time

	mu   sync.Mutex
	undo []func()
}

func newRig(ctx context.Context, cfg *Config, dir, name string) (*rig, error) {
	r := &rig{ctx: ctx, cfg: cfg, name: name, dir: filepath.Join(dir, name), record: &record{}}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	r.log, err = logFile(filepath.Join(r.dir, "children.log"))
	return r, err
}

// later is called by close, the last first.
func (r *rig) later(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.undo = append(r.undo, f)
}

func (r *rig) close() {
	r.mu.Lock()
	undo := r.undo
	r.mu.Unlock()
	for _, f := range slices.Backward(undo) {
		f()
	}
	_ = r.log.Close() // only children wrote to it
}

// say tells of a phase.
func (r *rig) say(format string, args ...any) {
	r.cfg.Progress(r.name + ": " + fmt.Sprintf(format, args...))
}

// wait lets time pass.
func (r *rig) wait(d time.Duration) error {
	if !sleep(r.ctx, d) {
		return r.ctx.Err()
	}
	return nil
}

// begin starts a coordinator and the watcher that is judged.
func (r *rig) begin(s settings) error {
	r.bounds = bounds(s.unreachableAfter())
	if err := r.coordinate(s); err != nil {
		return err
	}
	var err error
	r.main, err = r.watch()
	return err
}

// settle waits until all targets are SERVING and confirmed; from then on all
// that is published is judged.
func (r *rig) settle(hosts ...*hosted) error {
	for _, h := range hosts {
		if err := r.register(h.static()); err != nil {
			return err
		}
	}
	all := ids(hosts...)
	if err := r.main.until(r.ctx, fmt.Sprintf("%d targets are SERVING", len(all)), confirmed(serving, all)); err != nil {
		return err
	}
	r.from = time.Now()
	return nil
}

// ids names the targets of hosts.
func ids(hosts ...*hosted) []health.ID {
	var all []health.ID
	for _, h := range hosts {
		h.mu.Lock()
		for _, t := range h.targets {
			all = append(all, t.id)
		}
		h.mu.Unlock()
	}
	return all
}

// halves hosts n targets of their own addresses: leased ones of this library in
// one process, static stock ones in another.
func (r *rig) halves(n int) (leased, static *hosted, err error) {
	leased, err = r.host(Group{Kind: kindOurs, Service: "leased", Targets: n / 2, Leased: true})
	if err != nil {
		return nil, nil, err
	}
	static, err = r.host(Group{Kind: kindStock, Service: "stock", Targets: n - n/2})
	if err != nil {
		return nil, nil, err
	}
	return leased, static, r.settle(leased, static)
}

// judge compares what was true with what was published, and adds it up.
func (r *rig) judge(v *Verdict, instances int) {
	truths, gaps := r.record.read()
	seen, view := r.main.read()
	r.keep(truths, seen)
	v.Instances = instances
	v.Count = Judge(&Case{Truths: truths, Seen: seen, Outages: gaps, From: r.from, To: time.Now()})
	v.wellTold("the watcher", truths, seen, view)
}

// keep writes down what is judged, for who wants to see for themselves.
func (r *rig) keep(truths []Truth, seen []Seen) {
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
		r.say("cannot keep what was judged: %v", err)
	}
}

// failed reports whether an error is what a scenario looks for, rather than that
// it could not be looked for.
func failed(err error) bool {
	_, never := errors.AsType[*errNever](err)
	return never
}
