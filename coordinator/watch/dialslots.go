package watch

import "context"

const (
	// maxDials is how many dials may be in progress, over all addresses: one to
	// a host that is silent takes dialTimeout, so that 25 of these a second do
	// not hold up others; more would only make handshakes compete for our CPU.
	maxDials = 128
	// maxRedials of them are after a failure: half of a mesh that is dead does
	// not keep the other half from being dialled.
	maxRedials = maxDials / 2
)

// dialSlots bound the dials in progress. To wait for one is our own doing, and
// never evidence against anybody.
type dialSlots struct{ all, again chan struct{} }

func newDialSlots() dialSlots {
	return dialSlots{all: make(chan struct{}, maxDials), again: make(chan struct{}, maxRedials)}
}

// take waits for a slot; free must be called if there is no error.
func (s dialSlots) take(ctx context.Context, again bool) (free func(), err error) {
	if again {
		if err := enter(ctx, s.again); err != nil {
			return nil, err
		}
	}
	leave := func() {
		if again {
			<-s.again
		}
	}
	if err := enter(ctx, s.all); err != nil {
		leave()
		return nil, err
	}
	return func() { <-s.all; leave() }, nil
}

func enter(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
