package wire

import (
	"context"
	"sync/atomic"
)

// Call is the state of one gRPC call while the server handles it.
type Call struct {
	// Stuck is set to true when the server has ended the call because the client did not read.
	Stuck atomic.Bool
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the Call that ctx carries, or nil.
func CallOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
