package access

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

// Principal describes a caller with the facts that the transport and the configuration give.
// The zero value is an unknown caller.
type Principal struct {
	// Identity is the first URI of the caller's verified certificate. If the certificate has
	// no URI, Identity is its subject. It is empty for a caller without a verified
	// certificate.
	Identity string
	// Trusted is true if the certificate of the caller was verified, or if the configuration
	// trusts every caller.
	Trusted bool
}

// Verb is a kind of action that a caller can request.
type Verb uint8

// The verbs.
const (
	// Read reads the current state of a name.
	Read Verb = iota
	// Scrape reads the metrics of a name.
	Scrape
	// Describe lists the services and methods of the API.
	Describe
	// Inspect reads the history of a name, its overrides and the explanation of its state.
	Inspect
	// Register registers an instance, renews its lease, reports for it or deregisters it.
	Register
	// Override sets or clears an override.
	Override
	// Locate reads where the instances of a name receive traffic.
	Locate
)

var verbTexts = [...]string{
	Read:     "read the state of",
	Scrape:   "read the metrics of",
	Describe: "list the services of",
	Inspect:  "read the history and state of",
	Register: "register",
	Override: "override",
	Locate:   "see the addresses of",
}

// String returns the verb in the words that the text of a refusal contains.
func (v Verb) String() string { return verbTexts[v] }

// Name is the object of a request: an instance, an aggregate or the selector of an override.
// The zero value is the coordinator itself.
type Name struct {
	// ID is the name of an instance or an aggregate. If the field Selector is set, ID has only
	// the service of the selector, which may be empty.
	ID health.ID
	// Selector is the text of an override's scope that has a zone or labels. It is empty for
	// an instance or an aggregate.
	Selector string
}

// Of returns the Name for an instance or an aggregate.
func Of(id health.ID) Name { return Name{ID: id} }

// OfScope returns the Name for the scope of an override.
func OfScope(s health.Scope) Name {
	if s.Selector() {
		return Name{ID: health.ID{Service: s.Service}, Selector: s.String()}
	}
	return Name{ID: health.ID{Service: s.Service, Instance: s.Instance}}
}

// String returns the name in the words that the text of a refusal contains.
func (n Name) String() string {
	switch {
	case n.Selector != "":
		return n.Selector
	case n.ID == health.ID{}:
		return "the coordinator"
	}
	return n.ID.String()
}

// Detail says how much of a state a caller sees.
type Detail uint8

// The levels of detail.
const (
	// Public shows statuses, causes and times, but no reasons and no addresses.
	Public Detail = iota
	// Full shows everything, also reasons and addresses.
	Full
)

// Decision is the answer of a Policy to a request. The zero value refuses the request.
type Decision struct {
	Allowed bool
	// Detail says how much of a state an allowed caller may read. It has an effect only on the
	// verb Read. For example, an answer to Inspect always contains everything.
	Detail Detail
	// Needs names what a refused caller lacks, such as a certificate. It becomes part of the
	// error text, and may be empty.
	Needs string
}

// Policy decides what a caller may do. Decide is called for each name in a request, and for each
// entry that is sent. Decide must be fast and safe for concurrent use.
type Policy interface {
	Decide(who Principal, verb Verb, name Name) Decision
}

// TrustPolicy is the default policy. Every caller may read current states, metrics and
// the description of the API. A trusted caller may use all verbs and sees full detail.
type TrustPolicy struct{}

// Decide implements Policy.
func (TrustPolicy) Decide(who Principal, verb Verb, _ Name) Decision {
	switch {
	case who.Trusted:
		return Decision{Allowed: true, Detail: Full}
	case verb == Read, verb == Scrape, verb == Describe:
		return Decision{Allowed: true}
	}
	return Decision{Needs: "a client certificate that was verified"}
}

// Caller is a principal together with the policy that decides about it.
type Caller struct {
	Policy    Policy
	Principal Principal
}

// Decide returns the decision of the policy about a request of this caller.
func (c Caller) Decide(verb Verb, name Name) Decision {
	return c.Policy.Decide(c.Principal, verb, name)
}

// May reports whether the policy allows this caller to use the verb on the name.
func (c Caller) May(verb Verb, name Name) bool { return c.Decide(verb, name).Allowed }

// Check returns the level of detail that the caller may read. If the policy refuses, it
// returns an error that wraps [domain.ErrNotAllowed].
func (c Caller) Check(verb Verb, name Name) (Detail, error) {
	d := c.Decide(verb, name)
	switch {
	case d.Allowed:
		return d.Detail, nil
	case d.Needs == "":
		return 0, fmt.Errorf("%w: to %v %v", domain.ErrNotAllowed, verb, name)
	}
	return 0, fmt.Errorf("%w: to %v %v needs %s", domain.ErrNotAllowed, verb, name, d.Needs)
}
