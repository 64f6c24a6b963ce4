package health

import "fmt"

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
// marked by Degrade or Warnf anywhere in its chain warns, any other fails. Of
// joined errors the worst counts.
func EvidenceOf(err error) Evidence {
	if err == nil {
		return Pass
	}
	for err != nil {
		switch e := err.(type) {
		case *warning:
			return Warn
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return worstPart(e.Unwrap())
		default:
			return Fail
		}
	}
	return Fail
}

func worstPart(parts []error) Evidence {
	if len(parts) == 0 {
		return Fail
	}
	worst := Pass
	for _, part := range parts {
		worst = max(worst, EvidenceOf(part))
	}
	return worst
}
