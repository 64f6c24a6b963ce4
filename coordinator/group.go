package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs components at the same time. If one of them fails, the group stops all of them.
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

// start runs a component in a new goroutine. If the component fails, the text of its error
// gets name as a prefix.
func (g *group) start(name string, run func(context.Context) error) {
	g.wg.Go(func() {
		if err := run(g.ctx); err != nil {
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

// wait waits for all components and returns their errors.
func (g *group) wait() error {
	g.wg.Wait()
	g.stop()
	return errors.Join(g.errs...)
}
