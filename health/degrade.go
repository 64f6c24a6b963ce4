package health

import (
	"errors"
	"fmt"
)

// warning is an error that is a warn, not a fail.
type warning struct{ err error }

func (w *warning) Error() string { return w.err.Error() }
func (w *warning) Unwrap() error { return w.err }

// Degrade marks err as a warning: the check that returns it is degraded, not
// failed. Degrade(nil) is nil.
func Degrade(err error) error {
	if err == nil {
		return nil
	}
	return &warning{err: err}
}

// Warnf is Degrade of fmt.Errorf.
func Warnf(format string, args ...any) error { return Degrade(fmt.Errorf(format, args...)) }

// EvidenceOf returns what the result of a check comes to: nil passes, an error
// marked by Degrade or Warnf anywhere in its chain warns, any other fails.
func EvidenceOf(err error) Evidence {
	var w *warning
	switch {
	case err == nil:
		return Pass
	case errors.As(err, &w):
		return Warn
	}
	return Fail
}
