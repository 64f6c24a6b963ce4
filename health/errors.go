package health

import (
	"fmt"
	"strings"
)

// warning wraps an error that counts as a warning and not as a failure.
type warning struct{ err error }

func (w *warning) Error() string { return w.err.Error() }
func (w *warning) Unwrap() error { return w.err }

// Warning marks err as a warning. A check that only returns warnings becomes DEGRADED, but
// not NOT_SERVING. Warning returns nil if err is nil.
func Warning(err error) error {
	if err == nil {
		return nil
	}
	return &warning{err: err}
}

// Warnf returns Warning(fmt.Errorf(format, args...)).
func Warnf(format string, args ...any) error { return Warning(fmt.Errorf(format, args...)) }

// IsWarning reports whether err is a warning, or wraps one. Warnings are made by Warning and
// Warnf. An error that joins several errors is a warning if each of them is a warning.
func IsWarning(err error) bool {
	for err != nil {
		switch e := err.(type) {
		case *warning:
			return true
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return allWarnings(e.Unwrap())
		default:
			return false
		}
	}
	return false
}

// allWarnings reports whether all joined errors are warnings. Errors that are nil are
// ignored. The result is false if all errors are nil.
func allWarnings(joined []error) bool {
	warnings := 0
	for _, part := range joined {
		switch {
		case part == nil:
		case IsWarning(part):
			warnings++
		default:
			return false
		}
	}
	return warnings > 0
}

// annotated is an error with an attribute that With has added, or with a hint that Hint has
// added.
type annotated struct {
	err       error
	key, hint string
	value     any
}

func (e *annotated) Error() string { return e.err.Error() }
func (e *annotated) Unwrap() error { return e.err }

// With adds an attribute to err, such as the key "host" with the value "db-1". The text that
// [Describe] returns contains the attribute. Logs and callers that may see reasons show this
// text. The method Error of err still returns the same text. With returns nil if err is nil.
func With(err error, key string, value any) error {
	if err == nil {
		return nil
	}
	return &annotated{err: err, key: key, value: value}
}

// Hint adds to err a text that says what a person can do about err. The text that [Describe]
// returns contains the hint. The method Error of err still returns the same text. Hint
// returns nil if err is nil.
func Hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &annotated{err: err, hint: hint}
}

// Describe returns the text of err with its attributes and hints. For joined errors, it
// returns their descriptions one after the other. It returns "" if err is nil.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	var attributes, hints []string
	for e := err; e != nil; {
		if x, ok := e.(*annotated); ok {
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
			return withNotes(describeJoined(err, x.Unwrap()), attributes, hints)
		default:
			e = nil
		}
	}
	return withNotes(err.Error(), attributes, hints)
}

// describeJoined describes err, which joins several errors. It searches the text of err for
// the texts of the joined errors, one per line. It replaces these lines by the descriptions
// of the joined errors. If it does not find the lines, it returns the text of err unchanged.
func describeJoined(err error, joined []error) string {
	var plain, described []string
	for _, e := range joined {
		if e != nil {
			plain, described = append(plain, e.Error()), append(described, Describe(e))
		}
	}
	lines := strings.Join(plain, "\n")
	before, after, found := strings.Cut(err.Error(), lines)
	if !found || lines == "" {
		return err.Error()
	}
	return before + strings.Join(described, "; ") + after
}

// withNotes appends attributes and hints in brackets to a text.
func withNotes(text string, attributes, hints []string) string {
	notes := hints
	if len(attributes) > 0 {
		notes = append([]string{strings.Join(attributes, ", ")}, hints...)
	}
	if len(notes) == 0 {
		return text
	}
	return text + " (" + strings.Join(notes, "; ") + ")"
}
