package access

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

// Rights is what one identity may do under one policy. It is immutable.
type Rights struct {
	identity  string
	rules     []*Rule // rules that include the identity, in the order of the policy
	verbs     [numVerbs]node
	instances int
	admin     *Rule // the first rule that allows VerbAdmin, or nil
}

// node is a place in a tree of patterns. Each level of the tree is one segment.
type node struct {
	next map[string]*node // by segment, also for *
	here []grant          // grants with a pattern that ends here
	rest []grant          // grants with a pattern that ends here with *, which matches one or more segments
}

// grant is what one rule allows on the services that a pattern matches.
type grant struct {
	rule     *Rule
	detail   Detail        // for VerbRead
	longest  time.Duration // for VerbOverride
	register *Register     // for VerbRegister
	placed   Placement     // for VerbRegister: what register says about the endpoint in question
}

func (n *node) add(patterns []string, g grant) {
	for _, p := range patterns {
		at := n
		for {
			segment, rest, more := cut(p, '.')
			if segment == wildcard && !more {
				at.rest = with(at.rest, g)
				break
			}
			if at.next == nil {
				at.next = map[string]*node{}
			}
			if at.next[segment] == nil {
				at.next[segment] = &node{}
			}
			at = at.next[segment]
			if !more {
				at.here = with(at.here, g)
				break
			}
			p = rest
		}
	}
}

// with adds a grant to those of one pattern. Grants for VerbRegister all count, because each has its own
// addresses. Of others only the best one does.
func with(list []grant, g grant) []grant {
	switch {
	case len(list) == 0 || g.register != nil:
		return append(list, g)
	case g.detail > list[0].detail || g.longest > list[0].longest:
		return []grant{g}
	}
	return list
}

// visit passes the grants whose patterns match a service to f, until f needs no more. It visits each node
// at most once, so that the time does not depend on the number of segments of the service.
func (n *node) visit(service string, f *finder) bool {
	if !f.take(n.rest) {
		return false
	}
	segment, rest, more := cut(service, '.')
	for _, next := range [...]*node{n.next[segment], n.next[wildcard]} {
		switch {
		case next == nil || segment == "":
		case more && !next.visit(rest, f):
			return false
		case !more && !f.take(next.here):
			return false
		}
	}
	return true
}

// finder finds the best of the grants that match.
type finder struct {
	verb     Verb
	register *Endpoint  // the endpoint in question, for VerbRegister; nil if any will do
	describe *describer // if it is not nil, it collects the texts of all grants instead
	best     grant      // the best grant so far; its rule is nil if there is none
}

// take looks at grants. It returns false if no other grant can be better.
func (f *finder) take(grants []grant) bool {
	for i := range grants {
		g := &grants[i]
		switch {
		case f.describe != nil:
			f.describe.add(g.register)
		case f.register != nil:
			if placed := g.register.place(f.register); placed > f.best.placed {
				f.best = *g
				f.best.placed = placed
			}
		case f.best.rule == nil || g.detail > f.best.detail || g.longest > f.best.longest:
			f.best = *g
		}
	}
	switch {
	case f.verb == VerbRead:
		return f.best.detail < Evidence
	case f.verb == VerbOverride:
		return true
	case f.register != nil:
		return f.best.placed < PlacedAtPeer
	}
	return f.best.rule == nil
}

func (r *Rights) find(f *finder, name Name) {
	service, all := name.service()
	tree := &r.verbs[f.verb]
	if all {
		f.take(tree.rest)
		return
	}
	tree.visit(service, f)
}

// Identity returns the identity whose rights these are. It is empty for a caller without one.
func (r *Rights) Identity() string { return r.identity }

// Instances returns how many instances the identity may have registered at the same time.
func (r *Rights) Instances() int { return r.instances }

// Equal reports whether other is the same identity with the same rights.
func (r *Rights) Equal(other *Rights) bool {
	return r == other || r.identity == other.identity && reflect.DeepEqual(r.rules, other.rules)
}

// Detail returns how much of the state of a name may be read. For the coordinator itself the result is
// at least Status.
func (r *Rights) Detail(name Name) Detail {
	d, _ := r.Read(name)
	return d
}

// Read returns the same as Detail, and the name of the rule that allows it.
func (r *Rights) Read(name Name) (Detail, string) {
	f := finder{verb: VerbRead}
	r.find(&f, name)
	if f.best.rule != nil {
		return f.best.detail, f.best.rule.Name
	}
	if name == (Name{}) {
		return Status, ""
	}
	return Hidden, ""
}

// Shown says what of the state of a name a caller sees.
type Shown struct {
	Detail Detail
	// Routes means that the addresses for traffic are shown too. It is always true with Evidence.
	Routes bool
}

// The Shown of callers that may see nothing but statuses, also reasons, or everything.
var (
	StatusShown   = Shown{Detail: Status}
	ReasonShown   = Shown{Detail: Reason}
	EvidenceShown = Shown{Detail: Evidence, Routes: true}
)

// Shows returns what of the state of a name may be read.
func (r *Rights) Shows(name Name) Shown {
	s := Shown{Detail: r.Detail(name)}
	switch s.Detail {
	case Hidden:
	case Evidence:
		s.Routes = true
	default:
		if n := &r.verbs[VerbRoute]; n.next != nil || n.rest != nil {
			_, s.Routes = r.Allows(VerbRoute, name)
		}
	}
	return s
}

// ReadsAll reports whether every name may be read, whatever it is.
func (r *Rights) ReadsAll() bool { return r.Detail(Everything) > Hidden }

// Reads reports whether the identity may read the state of a service.
func (r *Rights) Reads(service string) bool {
	return r.Detail(Of(health.ID{Service: service})) > Hidden
}

// HasEvidence reports whether the evidence of any service may be read.
func (r *Rights) HasEvidence() bool {
	return slices.ContainsFunc(r.rules, func(rule *Rule) bool { return rule.Read != nil && rule.Read.Detail == Evidence })
}

// Allows reports whether the verb may be used on the name, and the name of a rule that allows it. For
// VerbRegister the address is checked by MayRegister.
func (r *Rights) Allows(verb Verb, name Name) (rule string, allowed bool) {
	if verb == VerbAdmin {
		if r.admin == nil {
			return "", false
		}
		return r.admin.Name, true
	}
	f := finder{verb: verb}
	r.find(&f, name)
	if f.best.rule == nil {
		return "", false
	}
	return f.best.rule.Name, true
}

// ReportsOthers reports whether the identity may report the status of instances of a name that other identities have
// registered. Otherwise VerbReport is only for its own, and for those that were registered without an identity.
func (r *Rights) ReportsOthers(name Name) bool {
	_, allowed := r.Allows(verbReportOthers, name)
	return allowed
}

// LongestOverride returns how long an override of a name may last; 0 means that none may be set.
func (r *Rights) LongestOverride(name Name) time.Duration {
	f := finder{verb: VerbOverride}
	r.find(&f, name)
	return f.best.longest
}

// Check returns an error that wraps [domain.ErrNotAllowed] if the verb may not be used on the name. The
// error says what is missing.
func (r *Rights) Check(verb Verb, name Name) error {
	if _, ok := r.Allows(verb, name); ok {
		return nil
	}
	return r.refusal(verb.Action(name))
}

// CheckAny returns an error that wraps [domain.ErrNotAllowed] if the verb may not be used on any service.
func (r *Rights) CheckAny(verb Verb) error {
	if n := &r.verbs[verb]; n.next == nil && n.rest == nil {
		return r.refusal(verb.Action(Name{Selector: "any service"}))
	}
	return nil
}

// CheckDetail returns an error that wraps [domain.ErrNotFound] if a name may not be read at all. It returns
// one that wraps [domain.ErrNotAllowed] if it may be read, but not with this detail.
func (r *Rights) CheckDetail(name Name, least Detail) error {
	switch d := r.Detail(name); {
	case d >= least:
		return nil
	case d == Hidden && !name.isGeneral():
		return fmt.Errorf("service %q: %w", name.String(), domain.ErrNotFound)
	}
	return r.refusal(fmt.Sprintf("read %v with detail: %v", name, least))
}

// isGeneral reports whether the name exists in every mesh, so that a refusal tells nothing.
func (n Name) isGeneral() bool { return n == Name{} || n == Everything }

func (r *Rights) refusal(action string) error {
	return fmt.Errorf("%w: %s may not %s; allowed: what a rule of the access policy says", domain.ErrNotAllowed, r.who(), action)
}

// who returns the identity in words.
func (r *Rights) who() string {
	if r.identity == "" {
		return "a caller without an identity"
	}
	return r.identity
}
