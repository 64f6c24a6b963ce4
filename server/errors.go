package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// MaxChecks is the largest number of checks of one server. The gRPC health services show at
// most 128 checks, and prefer checks that are not SERVING.
const MaxChecks = 200_000

// Errors that callers can find with errors.Is.
var (
	// ErrCheckExists means that the server has a check of this name already.
	ErrCheckExists = errors.New("there is a check of this name already")
	// ErrTooManyChecks means that the server would have more than MaxChecks checks.
	ErrTooManyChecks = fmt.Errorf("there are too many checks; allowed: at most %d", MaxChecks)
	// ErrNoCheck means that the server has no check of this name.
	ErrNoCheck = errors.New("there is no check of this name")
	// ErrLeaving means that Drain was called or that Run has ended. Neither can be undone.
	ErrLeaving = errors.New("the server is leaving: Drain was called, or Run has ended")
	// ErrRanTwice means that Run was called a second time.
	ErrRanTwice = errors.New("Run was called twice")
	// ErrStuck means that some checks have not returned, although the time of their runs
	// has ended. The goroutines of these checks still run.
	ErrStuck = errors.New("has not returned")
)

// checkError returns err with the name of the check to which it belongs.
func checkError(name string, err error) error {
	return fmt.Errorf("server.Check %q: %w", wire.CleanTo(name, wire.MaxName), err)
}

// fieldErrors collects all errors of a configuration.
type fieldErrors struct{ fields.Errors }

func (f *fieldErrors) checkNotNegative(field string, d time.Duration) {
	if d < 0 {
		f.Addf(field, "is %v; allowed: 0 or more", d)
	}
	f.checkNotTooLong(field, d)
}

func (f *fieldErrors) checkNotTooLong(field string, d time.Duration) {
	if d > health.MaxCheckTime {
		f.Addf(field, "is %v; allowed: at most %v", d, health.MaxCheckTime)
	}
}

// checkLimit adds an error if n is negative. 0 is allowed and selects the default.
func (f *fieldErrors) checkLimit(field string, n int) {
	if n < 0 {
		f.Addf(field, "is %d; allowed: 1 or more, 0 for the default", n)
	}
}
