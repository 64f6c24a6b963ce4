package follow

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
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/fields"
)

// The defaults and bounds of RetryRule.
const (
	DefaultRetryAttempts = 3
	MaxRetryAttempts     = 10
	DefaultRetryBase     = time.Second
	LeastRetryBase       = 10 * time.Millisecond
	DefaultRetryCap      = 15 * time.Second
)

// RetryRule says how a call is repeated after the target has turned it away. A target turns a
// call away by UNAVAILABLE on a connection that has not broken, or by RESOURCE_EXHAUSTED with
// RetryInfo. No further attempt begins when half of the poll interval, or half of the timeout of
// a Check, has passed since the first attempt began.
type RetryRule struct {
	// Attempts is the largest number of attempts of one call, at most 10. 0 means 3. 1 means that
	// the call is not repeated.
	Attempts int
	// Base is the longest pause before the second attempt. It must be at least 10 ms. The
	// longest pause doubles with each further attempt, up to Cap. Each pause is random,
	// from 0 to the longest pause. Base 0 means 1 s, and Cap 0 means 15 s.
	Base, Cap time.Duration
}

// Retry holds the rules for the methods whose calls may be repeated. The embedded RetryRule is the
// rule for all these methods. Methods holds rules for single methods by their names, see
// RetryMethods. If a field of a rule in Methods is zero, the field of the embedded rule is used.
// Base is decreased, or Cap is increased, if Base would be more than Cap. The zero value of
// Retry means the defaults.
type Retry struct {
	RetryRule
	Methods map[string]RetryRule
}

// RetryMethods returns the full names of the methods whose calls may be repeated: the
// unary methods without side effects. A Watch is not repeated by a RetryRule, because the follower
// opens the next Watch.
func RetryMethods() []string {
	return []string{
		strings.TrimPrefix(healthpb.Health_Check_FullMethodName, "/"),
		strings.TrimPrefix(pb.HealthService_Check_FullMethodName, "/"),
	}
}

// CheckRetryMethod returns an error if the calls of a method may not be repeated. The
// error lists the methods that are allowed.
func CheckRetryMethod(name string) error {
	if !slices.Contains(RetryMethods(), name) {
		return fmt.Errorf("%q is no method that may be called again; allowed: %s", name, strings.Join(RetryMethods(), ", "))
	}
	return nil
}

// Validate returns all errors in the rules, each with the name of its field.
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
	var errs fields.Errors
	if r.Attempts < 0 || r.Attempts > MaxRetryAttempts {
		errs.Addf(prefix+"Attempts", "is %d; allowed: 1 to %d, 0 for the default", r.Attempts, MaxRetryAttempts)
	}
	if r.Base != 0 && r.Base < LeastRetryBase {
		errs.Addf(prefix+"Base", "is %v; allowed: %v or more, 0 for the default", r.Base, LeastRetryBase)
	}
	if r.Cap < 0 || r.Cap != 0 && r.Cap < r.Base {
		errs.Addf(prefix+"Cap", "is %v; allowed: Base, %v, or more, 0 for the default", r.Cap, cmp.Or(max(0, r.Base), DefaultRetryBase))
	}
	for field, d := range map[string]time.Duration{"Base": r.Base, "Cap": r.Cap} {
		if d > health.MaxDuration {
			errs.Addf(prefix+field, "is %v; allowed: at most %v", d, health.MaxDuration)
		}
	}
	return errs.Join()
}

// withDefaults returns r, in which each zero field has the value of the rule other. If the
// field of other is zero too, the default is used. If r has only one of Base and Cap, the
// missing value is adapted so that Base is at most Cap.
func (r RetryRule) withDefaults(other RetryRule) RetryRule {
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

// maxPause returns the longest pause before the next attempt. repeated is the number of
// attempts that were made after the first one.
func (r RetryRule) maxPause(repeated int) time.Duration {
	return delay.Doubled(r.Base, repeated, r.Cap)
}

// byMethod returns the rule for each method, with defaults in place of zero fields. The keys are
// full method names that begin with a slash.
func (r *Retry) byMethod() map[string]RetryRule {
	rules := map[string]RetryRule{}
	for _, name := range RetryMethods() {
		rules["/"+name] = r.Methods[name].withDefaults(r.RetryRule.withDefaults(RetryRule{}))
	}
	return rules
}
