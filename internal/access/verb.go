package access

import "github.com/meshhealth/meshhealth/health"

// Verb is a kind of action that a caller can request.
type Verb uint8

// The verbs.
const (
	// VerbRegister registers an instance, renews its lease or deregisters it.
	VerbRegister Verb = iota
	// VerbReport reports the status of an instance. VerbRegister includes it for the instances that the same identity
	// has registered, see Rights.ReportsOthers.
	VerbReport
	// VerbRead reads the state of a name.
	VerbRead
	// VerbRoute reads where the instances of a service receive traffic.
	VerbRoute
	// VerbOverride sets or clears an override.
	VerbOverride
	// VerbAdmin manages the coordinator: it deregisters what others registered.
	VerbAdmin
	// verbReportOthers reports the status of an instance that another identity has registered. Only Rule.Report allows
	// it.
	verbReportOthers
	numVerbs
)

var verbTexts = [...]string{"register", "report", "read", "route", "override", "admin", "report for others"}

// String returns the word for v in a policy file.
func (v Verb) String() string { return verbTexts[v] }

// Action returns what somebody does who uses the verb on a name, in words.
func (v Verb) Action(name Name) string {
	switch v {
	case VerbReport:
		return "report the status of " + name.String()
	case VerbRoute:
		return "read the routes of " + name.String()
	case VerbAdmin:
		return "manage the coordinator"
	}
	return v.String() + " " + name.String()
}

// Verbs returns all verbs that a policy file names.
func Verbs() []Verb {
	return []Verb{VerbRegister, VerbReport, VerbRead, VerbRoute, VerbOverride, VerbAdmin}
}

// Name is the object of a request: an instance, an aggregate or the scope of an override.
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

// Everything is the Name of the whole mesh. Only a pattern * allows it.
var Everything = Of(health.ID{Service: health.MeshName})

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

// Service returns the service that decides about the name: [health.MeshName] if only a right for all services does.
func (n Name) Service() string {
	if service, all := n.service(); !all {
		return service
	}
	return health.MeshName
}

// service returns the service that decides about the name. all is true if only a right for all services
// decides: for the coordinator, the mesh, a zone, and a scope without a service.
func (n Name) service() (service string, all bool) {
	s := n.ID.Service
	return s, s == "" || s == health.MeshName
}
