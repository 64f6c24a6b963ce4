package server

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// rules are how a check is run and judged, with all defaults: a Check without
// what is its own. They do not change; checks that are alike share them.
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

// validate reports everything that is wrong, by the field of Check.
func (r *rules) validate(f *faults) {
	if r.every < MinEvery {
		f.add("Every", "is %v; allowed: %v or more", r.every, MinEvery)
	}
	if r.timeout < 0 || r.timeout >= r.every {
		f.add("Timeout", "is %v; allowed: more than 0 and less than Every (%v), 0 for the default", r.timeout, r.every)
	}
	if r.breakAfter < 0 {
		f.add("BreakAfter", "is %d; allowed: 1 or more, 0 for never", r.breakAfter)
	}
	f.notNegative("InitialDelay", r.initialDelay)
	if r.kind >= numKinds {
		f.add("Kind", "is %d; allowed: Readiness, Liveness, Startup", r.kind)
	}
	if err := r.policy.Validate(); err != nil {
		f.errs = append(f.errs, err)
	}
	if r.onFail >= numOnFail {
		f.add("OnFail", "is %d; allowed: Fail, Degrade, Ignore", r.onFail)
	}
}

// again returns how long to wait for the next run, from the last one's start.
func (r *rules) again(doubt bool) time.Duration {
	if !doubt {
		return r.every
	}
	return min(r.every, max(time.Second, r.every/5))
}

// maxShared bounds the rules that are kept to be shared.
const maxShared = 64

// sharedRules are those that some check has.
type sharedRules map[rules]*rules

func (s sharedRules) get(r rules) *rules {
	if shared := s[r]; shared != nil {
		return shared
	}
	if len(s) >= maxShared {
		clear(s)
	}
	s[r] = &r
	return &r
}
