package selector

import (
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

// Entry has the properties of one instance or aggregate that conditions look at.
type Entry struct {
	ID health.ID
	// Zone is the zone of an instance. For an aggregate of a zone, the zone of ID counts.
	Zone        string
	Version     string
	Status      health.Status
	Cause       health.Cause
	Root        string
	Unconfirmed bool
	Labels      map[string]string
}

// Selector is a parsed filter. The zero value matches every entry.
type Selector struct {
	conditions []condition
}

// condition is one condition of a filter.
type condition struct {
	key      string // one of the constants below
	label    string // key of the label, if key is keyLabel
	value    string // value that is compared; empty for keyStatus and keyUnconfirmed
	statuses []health.Status
	cause    health.Cause
	negated  bool
}

// The keys of conditions.
const (
	keyService     = "service"
	keyZone        = "zone"
	keyLabel       = "label"
	keyVersion     = "version"
	keyStatus      = "status"
	keyCause       = "cause"
	keyRoot        = "root"
	keyUnconfirmed = "unconfirmed"
	keyName        = "" // a word, which the name must contain
)

// Empty reports whether s has no condition, so that it matches every entry.
func (s Selector) Empty() bool { return len(s.conditions) == 0 }

// Service returns the only service that s can match, or an empty text if there is no such limit.
func (s Selector) Service() string {
	for _, c := range s.conditions {
		if c.key == keyService && !c.negated {
			return c.value
		}
	}
	return ""
}

// Statuses returns the only statuses that s can match, or nil if there is no such limit.
func (s Selector) Statuses() []health.Status {
	for _, c := range s.conditions {
		if c.key == keyStatus && !c.negated {
			return slices.Clone(c.statuses)
		}
	}
	return nil
}

// Matches reports whether all conditions match an entry.
func (s Selector) Matches(e *Entry) bool {
	for i := range s.conditions {
		if c := &s.conditions[i]; c.matches(e) == c.negated {
			return false
		}
	}
	return true
}

// matches reports whether the condition holds for an entry, without its negation.
func (c *condition) matches(e *Entry) bool {
	switch c.key {
	case keyService:
		return e.ID.Service == c.value
	case keyZone:
		return e.zone() == c.value
	case keyLabel:
		value, ok := e.Labels[c.label]
		return ok && value == c.value
	case keyVersion:
		return e.Version == c.value
	case keyStatus:
		return slices.Contains(c.statuses, e.Status)
	case keyCause:
		return e.Cause == c.cause
	case keyRoot:
		return e.Root == c.value
	case keyUnconfirmed:
		return e.Unconfirmed
	}
	return strings.Contains(e.ID.String(), c.value)
}

func (e *Entry) zone() string {
	if zone, ok := e.ID.Zone(); ok {
		return zone
	}
	return e.Zone
}
