package server

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// The defaults of Check.
const (
	DefaultEvery   = 10 * time.Second
	DefaultTimeout = 2 * time.Second
)

// MinEvery is the shortest Every: checks are for seconds, and one that is
// always due would leave the others no room.
const MinEvery = 100 * time.Millisecond

// Check is one thing a service depends on. Name and Run are required; the zero
// value of everything else is the default.
type Check struct {
	// Name is unique in its server: 1 to 255 bytes without control characters.
	// Everybody may see it.
	Name string
	// Run returns nil if all is well, an error from health.Degrade or
	// health.Warnf for a warning, any other error for a failure. Its context
	// ends with Timeout, Remove and Run. It never runs twice at once.
	Run func(context.Context) error
	// Kind says what the check is for.
	Kind Kind
	// Tags group checks for Config.Services: each is 1 to 255 of [A-Za-z0-9._-].
	Tags []string
	// InitialDelay is how long the first run waits; 0 means not at all.
	InitialDelay time.Duration
	// Every is the time from one run to the next, give or take a tenth; 0 means
	// 10 s. While the status is in doubt it is a fifth, but at least 1 s. At
	// least half of it lies between the end of a run and the next.
	Every time.Duration
	// Timeout is how long a run may take, less than Every; 0 means 2 s, or half
	// of Every if that is less. One that has not returned 50 ms after it has
	// failed, whatever it returns later.
	Timeout time.Duration
	// FailAfter consecutive failures make NOT_SERVING; 0 means 3.
	FailAfter int
	// RecoverAfter consecutive passes make SERVING; 0 means 2.
	RecoverAfter int
	// DegradeAfter consecutive warnings or failures make DEGRADED; 0 means 1.
	DegradeAfter int
	// MinHold is the least time from a change to an improvement after it; 0
	// means none.
	MinHold time.Duration
	// StaleAfter is how long after the next run should have ended the last one
	// still counts; 0 means Every, negative means for ever.
	StaleAfter time.Duration
	// BreakAfter consecutive failures open a breaker: runs are then probes, ever
	// longer apart, from twice Every up to MaxBreak, until one does not fail or a
	// check in After gets better. 0 means never.
	BreakAfter int
	// After names checks this one makes no sense without. While one of them is
	// NOT_SERVING or has not run yet, this one does not run, and says so: it is
	// blocked. They must be there, or come with the same Add.
	After []string
	// OnFail says what a failure means for the service.
	OnFail OnFail
	// Priority orders who runs first when MaxConcurrent is reached: the higher
	// first. Nothing else.
	Priority int
}

// Kind says what a check is for.
type Kind uint8

// The zero value is Readiness.
const (
	// Readiness: whether the service should get traffic.
	Readiness Kind = iota
	// Liveness: whether the process is of any use. It says nothing about
	// traffic, and must not depend on anything outside the process.
	Liveness
	// Startup: as Readiness; and the process has started when all of these have
	// passed once.
	Startup
	numKinds
)

// OnFail says what the failure of a check means for the service.
type OnFail uint8

// The zero value is Fail.
const (
	// Fail: the service is as bad as the check.
	Fail OnFail = iota
	// Degrade: the service is DEGRADED at worst, and does not wait for the
	// check's first run.
	Degrade
	// Ignore: the check is shown, nothing more.
	Ignore
	numOnFail
)

// validate reports everything that is wrong, by field.
func (c *Check) validate(r *rules) error {
	var f faults
	if c.Name == "" {
		f.add("Name", "is empty")
	}
	f.text("Name", c.Name, wire.MaxName)
	if c.Run == nil {
		f.add("Run", "is nil")
	}
	for i, tag := range c.Tags {
		f.check(fmt.Sprintf("Tags[%d]", i), wire.CheckService(tag))
	}
	r.validate(&f)
	return f.err()
}
