package resolver

import (
	"context"
	"slices"

	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/meshhealth/meshhealth/internal/routing"
)

// view is what channels get of a service. It is immutable.
type view struct {
	endpoints []routing.Endpoint
	problem   error // why no endpoint can be used; not nil if there is none
}

// channel resolves the name of one gRPC channel. Its goroutine passes each view of the service to the
// channel. If the channel is slow, it gets only the latest view.
type channel struct {
	target
	cc     grpcresolver.ClientConn
	config *serviceconfig.ParseResult // nil if the Resolver has no service config
	random draw

	latest func() *view  // returns nil if nothing is known yet
	leave  func()        // says that the channel is closed
	wake   chan struct{} // has a value when there is a new view
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed at the end of the goroutine

	// Only the goroutine uses these fields: what the channel has got last.
	sent     []routed
	reported string
}

func newChannel(cc grpcresolver.ClientConn, config *serviceconfig.ParseResult, t target, random draw) *channel {
	c := &channel{target: t, cc: cc, config: config, random: random, wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// ResolveNow implements the Resolver of google.golang.org/grpc/resolver. It does nothing, because the
// Watch brings every change.
func (c *channel) ResolveNow(grpcresolver.ResolveNowOptions) {}

// Close implements the Resolver of google.golang.org/grpc/resolver.
func (c *channel) Close() {
	c.cancel()
	<-c.done
	c.leave()
}

// notify says that there is a new view.
func (c *channel) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *channel) run() {
	defer close(c.done)
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		}
		if v := c.latest(); v != nil {
			c.pass(v)
		}
	}
}

// pass passes a view to gRPC, unless it has the same effect as the one before. Errors of UpdateState
// do not matter, because another attempt would have the same result.
func (c *channel) pass(v *view) {
	all := route(v.endpoints, place{region: c.region, zone: c.zone})
	if len(all) == 0 {
		c.fail(v.problem)
		return
	}
	c.reported = ""
	if slices.Equal(all, c.sent) {
		return
	}
	c.sent = all
	list := bySubset(all, c.random)
	if c.byWeights {
		list = byWeights(all)
	}
	_ = c.cc.UpdateState(stateOf(all, list, c.config))
}

// fail makes the calls of the channel fail with err, until there is an instance.
func (c *channel) fail(err error) {
	if c.sent != nil {
		c.sent = nil
		_ = c.cc.UpdateState(stateOf(nil, nil, c.config))
	}
	if text := err.Error(); text != c.reported {
		c.reported = text
		c.cc.ReportError(err)
	}
}
