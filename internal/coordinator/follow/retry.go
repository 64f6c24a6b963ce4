package follow

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// retrier repeats unary calls that a target has turned away: the target answered UNAVAILABLE,
// or RESOURCE_EXHAUSTED with a delay for the next attempt. retrier does not repeat a call that
// was not answered in time, because that is evidence. It does not repeat a call on a broken
// connection, because only the follower dials. It does not repeat streams, because the follower
// opens the next stream.
type retrier struct {
	rules    map[string]RetryRule // rule for each method, by full method name with a slash
	patience func() time.Duration
	every    time.Duration // interval between two polls of a target
	budget   retryBudget

	made, denied atomic.Uint64
}

func newRetrier(cfg *Config) *retrier {
	return &retrier{
		rules: cfg.Retry.byMethod(), every: cfg.pace(cfg.PollEvery),
		patience: func() time.Duration { return cfg.patience(checkTimeout) },
	}
}

// unary is the interceptor for unary calls. It repeats a call that the target has turned away
// (see turnedAway). A call that succeeds costs only one map lookup and one counter.
func (r *retrier) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	rule, known := r.rules[method]
	if !known {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	r.budget.countCall()
	began := time.Now()
	first := invoke(ctx, method, req, reply, cc, opts...)
	if first == nil || rule.Attempts < 2 || !turnedAway(first) {
		return first
	}
	// No attempt begins after half of the available time. So the attempts do not delay the
	// next poll, and the last one still has half of the time for its answer.
	c := &retriedCall{retrier: r, rule: rule, conn: cc, end: began.Add(min(r.patience(), r.every) / 2), first: first}
	if recorded := replyOf(ctx); recorded != nil {
		c.reply, c.received = recorded, recorded.received()
	}
	return c.repeat(ctx, method, req, reply, cc, invoke, opts...)
}

// retriedCall is one call that the target has turned away (see turnedAway), and its further
// attempts.
type retriedCall struct {
	*retrier
	rule  RetryRule
	conn  *grpc.ClientConn
	end   time.Time // time after which no attempt begins
	first error     // error of the first attempt
	// reply is the reply in which the call is recorded, or nil. received is the content of
	// reply after the first attempt.
	reply    *reply
	received received
	begun    bool // the retry library has received the error of the first attempt
	repeated int
	pause    time.Duration
}

// repeat passes the call to the retry library. The first attempt of the library makes no call: it
// returns the error of the attempt that the method unary has already made.
func (c *retriedCall) repeat(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	retrying := retry.UnaryClientInterceptor(
		retry.WithMax(uint(c.rule.Attempts)), retry.WithRetriable(c.retriable),
		retry.WithBackoff(func(context.Context, uint) time.Duration { return c.pause }),
		retry.WithOnRetryCallback(func(context.Context, uint, error) { c.made.Add(1) }))
	err := retrying(ctx, method, req, reply, cc, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
		if !c.begun {
			c.begun = true
			return c.first
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}, opts...)
	if status.Code(err) == codes.DeadlineExceeded {
		// The last attempt had less time than a full call, so the error of the first attempt
		// is better evidence.
		c.reply.restore(c.received)
		return c.first
	}
	return err
}

// retriable reports whether another attempt must be made, and sets c.pause. The pause is random,
// from 0 to the longest pause, but at least the pause that the target requests in its answer.
func (c *retriedCall) retriable(err error) bool {
	if !turnedAway(err) || c.conn.GetState() != connectivity.Ready || c.repeated+1 >= c.rule.Attempts {
		return false
	}
	c.pause = delay.Between(0, c.rule.maxPause(c.repeated), rand.Float64())
	if asked, ok := wire.RetryDelay(err); ok {
		c.pause = max(c.pause, asked)
	}
	c.repeated++
	now := time.Now()
	if now.Add(c.pause).After(c.end) {
		return false
	}
	if !c.budget.spend(now) {
		c.denied.Add(1)
		return false
	}
	return true
}

// turnedAway reports whether the target has rejected a call with UNAVAILABLE, or with
// RESOURCE_EXHAUSTED and a delay for the next attempt.
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

const (
	// Each repeated call costs one token of retryBudget. perCall is the number of tokens that
	// each call adds. perSecond is the number of tokens that each second adds, so that a mesh
	// with few targets can repeat calls too.
	perCall   = 0.1
	perSecond = 1
	// maxBudget is the largest number of tokens in retryBudget.
	maxBudget = 50
)

// retryBudget limits the repeated calls to about a tenth of all calls, over all targets. If
// most targets turn calls away, repeated calls would only increase their load. The methods may
// be called concurrently.
type retryBudget struct {
	calls atomic.Int64 // number of calls since the last update of tokens

	mu     sync.Mutex
	tokens float64
	at     time.Time // time of the last update of tokens
}

func (b *retryBudget) countCall() { b.calls.Add(1) }

// spend takes a token for one repeated call. It returns false if there is no token.
func (b *retryBudget) spend(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.tokens, b.at = perSecond, now
	}
	b.tokens += perCall*float64(b.calls.Swap(0)) + perSecond*now.Sub(b.at).Seconds()
	b.tokens, b.at = min(maxBudget, b.tokens), now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
