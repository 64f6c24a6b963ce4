package selector

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/quoted"
)

// The bounds of a filter.
const (
	maxBytes      = 4096
	maxConditions = 64
)

// allowed lists the conditions. It is used in error texts.
const allowed = `service=S, zone=Z, label.KEY=VALUE, version=V, status=A|B, cause=C, root=S, unconfirmed, or a part of a name; ! before a condition negates it; a value with a comma stands in double quotes`

// Parse parses a filter. A filter of spaces only has no condition and matches every entry.
func Parse(text string) (Selector, error) {
	if len(text) > maxBytes {
		return Selector{}, fmt.Errorf("is %d bytes long; allowed: %d", len(text), maxBytes)
	}
	if strings.TrimSpace(text) == "" {
		return Selector{}, nil
	}
	parts, err := split(text)
	if err != nil {
		return Selector{}, err
	}
	if len(parts) > maxConditions {
		return Selector{}, fmt.Errorf("has %d conditions; allowed: %d", len(parts), maxConditions)
	}
	var s Selector
	for _, part := range parts {
		c, err := parseCondition(part)
		if err == nil && s.repeats(&c) {
			err = fmt.Errorf("is there twice with different values, so that nothing can match; allowed: one value")
		}
		if err != nil {
			return Selector{}, fmt.Errorf("condition %q: %w", part, err)
		}
		s.conditions = append(s.conditions, c)
	}
	return s, nil
}

// repeats reports whether s already compares the same property with another value, so that no
// entry can match both conditions.
func (s *Selector) repeats(c *condition) bool {
	for i := range s.conditions {
		other := &s.conditions[i]
		if c.key == keyName || c.key == keyStatus || c.negated || other.negated || other.key != c.key || other.label != c.label {
			continue
		}
		if other.value != c.value {
			return true
		}
	}
	return false
}

// parseCondition parses one condition without spaces around it.
func parseCondition(text string) (condition, error) {
	var c condition
	rest := text
	if after, ok := strings.CutPrefix(rest, "!"); ok {
		c.negated, rest = true, strings.TrimSpace(after)
	}
	key, value, compares := strings.Cut(rest, "=")
	if !compares {
		return parseWord(c, rest)
	}
	value = quoted.Value(value)
	if label, ok := strings.CutPrefix(key, keyLabel+"."); ok {
		if label == "" {
			return c, fmt.Errorf("is a label without a key; allowed: label.KEY=VALUE")
		}
		c.key, c.label, c.value = keyLabel, label, value
		return c, nil
	}
	switch key {
	case keyService, keyZone, keyVersion, keyStatus, keyCause, keyRoot:
	default:
		return c, fmt.Errorf("is unknown; allowed: %s", allowed)
	}
	if value == "" {
		return c, fmt.Errorf("is without a value; allowed: %s=VALUE", key)
	}
	c.key, c.value = key, value
	return c, c.parseValue()
}

// parseWord parses a condition without an equals sign.
func parseWord(c condition, word string) (condition, error) {
	switch {
	case word == "":
		return c, fmt.Errorf("is empty; allowed: %s", allowed)
	case word == keyUnconfirmed:
		c.key = keyUnconfirmed
	default:
		c.key, c.value = keyName, word
	}
	return c, nil
}

// parseValue parses the value of a condition whose values are from a closed set.
func (c *condition) parseValue() error {
	switch c.key {
	case keyStatus:
		for word := range strings.SplitSeq(c.value, "|") {
			status, known := health.ParseStatus(strings.ToUpper(strings.TrimSpace(word)))
			if !known {
				return fmt.Errorf("is no status; allowed: %s, or several with | between", statusNames())
			}
			c.statuses = append(c.statuses, status)
		}
		c.value = ""
	case keyCause:
		cause, known := health.ParseCause(c.value)
		if !known {
			return fmt.Errorf("is no cause; allowed: %s", causeNames())
		}
		c.cause = cause
	}
	return nil
}

func statusNames() string {
	var names []string
	for _, s := range health.Statuses() {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

func causeNames() string {
	var names []string
	for c := health.CauseOK; c < health.NumCauses; c++ {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

// split splits a text at commas that are not in quotes, and removes the spaces around each part.
func split(text string) (parts []string, err error) {
	for {
		end := strings.IndexByte(text, ',')
		if key := strings.IndexByte(text, '='); key >= 0 && (end < 0 || key < end) && strings.HasPrefix(text[key+1:], `"`) {
			end = key + 2 + quoted.Len(text[key+2:])
			if end > len(text) {
				return nil, fmt.Errorf(`condition %q: is a value whose quotes are not closed; allowed: KEY="VALUE"`, strings.TrimSpace(text))
			}
			after := strings.TrimLeftFunc(text[end:], unicode.IsSpace)
			if after != "" && after[0] != ',' {
				return nil, fmt.Errorf(`condition %q: is a value with text after its quotes; allowed: KEY="VALUE"`, strings.TrimSpace(text))
			}
			end = len(text) - len(after)
		}
		if end < 0 || end == len(text) {
			return append(parts, strings.TrimSpace(text)), nil
		}
		parts, text = append(parts, strings.TrimSpace(text[:end])), text[end+1:]
	}
}
