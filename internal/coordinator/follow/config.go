package follow

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// DefaultPollEvery is the default time between two polls (Check calls) of an instance.
	DefaultPollEvery = 5 * time.Second
	// LeastPollEvery is the shortest time between two polls of an instance that may be
	// configured.
	LeastPollEvery = time.Second
)

// Config says which instances to follow, how to reach them, and which function receives the
// evidence. Each function must be safe for concurrent use.
type Config struct {
	// Feed names the instances. Each one is followed while the feed holds it.
	Feed *feed.Feed
	// Observe passes evidence to the registry. If the evidence is that no answer came,
	// waitBegan is the time at which the wait for the answer began. Otherwise waitBegan is
	// zero.
	Observe func(ctx context.Context, ev mesh.Event, waitBegan time.Time) error
	// Dial says how to connect to instances.
	Dial DialPolicy
	// Targets is the list of allowed addresses. It must be set if Dial.Context is nil.
	Targets *wire.Targets
	// Identity returns the identity in the certificate of a target, as in the access policy. It returns "" if there is
	// none. Nil means that targets have none.
	Identity func(credentials.AuthInfo) string
	// Placed returns the proof that the access policy gives an instance because its host name has the address ip. Nil
	// means none.
	Placed func(id health.ID, spec *health.Spec, ip netip.Addr) health.EndpointProof
	// DialOptions are added to each connection, for example interceptors.
	DialOptions []grpc.DialOption
	// UnreachableAfter has the value of health.MeshPolicy.UnreachableAfter: the time without an
	// answer after which an instance is unreachable. The followers request a heartbeat interval
	// of a third of this time. 0 means health.DefaultUnreachableAfter.
	UnreachableAfter time.Duration
	// PollEvery is the poll interval of a target that implements only Check. It is limited
	// to a third of UnreachableAfter. 0 means DefaultPollEvery.
	PollEvery time.Duration
	// Protocol returns the configured protocol of a service. If Protocol is nil or returns
	// health.ProtocolAuto, the protocol of the registration is used. Protocol is called once
	// a second for each instance, so that a changed configuration takes effect.
	Protocol func(service string) health.Protocol
	// Retry says how a Check is repeated after the target has rejected it with UNAVAILABLE, or
	// with RESOURCE_EXHAUSTED and RetryInfo.
	Retry Retry
	// RecoverAfter has the value of health.MeshPolicy.RecoverAfter. After a changed answer, a
	// target is polled more often until RecoverAfter answers in a row are equal. 0 means the
	// default of health.MeshPolicy.
	RecoverAfter int
	// Budgets bounds the messages on the streams of an instance. A stream that exceeds this
	// limit is closed. After that the instance is polled every second, until its status has not
	// changed for a minute. Nil means no limit.
	Budgets *wire.Budgets
	// Score returns the health score of the coordinator, from 0 (good) to 7 (bad).
	// Timeouts are multiplied by the score plus 1. Nil means the score 0.
	Score func() int
	// Logger receives records about problems that only an operator can correct. Nil means
	// no log.
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Identity == nil {
		c.Identity = func(credentials.AuthInfo) string { return "" }
	}
	c.UnreachableAfter = cmp.Or(c.UnreachableAfter, health.DefaultUnreachableAfter)
	c.PollEvery = cmp.Or(c.PollEvery, DefaultPollEvery)
	c.RecoverAfter = cmp.Or(c.RecoverAfter, health.MeshPolicy{}.WithDefaults().RecoverAfter)
}

// pace limits the interval between two calls to a target to a third of UnreachableAfter. So an
// interval plus a timeout is less than UnreachableAfter. If many targets fail at one time, all
// of them are suspect before the first one is unreachable. Otherwise the guard, which protects
// against a coordinator without a network, would act too late.
func (c *Config) pace(every time.Duration) time.Duration { return min(every, c.UnreachableAfter/3) }

// patience returns the timeout d, multiplied by the health score of the coordinator plus 1. The
// result is at most half of UnreachableAfter.
func (c *Config) patience(d time.Duration) time.Duration {
	if c.Score != nil {
		d *= time.Duration(1 + c.Score())
	}
	return min(d, c.UnreachableAfter/2)
}

// firstMessageTimeout returns how long a follower waits for the first message of a stream
// before it tries another protocol. The time is short, so that all protocols are tried
// before the instance becomes suspect.
func (c *Config) firstMessageTimeout() time.Duration {
	return min(firstMessageTimeout, c.UnreachableAfter/8)
}

const (
	// firstMessageTimeout is the longest wait for the first message of a stream.
	firstMessageTimeout = 2 * time.Second
	// checkTimeout is the timeout of one Check while the health score of the coordinator is 0,
	// which is the best score.
	checkTimeout = 4 * time.Second
)
