package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// inProcess has the three things that benchInProcess and benchHistory compare, each with its
// own file: a registry that is called without gRPC, our store without a registry, and a bare
// bbolt database.
type inProcess struct {
	*rig
	registry *registry.Registry
	store    *bolt.Store
	bare     *bareBolt
}

func (r *rig) inProcess() (*inProcess, error) {
	dir, err := os.MkdirTemp("", "meshhealth-bench-")
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = os.RemoveAll(dir) })
	p := &inProcess{rig: r}
	if p.bare, err = openBare(filepath.Join(dir, "bare.db")); err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = p.bare.Close() })
	if p.store, err = r.openStore(filepath.Join(dir, "store.db")); err != nil {
		return nil, err
	}
	under, err := r.openStore(filepath.Join(dir, "registry.db"))
	if err != nil {
		return nil, err
	}
	if p.registry, err = registry.New(r.ctx, registry.Config{Store: under, Policy: undamped}); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	r.start(func() error { err := p.registry.Run(ctx); done <- err; return err })
	r.undo = append(r.undo, func() { stop(); <-done })
	return p, nil
}

func (r *rig) openStore(path string) (*bolt.Store, error) {
	s, err := bolt.Open(path, bolt.Options{})
	if err == nil {
		r.undo = append(r.undo, func() { _ = s.Close() })
	}
	return s, err
}

// register registers the instances from first to end-1, one after the other. It returns the
// time that all registrations took.
func (p *inProcess) register(first, end int) (time.Duration, error) {
	began := time.Now()
	for i := first; i < end; i++ {
		reg, err := wire.OneRegistration(registrationOf(i))
		if err != nil {
			return 0, err
		}
		if _, err := p.registry.Register(p.ctx, []wire.Registration{reg}); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// benchInProcess compares the time of registrations without gRPC, one after the other, with
// the time of the same number of commits of a bare bbolt database.
func benchInProcess(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.inProcess()
	if err != nil {
		return err
	}
	var ratios []float64
	n, turn := o.size(10_000, 100), o.size(500, 20)
	for first := 0; first < n; first += turn {
		mine, err := p.register(first, first+turn)
		if err != nil {
			return err
		}
		bare, err := p.bare.commits(first, first+turn)
		if err != nil {
			return err
		}
		ratios = append(ratios, over(mine, bare))
	}
	r.ratio(fmt.Sprintf("… %d in process, without the call", n), ratios, 1.5)
	return nil
}

// benchHistory flips many instances and measures the time until all flips are stored in the history.
// It compares this time with the time for the same number of single commits of our store.
func benchHistory(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.inProcess()
	if err != nil {
		return err
	}
	n := o.size(1000, 20)
	leases, err := p.registerMany(n)
	if err != nil {
		return err
	}
	var ratios []float64
	for round := range o.rounds {
		together, err := p.flipAll(leases, round)
		if err != nil {
			return err
		}
		oneEach, err := p.commitEach(n)
		if err != nil {
			return err
		}
		ratios = append(ratios, over(together, oneEach))
	}
	r.ratio(fmt.Sprintf("%d flips at once until they are stored / a commit for each", n), ratios, 0.2)
	return nil
}

func (p *inProcess) registerMany(n int) ([]*health.Spec, error) {
	var regs []wire.Registration
	for i := range n {
		reg, err := wire.OneRegistration(registrationOf(i))
		if err != nil {
			return nil, err
		}
		regs = append(regs, reg)
	}
	return p.registry.Register(p.ctx, regs)
}

func idOf(i int) health.ID {
	reg := registrationOf(i)
	return health.ID{Service: reg.GetService(), Instance: reg.GetInstance()}
}

func (p *inProcess) flipAll(leases []*health.Spec, round int) (time.Duration, error) {
	to, _, _ := side(round)
	began := time.Now()
	for i, spec := range leases {
		ev := mesh.Event{
			Kind: mesh.EventReport, ID: idOf(i), Lease: spec.Lease,
			Report: mesh.Report{Source: health.SourceMeshhealth, Status: to},
		}
		if err := p.registry.Observe(p.ctx, ev, time.Time{}); err != nil {
			return 0, err
		}
	}
	// The registry handles inputs in order. When it has answered this renewal, it has
	// handled all reports. So the history that is read below contains all flips.
	_, _, _ = p.registry.Renew(p.ctx, health.ID{}, 0, wire.Registrant{})
	last := idOf(len(leases) - 1)
	page, err := p.registry.Transitions(p.ctx, store.Query{ID: last, Limit: 1})
	if err == nil && (len(page.Transitions) != 1 || page.Transitions[0].To != to) {
		err = fmt.Errorf("the history of %v is %v", last, page.Transitions)
	}
	return time.Since(began), err
}

func (p *inProcess) commitEach(n int) (time.Duration, error) {
	began := time.Now()
	for i := range n {
		err := p.store.Commit(p.ctx, &store.Batch{Transitions: []store.Transition{{
			ID: idOf(i), From: health.Serving, To: health.NotServing, At: began, Cause: health.CauseFailed,
		}}})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
