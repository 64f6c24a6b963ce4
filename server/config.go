package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// DefaultMaxConcurrent is how many checks run at once.
const DefaultMaxConcurrent = 16

// Config says what is served, and to whom. Service is required; the zero value
// of everything else is a good default.
type Config struct {
	// Service is the name on the health services: 1 to 255 of [A-Za-z0-9._-].
	// The empty name is answered like it.
	Service string
	// Services are more names, each judged by some of the checks; at most 98,
	// so that the standard's List can name all.
	Services []Service
	// MaxConcurrent is how many checks may run at once; 0 means
	// DefaultMaxConcurrent, negative means all of them.
	MaxConcurrent int
	// Propagation is how long Drain lets clients learn of it before it ends
	// their streams.
	Propagation time.Duration
	// OnDrain functions are called by Drain, in order. The context is Drain's.
	OnDrain []func(context.Context) error
	// Logger gets one line per transition and per panic of a check; nil means
	// none.
	Logger *slog.Logger
	// OnTransition is called for each change of status while Run runs, one after
	// the other, from a goroutine of its own: a panic in it is logged, and while
	// it blocks only its own news wait; of those the latest is kept.
	OnTransition func(health.Change)
	// Details decides who sees reasons; nil means nobody does. It is asked once
	// per call. Causes are for everybody.
	Details func(context.Context) bool
	// DegradedNotServing makes DEGRADED read NOT_SERVING on grpc.health.v1.
	DegradedNotServing bool
	// DegradedHTTP is what /readyz answers for DEGRADED: 200 to 599; 0 means 200.
	DegradedHTTP int
	// History is how many runs of each check are remembered, 24 bytes each, at
	// most 1,000; 0 means DefaultHistory, negative means none.
	History int
	// MaxWatchers and MaxWatchersPerPeer bound open Watch streams; 0 means
	// 20,000 and 4,096.
	MaxWatchers, MaxWatchersPerPeer int
	// Build is the version told to callers.
	Build string
}

func (c *Config) setDefaults() {
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = DefaultMaxConcurrent
	}
	if c.History == 0 {
		c.History = DefaultHistory
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// validate reports everything that is wrong, by field.
func (c *Config) validate() error {
	var f faults
	f.check("Service", wire.CheckService(c.Service))
	c.checkServices(&f)
	f.notNegative("Propagation", c.Propagation)
	for i, fn := range c.OnDrain {
		if fn == nil {
			f.add(fmt.Sprintf("OnDrain[%d]", i), "is nil")
		}
	}
	if c.DegradedHTTP != 0 && (c.DegradedHTTP < 200 || c.DegradedHTTP > 599) {
		f.add("DegradedHTTP", "is %d; allowed: 200 to 599, 0 for 200", c.DegradedHTTP)
	}
	if c.History > maxHistory {
		f.add("History", "is %d; allowed: at most %d", c.History, maxHistory)
	}
	f.limit("MaxWatchers", c.MaxWatchers)
	f.limit("MaxWatchersPerPeer", c.MaxWatchersPerPeer)
	f.text("Build", c.Build, wire.MaxVersion)
	return f.err()
}

// maxServices leaves room for Config.Service and "" in the standard's List.
const maxServices = 98

func (c *Config) checkServices(f *faults) {
	if len(c.Services) > maxServices {
		f.add("Services", "has %d; allowed: at most %d", len(c.Services), maxServices)
		return
	}
	seen := map[string]string{c.Service: "Service"}
	for i, s := range c.Services {
		field := fmt.Sprintf("Services[%d]", i)
		f.check(field+".Name", wire.CheckService(s.Name))
		if first, twice := seen[s.Name]; twice {
			f.add(field+".Name", "%q is that of %s too; allowed: each once", s.Name, first)
		}
		seen[s.Name] = field
		if len(s.Checks)+len(s.Tags) == 0 {
			f.add(field, "has neither Checks nor Tags; allowed: one of them or both")
		}
	}
}

// faults collects everything that is wrong with a configuration.
type faults struct{ errs []error }

func (f *faults) add(field, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}

func (f *faults) check(field string, err error) {
	if err != nil {
		f.add(field, "%v", err)
	}
}

func (f *faults) notNegative(field string, d time.Duration) {
	if d < 0 {
		f.add(field, "is %v; allowed: 0 or more", d)
	}
}

func (f *faults) limit(field string, n int) {
	if n < 0 {
		f.add(field, "is %d; allowed: 1 or more, 0 for the default", n)
	}
}

func (f *faults) text(field, text string, most int) {
	if len(text) > most {
		f.add(field, "has %d bytes; allowed: at most %d", len(text), most)
	} else if wire.Clean(text) != text {
		f.add(field, "has control characters in it")
	}
}

func (f *faults) err() error { return errors.Join(f.errs...) }
