package watch

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// The defaults of RetryRule, and its bounds.
const (
	DefaultRetryAttempts = 3
	MaxRetryAttempts     = 10
	DefaultRetryBase     = time.Second
	LeastRetryBase       = 10 * time.Millisecond
	DefaultRetryCap      = 15 * time.Second
)

// RetryRule says how a call that was turned away (UNAVAILABLE over a connection
// that stands, RESOURCE_EXHAUSTED with RetryInfo) is made again. No attempt
// begins later than half of the poll interval, or of the time a Check is waited
// for: what does not fit is not tried.
type RetryRule struct {
	// Attempts is how often a call is made in all, 10 at most; 0 means 3, 1 that
	// it is not made again.
	Attempts int
	// Base bounds the pause before the second attempt, and twice as much with
	// each that before the next, up to Cap; the pause is anything up to there.
	// 0 means 1 s and 15 s; Base is 10 ms at least.
	Base, Cap time.Duration
}

// Retry is the rule of all calls to targets that may be made again, and those of
// single methods by name (see RetryMethods); their zero fields are as in the
// rule of all, as far as they go together. The zero value is the default.
type Retry struct {
	RetryRule
	Methods map[string]RetryRule
}

// RetryMethods returns the methods that may be made again: unary, and without
// effect. A Watch is not among them: it goes on by a loop of its own.
func RetryMethods() []string {
	return []string{
		strings.TrimPrefix(healthpb.Health_Check_FullMethodName, "/"),
		strings.TrimPrefix(pb.HealthService_Check_FullMethodName, "/"),
	}
}

// CheckRetryMethod returns what is wrong with the name of a method, and what is
// allowed.
func CheckRetryMethod(name string) error {
	if !slices.Contains(RetryMethods(), name) {
		return fmt.Errorf("%q is no method that may be called again; allowed: %s", name, strings.Join(RetryMethods(), ", "))
	}
	return nil
}

// Validate returns everything that is wrong, by field.
func (r *Retry) Validate() error {
	errs := []error{r.RetryRule.validate("")}
	for _, name := range slices.Sorted(maps.Keys(r.Methods)) {
		field := "Methods[" + name + "]"
		if err := CheckRetryMethod(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		errs = append(errs, r.Methods[name].validate(field+"."))
	}
	return errors.Join(errs...)
}

func (r RetryRule) validate(prefix string) error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s%s: "+format, append([]any{prefix, field}, args...)...))
	}
	if r.Attempts < 0 || r.Attempts > MaxRetryAttempts {
		add("Attempts", "is %d; allowed: 1 to %d, 0 for the default", r.Attempts, MaxRetryAttempts)
	}
	if r.Base != 0 && r.Base < LeastRetryBase {
		add("Base", "is %v; allowed: %v or more, 0 for the default", r.Base, LeastRetryBase)
	}
	if r.Cap < 0 || r.Cap != 0 && r.Cap < r.Base {
		add("Cap", "is %v; allowed: Base, %v, or more, 0 for the default", r.Cap, cmp.Or(max(0, r.Base), DefaultRetryBase))
	}
	return errors.Join(errs...)
}

// over fills zero fields in from another rule, or else from the defaults. Of Base
// and Cap, what was not given gives way to what was.
func (r RetryRule) over(other RetryRule) RetryRule {
	base, limit := cmp.Or(other.Base, DefaultRetryBase), cmp.Or(other.Cap, DefaultRetryCap)
	switch {
	case r.Base != 0:
		limit = max(limit, r.Base)
	case r.Cap != 0:
		base = min(base, r.Cap)
	}
	return RetryRule{
		Attempts: cmp.Or(r.Attempts, other.Attempts, DefaultRetryAttempts),
		Base:     cmp.Or(r.Base, base), Cap: cmp.Or(r.Cap, limit),
	}
}

// most is the longest pause after so many attempts were made again.
func (r RetryRule) most(tries int) time.Duration {
	most := r.Base
	for range tries {
		most = min(2*most, r.Cap)
	}
	return min(most, r.Cap)
}

// rules returns one per full method name.
func (r *Retry) rules() map[string]RetryRule {
	rules := map[string]RetryRule{}
	for _, name := range RetryMethods() {
		rules["/"+name] = r.Methods[name].over(r.RetryRule.over(RetryRule{}))
	}
	return rules
}
