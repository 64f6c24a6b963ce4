package watch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// retrier tries calls again that were turned away for the moment. What was not
// answered in time is not among them: that is evidence. Nor is what found the
// connection broken, which is dialled by who follows, and nobody else; nor are
// streams, which have loops of their own.
type retrier struct {
	rules    map[string]RetryRule // by full name
	patience func() time.Duration
	every    time.Duration
	budget   budget

	made, denied atomic.Uint64
}

func newRetrier(cfg *Config) *retrier {
	return &retrier{
		rules: cfg.Retry.rules(), every: cfg.pace(cfg.PollEvery),
		patience: func() time.Duration { return cfg.patient(checkTimeout) },
	}
}

// unary is the interceptor. A call that succeeds costs a look-up and a count
// more.
func (r *retrier) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	rule, known := r.rules[method]
	if !known {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	r.budget.called()
	began := time.Now()
	first := invoke(ctx, method, req, reply, cc, opts...)
	if first == nil || rule.Attempts < 2 || !turnedAway(first) {
		return first
	}
	// No later than half of what there is: the next poll is not delayed, and
	// every attempt is waited for as long as the pauses before it may be.
	t := &trial{retrier: r, rule: rule, conn: cc, end: began.Add(min(r.patience(), r.every) / 2), first: first}
	return t.again(ctx, method, req, reply, cc, invoke, opts...)
}

// trial is one call that was turned away.
type trial struct {
	*retrier
	rule  RetryRule
	conn  *grpc.ClientConn
	end   time.Time // no attempt later
	first error
	begun bool
	tries int
	pause time.Duration
}

// again hands the call to the library with the first outcome as if it had made
// that attempt.
func (t *trial) again(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	retrying := retry.UnaryClientInterceptor(
		retry.WithMax(uint(t.rule.Attempts)), retry.WithRetriable(t.retriable),
		retry.WithBackoff(func(context.Context, uint) time.Duration { return t.pause }),
		retry.WithOnRetryCallback(func(context.Context, uint, error) { t.made.Add(1) }))
	err := retrying(ctx, method, req, reply, cc, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
		if !t.begun {
			t.begun = true
			return t.first
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}, opts...)
	if status.Code(err) == codes.DeadlineExceeded {
		return t.first // the last attempt was not waited for as long as one is: the first tells more
	}
	return err
}

// retriable decides whether there is another attempt, and after what pause: full
// jitter, or what the answer asks for.
func (t *trial) retriable(err error) bool {
	if !turnedAway(err) || t.conn.GetState() != connectivity.Ready || t.tries+1 >= t.rule.Attempts {
		return false
	}
	t.pause = rand.N(t.rule.most(t.tries) + 1)
	if asked, ok := wire.RetryDelay(err); ok {
		t.pause = max(t.pause, asked)
	}
	t.tries++
	now := time.Now()
	if now.Add(t.pause).After(t.end) {
		return false
	}
	if !t.budget.take(now) {
		t.denied.Add(1)
		return false
	}
	return true
}

// turnedAway reports whether the call may be made again later.
func turnedAway(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		_, told := wire.RetryDelay(err)
		return told
	}
	return false
}

// Retries returns how often a call to a target was made again since the start,
// and how often it was not because too many were.
func (w *Watcher) Retries() (made, denied uint64) {
	return w.retrier.made.Load(), w.retrier.denied.Load()
}
