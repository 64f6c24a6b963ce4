package health

import (
	"fmt"
	"strings"
)

// explained is an error with more to tell than its text.
type explained struct {
	err       error
	key, hint string
	value     any
}

func (e *explained) Error() string { return e.err.Error() }
func (e *explained) Unwrap() error { return e.err }

// With adds an attribute to an error, such as "host", "db-1", for who may see
// reasons and for the log. The error's own text stays. With(nil, …) is nil.
func With(err error, key string, value any) error {
	if err == nil {
		return nil
	}
	return &explained{err: err, key: key, value: value}
}

// Hint adds to an error what to do about it. Hint(nil, …) is nil.
func Hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &explained{err: err, hint: hint}
}

// Describe returns the text of an error with its attributes and hints, the parts
// of joined errors one after the other; "" for nil.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	var attributes, hints []string
	for e := err; e != nil; {
		if x, ok := e.(*explained); ok {
			if x.hint != "" {
				hints = append(hints, "hint: "+x.hint)
			} else {
				attributes = append(attributes, fmt.Sprintf("%s=%v", x.key, x.value))
			}
		}
		switch x := e.(type) {
		case interface{ Unwrap() error }:
			e = x.Unwrap()
		case interface{ Unwrap() []error }:
			return together(parts(err, x.Unwrap()), attributes, hints)
		default:
			e = nil
		}
	}
	return together(err.Error(), attributes, hints)
}

// parts describes joined errors. Where their text is not just one after the
// other, it is kept as it is.
func parts(whole error, joined []error) string {
	var plain, described []string
	for _, e := range joined {
		if e != nil {
			plain, described = append(plain, e.Error()), append(described, Describe(e))
		}
	}
	lines := strings.Join(plain, "\n")
	before, after, found := strings.Cut(whole.Error(), lines)
	if !found || lines == "" {
		return whole.Error()
	}
	return before + strings.Join(described, "; ") + after
}

func together(text string, attributes, hints []string) string {
	notes := hints
	if len(attributes) > 0 {
		notes = append([]string{strings.Join(attributes, ", ")}, hints...)
	}
	if len(notes) == 0 {
		return text
	}
	return text + " (" + strings.Join(notes, "; ") + ")"
}
