package server

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Default values of Check.Every and Check.Timeout.
const (
	DefaultEvery   = 10 * time.Second
	DefaultTimeout = 2 * time.Second
)

// MinEvery is the shortest interval between two runs of a check. A check that is always
// due would leave no time for the other checks.
const MinEvery = 100 * time.Millisecond

// MaxBreak is the longest time between two runs of a check whose breaker is open (see
// Check.BreakAfter), unless Check.Every is longer.
const MaxBreak = time.Minute

// Check examines one thing that a service depends on. Name and Run are required. The
// zero value of each other field selects its default.
type Check struct {
	// Name is unique in its server. It has 1 to 255 bytes and no control characters.
	// Every caller may see the name.
	Name string
	// Run returns nil for a pass, an error from health.Warning or health.Warnf for a
	// warning, and any other error for a failure. Its context ends after Timeout, when
	// Server.Remove removes the check, and when Server.Run ends. Two runs of one check
	// never overlap.
	Run func(context.Context) error
	// Kind is the question that the check answers. The default is Readiness.
	Kind Kind
	// Tags group checks for Config.Services. Each tag is 1 to 255 of [A-Za-z0-9._-].
	Tags []string
	// InitialDelay is the time before the first run. The default is 0.
	InitialDelay time.Duration
	// Every is the time from the start of one run to the start of the next, plus or
	// minus 10 %. The default is DefaultEvery. The interval is a fifth of Every, but at
	// least 1 s, while the status is not SERVING and after a failure or warning. At least
	// half of the interval lies between the end of a run and the start of the next.
	Every time.Duration
	// Timeout is the longest time of one run and is shorter than Every. The default is
	// DefaultTimeout, or half of Every if that is shorter. A run that has not returned
	// 50 ms after its timeout has failed, even if it returns nil later.
	Timeout time.Duration
	// FailAfter is the number of consecutive failures that make the check NOT_SERVING.
	// The default is 3. The first outcome of a check decides its status at once.
	FailAfter int
	// RecoverAfter is the number of consecutive passes that make the check SERVING. The
	// default is 2.
	RecoverAfter int
	// DegradeAfter is the number of consecutive warnings or failures that make the
	// check DEGRADED. The default is 1.
	DegradeAfter int
	// MinHold is the shortest time between a change of the check's status and a later
	// improvement. The default is 0.
	MinHold time.Duration
	// StaleAfter limits how long the outcome of a run counts. The time starts when the
	// next run should have ended. The default is Every. A negative value means no limit.
	StaleAfter time.Duration
	// BreakAfter is the number of consecutive failures that open the breaker of the
	// check. While the breaker is open, the time between runs doubles from Every up to
	// MaxBreak. The breaker closes when a run does not fail. An improvement of a check
	// in DependsOn causes an immediate run. 0 means that the breaker never opens.
	BreakAfter int
	// DependsOn names checks that this check needs. While one of them is NOT_SERVING or
	// has not run yet, this check is blocked: it does not run, and its cause is
	// CauseBlocked. Each named check must be in the server or in the same call of Add.
	DependsOn []string
	// OnFail is the effect of a failure on the service. The default is Fail.
	OnFail OnFail
	// Priority orders the checks that wait because MaxConcurrent is reached. The check
	// with the highest Priority runs first. Priority has no other effect.
	Priority int
}

// Kind is the question that a check, or the status of a service name, answers.
type Kind uint8

// The values of Kind. The zero value is Readiness.
const (
	// Readiness asks: can the service receive traffic?
	Readiness Kind = iota
	// Liveness asks: does the process still work? A check of this kind has no effect on
	// traffic. It must not depend on anything outside the process.
	Liveness
	// Startup asks: has the process started? The process has started when each check of
	// this kind has passed. A check of this kind also counts as a Readiness check.
	Startup
	numKinds
)

// String returns the name of the kind, such as "liveness".
func (k Kind) String() string {
	if k >= numKinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"readiness", "liveness", "startup"}[k]
}

// OnFail is the effect of a failing check on the service.
type OnFail uint8

// The values of OnFail. The zero value is Fail.
const (
	// Fail makes the status of the service at least as bad as the status of
	// the check.
	Fail OnFail = iota
	// Degrade makes the service DEGRADED, never NOT_SERVING, when the check fails. The
	// service does not stay STARTING until the first run of the check.
	Degrade
	// Ignore gives the check no effect on the service. Callers still see the check.
	Ignore
	numOnFail
)

// validate returns an error that names each invalid field of the check, or nil. r must be
// the result of c.rules.
func (c *Check) validate(r *rules) error {
	var f fieldErrors
	if c.Name == "" {
		f.Addf("Name", "is empty")
	}
	f.Add("Name", wire.CheckText(c.Name, 0, wire.MaxName))
	if c.Run == nil {
		f.Addf("Run", "is nil")
	}
	for i, tag := range c.Tags {
		f.Add(fmt.Sprintf("Tags[%d]", i), wire.CheckService(tag))
	}
	r.validate(&f)
	return f.Join()
}

// rules are the settings of a check, with the defaults filled in. Checks with equal
// settings share one value, which therefore must not be changed.
type rules struct {
	kind                         Kind
	onFail                       OnFail
	priority                     int
	initialDelay, every, timeout time.Duration
	breakAfter                   int
	policy                       health.Policy
}

func (c *Check) rules() rules {
	r := rules{
		kind: c.Kind, onFail: c.OnFail, priority: c.Priority,
		initialDelay: c.InitialDelay, every: c.Every, timeout: c.Timeout, breakAfter: c.BreakAfter,
		policy: health.Policy{
			DegradeAfter: c.DegradeAfter, FailAfter: c.FailAfter, RecoverAfter: c.RecoverAfter,
			MinHold: c.MinHold, StaleAfter: c.StaleAfter,
		}.WithDefaults(),
	}
	if r.every == 0 {
		r.every = DefaultEvery
	}
	if r.timeout == 0 {
		r.timeout = min(DefaultTimeout, r.every/2)
	}
	if r.policy.StaleAfter == 0 {
		r.policy.StaleAfter = r.every
	}
	return r
}

// validate adds an error to f for each invalid setting in r. The errors use the field
// names of Check.
func (r *rules) validate(f *fieldErrors) {
	if r.every < MinEvery {
		f.Addf("Every", "is %v; allowed: %v or more", r.every, MinEvery)
	}
	f.checkNotTooLong("Every", r.every)
	if r.timeout < 0 || r.timeout >= r.every {
		f.Addf("Timeout", "is %v; allowed: more than 0 and less than Every (%v), 0 for the default", r.timeout, r.every)
	}
	if r.breakAfter < 0 {
		f.Addf("BreakAfter", "is %d; allowed: 1 or more, 0 for never", r.breakAfter)
	}
	f.checkNotNegative("InitialDelay", r.initialDelay)
	if r.kind >= numKinds {
		f.Addf("Kind", "is %d; allowed: Readiness, Liveness, Startup", r.kind)
	}
	if err := r.policy.Validate(); err != nil {
		f.Errors = append(f.Errors, err)
	}
	if r.onFail >= numOnFail {
		f.Addf("OnFail", "is %d; allowed: Fail, Degrade, Ignore", r.onFail)
	}
}

// interval returns the time from the start of one run to the start of the next. It returns
// a shorter time if mayChange is true: the next run may change the status of the check.
func (r *rules) interval(mayChange bool) time.Duration {
	if !mayChange {
		return r.every
	}
	return min(r.every, max(time.Second, r.every/5))
}

// breakerInterval returns the time between two runs while the breaker of a check is open.
// Each consecutive failure, from number breakAfter on, doubles the time, up to MaxBreak.
func (r *rules) breakerInterval(failures int) time.Duration {
	return delay.Doubled(r.every, failures-r.breakAfter+1, max(MaxBreak, r.every))
}

// Tuning holds new values for settings of a check (see Server.Tune). A field that is zero
// leaves the present setting unchanged.
type Tuning struct {
	Every, Timeout                        time.Duration
	FailAfter, RecoverAfter, DegradeAfter int
	BreakAfter                            int
	MinHold, StaleAfter                   time.Duration
}

// apply copies each setting of u that is not zero to the rules r.
func (u *Tuning) apply(r *rules) {
	p := &r.policy
	set(&r.every, u.Every)
	set(&r.timeout, u.Timeout)
	set(&p.MinHold, u.MinHold)
	set(&p.StaleAfter, u.StaleAfter)
	set(&p.FailAfter, u.FailAfter)
	set(&p.RecoverAfter, u.RecoverAfter)
	set(&p.DegradeAfter, u.DegradeAfter)
	set(&r.breakAfter, u.BreakAfter)
}

// set stores value in *setting, unless value is the zero value of its type.
func set[T comparable](setting *T, value T) {
	var zero T
	if value != zero {
		*setting = value
	}
}

// maxSharedRules is the largest number of entries in a map of type sharedRules. When the map
// is full, it is emptied before the next entry is added.
const maxSharedRules = 64

// sharedRules maps rules to the one copy that all checks with equal rules share. This
// saves memory.
type sharedRules map[rules]*rules

// get returns the shared copy of r and creates it if there is none.
func (s sharedRules) get(r rules) *rules {
	if shared := s[r]; shared != nil {
		return shared
	}
	if len(s) >= maxSharedRules {
		clear(s)
	}
	s[r] = &r
	return &r
}
