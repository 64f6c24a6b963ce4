package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// DefaultMaxConcurrent is the default of Config.MaxConcurrent.
	DefaultMaxConcurrent = 16
	// DefaultHistory is the default of Config.History.
	DefaultHistory = 8
	// maxHistory is the largest value of Config.History.
	maxHistory = 1000
	// maxServices is the largest length of Config.Services. List of grpc.health.v1 shows
	// 100 names, two of which are Config.Service and "".
	maxServices = 98
)

// Config configures a Server. Service is required. The zero value of each other field
// selects its default.
type Config struct {
	// Service is the name for which clients ask: 1 to 255 characters of [A-Za-z0-9._-].
	// The empty name has the same status.
	Service string
	// Services are additional names for which clients or the probes of an orchestrator can
	// ask (see Service.Kind). Each name has its own selection of checks. At most 98 names
	// are allowed, so that List of grpc.health.v1 can show all names.
	Services []Service
	// MaxConcurrent is the largest number of checks that run at the same time. A run that
	// has not returned 50 ms after its timeout does not count any more. 0 means
	// DefaultMaxConcurrent. A negative value means no limit.
	MaxConcurrent int
	// Propagation is the time between the end of the OnDrain functions and the end of
	// the Watch streams. In this time clients learn that the service drains. 0 means
	// that Drain does not wait.
	Propagation time.Duration
	// OnDrain has functions that Drain calls one after the other, with the context that
	// Drain has received.
	OnDrain []func(context.Context) error
	// Logger receives a record for each transition, for each panic of a check, and for
	// each error of Run. One goroutine writes the records. At most 4 MiB of records wait
	// for it. The server drops further records and logs how many it has dropped.
	//
	// nil means slog.Default() at the time of each record, from WARN up. Use
	// slog.New(slog.DiscardHandler) for no log. The goroutines that publish call the
	// method Enabled of the handler, which must not block.
	Logger *slog.Logger
	// OnTransition is called for each change of status while Run runs. One goroutine
	// makes the calls, one after the other, and logs a panic. While a call blocks, the
	// server keeps only the latest change of each service for the next calls. nil means
	// that nothing is called.
	OnTransition func(health.Change)
	// ShowReasons reports whether the caller of the request with this context may see
	// reasons. It is called once per request. nil means that nobody may see reasons.
	// Every caller sees causes.
	ShowReasons func(context.Context) bool
	// DegradedNotServing makes grpc.health.v1 answer NOT_SERVING for a name of kind
	// Readiness that is DEGRADED.
	DegradedNotServing bool
	// DegradedHTTP is the HTTP status, from 200 to 599, of /readyz while the service is
	// DEGRADED. 0 means 200.
	DegradedHTTP int
	// History is the number of runs that the server remembers for each check. The
	// largest value is 1,000, and a run needs 24 bytes. 0 means DefaultHistory. A
	// negative value means that the server remembers no run.
	History int
	// MaxWatchers is the largest number of open Watch streams, and MaxWatchersPerPeer is
	// the largest number for one peer. 0 selects the defaults 20,000 and 4,096.
	MaxWatchers, MaxWatchersPerPeer int
	// Build is the version of the program. Every caller may see it. It may be empty.
	Build string
}

// Service is an additional name for which clients can ask. Only the checks that Checks
// and Tags select decide the status of the name.
type Service struct {
	// Name has the form of Config.Service and differs from all other names.
	Name string
	// Kind is the question that the status of the name answers. The default is Readiness.
	// For a name of kind Liveness, the checks decide in the same way as for /livez. For a
	// name of kind Startup, they decide in the same way as for /startupz. SetStatus,
	// SetServingStatus, Shutdown and Drain do not change names of these two kinds.
	Kind Kind
	// Checks are the names of the checks that are selected for this service. A check that
	// has one of Tags is selected too. If both fields are empty, all checks of the same
	// Kind are selected. Both may be empty only for the kinds Liveness and Startup.
	//
	// A selected check counts for the status if its OnFail is not Ignore and it has the
	// Kind of the service. For Readiness, checks of kind Startup count too. Run returns an
	// error if a name or tag matches no check, or if none of the selected checks counts.
	Checks, Tags []string
}

func (c *Config) setDefaults() {
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = DefaultMaxConcurrent
	}
	if c.History == 0 {
		c.History = DefaultHistory
	}
}

// validate returns an error that names each invalid field of the configuration, or nil.
func (c *Config) validate() error {
	var f fieldErrors
	f.Add("Service", wire.CheckService(c.Service))
	c.validateServices(&f)
	f.checkNotNegative("Propagation", c.Propagation)
	for i, fn := range c.OnDrain {
		if fn == nil {
			f.Addf(fmt.Sprintf("OnDrain[%d]", i), "is nil")
		}
	}
	if c.DegradedHTTP != 0 && (c.DegradedHTTP < 200 || c.DegradedHTTP > 599) {
		f.Addf("DegradedHTTP", "is %d; allowed: 200 to 599, 0 for 200", c.DegradedHTTP)
	}
	if c.History > maxHistory {
		f.Addf("History", "is %d; allowed: at most %d", c.History, maxHistory)
	}
	f.checkLimit("MaxWatchers", c.MaxWatchers)
	f.checkLimit("MaxWatchersPerPeer", c.MaxWatchersPerPeer)
	f.Add("Build", wire.CheckText(c.Build, 0, wire.MaxVersion))
	return f.Join()
}

func (c *Config) validateServices(f *fieldErrors) {
	if len(c.Services) > maxServices {
		f.Addf("Services", "has %d; allowed: at most %d", len(c.Services), maxServices)
		return
	}
	seen := map[string]string{c.Service: "Service"}
	for i, s := range c.Services {
		field := fmt.Sprintf("Services[%d]", i)
		f.Add(field+".Name", wire.CheckService(s.Name))
		if first, twice := seen[s.Name]; twice {
			f.Addf(field+".Name", "is %q, which %s is too; allowed: each name once", s.Name, first)
		}
		seen[s.Name] = field
		if s.Kind >= numKinds {
			f.Addf(field+".Kind", "is %d; allowed: Readiness, Liveness, Startup", s.Kind)
		}
		if s.Kind == Readiness && len(s.Checks)+len(s.Tags) == 0 {
			f.Addf(field, "has neither Checks nor Tags; allowed: one of them or both, or another Kind")
		}
	}
}

// stockStatus returns the status that a client of grpc.health.v1 receives for this state.
// DegradedNotServing is about traffic, so it has no effect on names of kind Liveness or
// Startup.
func (c *Config) stockStatus(state *health.State) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case state.Status == health.Degraded && c.DegradedNotServing && c.kindOf(state.ID) == Readiness:
		return healthpb.HealthCheckResponse_NOT_SERVING
	case state.Status == health.Unknown && state.Cause == health.CauseUnknownName:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN // SetServingStatus has set this status
	}
	return healthpb.HealthCheckResponse_ServingStatus(state.Status.GRPC())
}

func (c *Config) kindOf(id health.ID) Kind {
	for i := range c.Services {
		if c.Services[i].Name == id.Service {
			return c.Services[i].Kind
		}
	}
	return Readiness
}

// MaxChecks is the largest number of checks of one server. The gRPC health services show at
// most 128 checks, and prefer checks that are not SERVING.
const MaxChecks = 200_000

// Errors that callers can find with errors.Is.
var (
	// ErrCheckExists means that the server has a check of this name already.
	ErrCheckExists = errors.New("there is a check of this name already")
	// ErrTooManyChecks means that the server would have more than MaxChecks checks.
	ErrTooManyChecks = fmt.Errorf("there are too many checks; allowed: at most %d", MaxChecks)
	// ErrNoCheck means that the server has no check of this name.
	ErrNoCheck = errors.New("there is no check of this name")
	// ErrLeaving means that Drain was called or that Run has ended. Neither can be undone.
	ErrLeaving = errors.New("the server is leaving: Drain was called, or Run has ended")
	// ErrRanTwice means that Run was called a second time.
	ErrRanTwice = errors.New("Run was called twice")
	// ErrStuck means that some checks have not returned, although the time of their runs
	// has ended. The goroutines of these checks still run.
	ErrStuck = errors.New("has not returned")
)

// checkError wraps an error of one check in an error that has the name of this check.
func checkError(name string, err error) error {
	return fmt.Errorf("server.Check %q: %w", wire.CleanTo(name, wire.MaxName), err)
}

// fieldErrors collects all errors of a configuration.
type fieldErrors struct{ fields.Errors }

func (f *fieldErrors) checkNotNegative(field string, d time.Duration) {
	if d < 0 {
		f.Addf(field, "is %v; allowed: 0 or more", d)
	}
	f.checkNotTooLong(field, d)
}

func (f *fieldErrors) checkNotTooLong(field string, d time.Duration) {
	if d > health.MaxCheckTime {
		f.Addf(field, "is %v; allowed: at most %v", d, health.MaxCheckTime)
	}
}

// checkLimit adds an error for the field if its value n is negative.
func (f *fieldErrors) checkLimit(field string, n int) {
	if n < 0 {
		f.Addf(field, "is %d; allowed: 1 or more, 0 for the default", n)
	}
}

// rights returns the rights of the caller of a request. ShowReasons decides how much it may read.
func (c *Config) rights(ctx context.Context) *access.Rights {
	if c.ShowReasons != nil && c.ShowReasons(ctx) {
		return access.ReadEvidence
	}
	return access.ReadStatus
}
