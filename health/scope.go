package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Scope says whom an override is for: one instance, a service, or all that a
// selector by service, zone and labels matches. Everything that is given must
// match. It can be compared, and the zero value is for nobody.
type Scope struct {
	Service  string
	Instance string // only with Service alone
	Zone     string
	labels   string // key=value, sorted, with commas between
}

// ScopeOf returns the scope of an instance, or of a service.
func ScopeOf(id ID) Scope { return Scope{Service: id.Service, Instance: id.Instance} }

// WithLabels returns s for those only that carry all of these labels. Neither
// keys nor values may have a comma in them, nor keys an equals sign.
func (s Scope) WithLabels(labels map[string]string) Scope {
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	s.labels = strings.Join(pairs, ",")
	return s
}

// Labels returns the labels one must carry.
func (s Scope) Labels() map[string]string {
	labels := map[string]string{}
	for _, l := range s.pairs() {
		labels[l.key] = l.value
	}
	return labels
}

// The keys of a selector.
const (
	scopeService = "service="
	scopeZone    = "zone="
	scopeLabel   = "label."
)

// selector reports whether s is neither an instance nor a service.
func (s Scope) selector() bool { return s.Zone != "" || s.labels != "" }

// String returns "service/instance", "service", or a selector such as
// "service=payments,zone=eu-1,label.team=core".
func (s Scope) String() string {
	if !s.selector() {
		return ID{s.Service, s.Instance}.String()
	}
	var parts []string
	if s.Service != "" {
		parts = append(parts, scopeService+s.Service)
	}
	if s.Zone != "" {
		parts = append(parts, scopeZone+s.Zone)
	}
	if s.labels != "" {
		for pair := range strings.SplitSeq(s.labels, ",") {
			parts = append(parts, scopeLabel+pair)
		}
	}
	return strings.Join(parts, ",")
}

// ParseScope reads what String returns. Of the names it checks only that they
// are there.
func ParseScope(text string) (Scope, error) {
	if !strings.Contains(text, "=") {
		return ScopeOf(ParseID(text)), nil
	}
	var s Scope
	labels := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if err := s.parsePart(part, labels); err != nil {
			return Scope{}, err
		}
	}
	return s.WithLabels(labels), nil
}

func (s *Scope) parsePart(part string, labels map[string]string) error {
	for prefix, field := range map[string]*string{scopeService: &s.Service, scopeZone: &s.Zone} {
		if value, ok := strings.CutPrefix(part, prefix); ok {
			return setOnce(field, part, value)
		}
	}
	label, ok := strings.CutPrefix(part, scopeLabel)
	key, value, paired := strings.Cut(label, "=")
	if !ok || !paired || key == "" {
		return fmt.Errorf("%q selects nothing; allowed: service=S, zone=Z, label.KEY=VALUE", part)
	}
	if _, twice := labels[key]; twice {
		return fmt.Errorf("label %q is there twice", key)
	}
	labels[key] = value
	return nil
}

func setOnce(field *string, part, value string) error {
	if value == "" || *field != "" {
		return fmt.Errorf("%q is empty, or there twice; allowed: one name", part)
	}
	*field = value
	return nil
}

// Key returns s as an ID, in a form no instance has: so that what is kept by ID
// can keep scopes too.
func (s Scope) Key() ID {
	if s.selector() {
		return ID{Instance: s.String()}
	}
	return ID{s.Service, s.Instance}
}

// ScopeOfKey returns the scope whose Key this is.
func ScopeOfKey(key ID) (Scope, error) {
	if key.Service != "" {
		return ScopeOf(key), nil
	}
	return ParseScope(key.Instance)
}

// Matches reports whether an instance is in s.
func (s Scope) Matches(id ID, zone string, labels map[string]string) bool {
	return s.matchesName(id, zone) && carries(labels, s.pairs())
}

func (s Scope) matchesName(id ID, zone string) bool {
	return s != (Scope{}) && (s.Service == "" || s.Service == id.Service) && (s.Instance == "" || s.Instance == id.Instance) &&
		(s.Zone == "" || s.Zone == zone)
}

// label is one that must be carried.
type label struct{ key, value string }

func (s Scope) pairs() (all []label) {
	for pair := range strings.SplitSeq(s.labels, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			all = append(all, label{key, value})
		}
	}
	return all
}

func carries(labels map[string]string, all []label) bool {
	for _, l := range all {
		if got, ok := labels[l.key]; !ok || got != l.value {
			return false
		}
	}
	return true
}

// narrower reports whether s says more about whom it is for than other: what is
// said of an instance goes before what is said of its service, that before
// labels, and those before its zone.
func (s Scope) narrower(other Scope) bool { return s.rank() > other.rank() }

func (s Scope) rank() int {
	rank := 0
	for i, given := range []bool{s.Zone != "", s.labels != "", s.Service != "", s.Instance != ""} {
		if given {
			rank |= 1 << i
		}
	}
	return rank
}
