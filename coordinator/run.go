package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Run works until ctx ends, which is no error, or until a part fails.
//
// At the end the doors close first, so that every watcher is told to come
// again; then nobody is followed any more; then the registry writes what waits
// for the store.
func (c *Coordinator) Run(ctx context.Context) error {
	owner := newGroup(context.WithoutCancel(ctx))
	owner.run("registry", c.registry.Run)
	doors := newGroup(ctx)
	doors.run("static registrations", func(ctx context.Context) error {
		err := c.configureStatic(ctx)
		if ctx.Err() != nil {
			return nil // it was told to stop first
		}
		return err
	})
	doors.run("watch", c.watcher.Run)
	doors.run("metrics", c.follower.Run)
	doors.run("gRPC", func(ctx context.Context) error { return c.rpc.Serve(ctx, c.listener) })
	if c.http != nil {
		doors.run("HTTP", c.serveHTTP)
	}
	err := doors.wait()
	owner.stop()
	return errors.Join(err, owner.wait(), c.Close())
}

// group is some parts that run together: the first that fails ends them all.
type group struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.stop = context.WithCancel(ctx)
	return g
}

func (g *group) run(name string, part func(context.Context) error) {
	g.wg.Go(func() {
		if err := part(g.ctx); err != nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, err)
	g.stop()
}

// wait returns what has failed, when all have ended.
func (g *group) wait() error {
	g.wg.Wait()
	g.stop()
	return errors.Join(g.errs...)
}
