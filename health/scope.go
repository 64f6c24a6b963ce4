package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/internal/quoted"
)

// Scope is the set of instances to which an override applies: one instance, the instances
// of a service, or the instances that a selector matches. A selector has a service, a zone
// and labels, of which some may be empty. All parts that are not empty must match. A Scope
// is comparable. The zero value matches no instance.
type Scope struct {
	Service  string
	Instance string // if Instance is set, Service is set too, and Zone and labels are empty
	Zone     string
	labels   string // pairs key=value, sorted and separated by commas; package quoted has the form of a value
}

// ScopeOf returns the scope of one instance, or of a service if Instance is empty.
func ScopeOf(id ID) Scope { return Scope{Service: id.Service, Instance: id.Instance} }

// ID returns the instance or the service of s. It returns the zero value for a selector.
func (s Scope) ID() ID {
	if s.Selector() {
		return ID{}
	}
	return ID{s.Service, s.Instance}
}

// WithLabels returns s with labels that an instance must have. A key must not contain a
// comma or an equals sign.
func (s Scope) WithLabels(labels map[string]string) Scope {
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+quoted.Text(labels[key]))
	}
	s.labels = strings.Join(pairs, ",")
	return s
}

// Labels returns the labels that an instance must have.
func (s Scope) Labels() map[string]string {
	labels := map[string]string{}
	pairs, _ := splitScope(s.labels) // no error is possible, because WithLabels has written the text
	for _, pair := range pairs {
		if key, value, ok := strings.Cut(pair, "="); ok {
			labels[key] = quoted.Value(value)
		}
	}
	return labels
}

// The keys that come before the values in the text of a selector.
const (
	scopeService = "service="
	scopeZone    = "zone="
	scopeLabel   = "label."
)

// Selector reports whether s selects instances by a zone or by labels.
func (s Scope) Selector() bool { return s.Zone != "" || s.labels != "" }

// String returns "service/instance", "service", or a selector such as
// "service=payments,zone=eu-1,label.team=core". A value with a comma has double quotes:
// label.team="core,web".
func (s Scope) String() string {
	if !s.Selector() {
		return s.ID().String()
	}
	var parts []string
	if s.Service != "" {
		parts = append(parts, scopeService+s.Service)
	}
	if s.Zone != "" {
		parts = append(parts, scopeZone+s.Zone)
	}
	if s.labels != "" {
		pairs, _ := splitScope(s.labels)
		for _, pair := range pairs {
			parts = append(parts, scopeLabel+pair)
		}
	}
	return strings.Join(parts, ",")
}

// ParseScope parses a text that String has returned. It checks that no name is empty, but
// does not check the form of the names.
func ParseScope(text string) (Scope, error) {
	if !strings.Contains(text, "=") {
		return ScopeOf(ParseID(text)), nil
	}
	var s Scope
	labels := map[string]string{}
	parts, err := splitScope(text)
	if err != nil {
		return Scope{}, err
	}
	for _, part := range parts {
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
		return fmt.Errorf("%q selects nothing; allowed: service=S, zone=Z, label.KEY=VALUE, or label.KEY=\"V,W\" for a value with commas", part)
	}
	if _, twice := labels[key]; twice {
		return fmt.Errorf("label %q is there twice", key)
	}
	labels[key] = quoted.Value(value)
	return nil
}

// splitScope splits a text at commas that are not in quotes.
func splitScope(text string) (parts []string, err error) {
	for {
		end := strings.IndexByte(text, ',')
		if key := strings.IndexByte(text, '='); key >= 0 && (end < 0 || key < end) && strings.HasPrefix(text[key+1:], `"`) {
			if end = key + 2 + quoted.Len(text[key+2:]); end > len(text) || end < len(text) && text[end] != ',' {
				return nil, fmt.Errorf(`%q: the quotes of a value are not closed before a comma or the end; allowed: label.KEY="VALUE"`, text)
			}
		}
		if end < 0 || end == len(text) {
			return append(parts, text), nil
		}
		parts, text = append(parts, text[:end]), text[end+1:]
	}
}

func setOnce(field *string, part, value string) error {
	if value == "" || *field != "" {
		return fmt.Errorf("%q is empty, or there twice; allowed: one name", part)
	}
	*field = value
	return nil
}

// Matches reports whether s matches an instance.
func (s Scope) Matches(id ID, zone string, labels map[string]string) bool {
	return s.Matcher()(id, zone, labels)
}

// Matcher returns a function that works like Matches. It is faster for many calls, because
// the labels are parsed once. The function may be called concurrently.
func (s Scope) Matcher() func(id ID, zone string, labels map[string]string) bool {
	wanted := s.Labels()
	return func(id ID, zone string, labels map[string]string) bool {
		return s != (Scope{}) && (s.Service == "" || s.Service == id.Service) && (s.Instance == "" || s.Instance == id.Instance) &&
			(s.Zone == "" || s.Zone == zone) && carries(labels, wanted)
	}
}

// carries reports whether labels contain each key of wanted with the same value.
func carries(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// Narrower reports whether s is narrower than the scope other. If two overrides match an
// instance, the one with the narrower scope applies. A scope with an instance is the
// narrowest. Next are scopes with a service, then scopes with labels, and last scopes with a
// zone.
func (s Scope) Narrower(other Scope) bool { return s.rank() > other.rank() }

// rank returns a number that is higher for a narrower scope. It has one bit for each part of s
// that is set. From the highest bit: instance, service, labels, zone.
func (s Scope) rank() int {
	rank := 0
	for i, given := range []bool{s.Zone != "", s.labels != "", s.Service != "", s.Instance != ""} {
		if given {
			rank |= 1 << i
		}
	}
	return rank
}
