package bolt

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	berrors "go.etcd.io/bbolt/errors"
)

// refusal is a reason why Open does not use a file. The predicate is the end of a sentence that
// begins with "the file". The advice says what the operator can do.
type refusal struct{ predicate, advice string }

// Error implements error.
func (r *refusal) Error() string { return "store: the file " + r.predicate }

// The reasons why Open refuses a file. Open does not change a file that it refuses.
var (
	// ErrNotAFile means that the path names a directory, a device or the like.
	ErrNotAFile error = &refusal{"is not a regular file", "give the path of a file"}
	// ErrNoPlace means that the folder of the file cannot be created, read or written to.
	ErrNoPlace error = &refusal{"cannot be made or reached", "give a folder that this user may write to"}
	// ErrEmpty means that the file has no bytes. Open never creates an empty file, so this file
	// may have lost its content.
	ErrEmpty error = &refusal{"is empty", "remove it to start without records, or restore a copy"}
	// ErrForeign means that another program has written the file.
	ErrForeign error = &refusal{"is not a meshhealth store", "give another path"}
	// ErrNewerFormat means that a later release has written the file.
	ErrNewerFormat error = &refusal{"was written by a newer release", "run that release or a later one, or give another path"}
	// ErrLocked means that another process has opened the file.
	ErrLocked error = &refusal{"is in use by another process", "stop that process, or give another path"}
	// ErrReadOnly means that this process may not write to the file.
	ErrReadOnly error = &refusal{"is read-only", "make it and its file system writable for this user"}
	// ErrDamaged means that the content of the file is not what was written. The methods of an
	// open store return ErrDamaged too.
	ErrDamaged error = &refusal{"is damaged", "move it away or restore a copy"}
)

// refusedFile is the error for a file that Open or a later call cannot use.
type refusedFile struct {
	path   string
	why    error  // reason of the refusal: one of the exported errors of this package, such as ErrDamaged
	detail string // what was found in the file; may be empty
	opened bool   // true if the damage was found after Open, so that the store may have changed the file
}

// Error implements error.
func (e *refusedFile) Error() string {
	why := e.why.(*refusal)
	var b strings.Builder
	b.WriteString("store: " + e.path + " " + why.predicate)
	if e.detail != "" {
		b.WriteString(" (" + e.detail + ")")
	}
	if !e.opened && e.why != ErrNoPlace {
		b.WriteString("; the file was not changed")
	}
	b.WriteString("; " + why.advice)
	return b.String()
}

// Unwrap returns the reason of the refusal, such as ErrDamaged.
func (e *refusedFile) Unwrap() error { return e.why }

// unsuitable is the error for a file that is not damaged but cannot be used.
type unsuitable struct {
	why    error // reason: ErrForeign or ErrNewerFormat
	detail string
}

// Error implements error.
func (u *unsuitable) Error() string { return u.why.Error() + ": " + u.detail }

// corruption is the error for damage at one place of a file.
type corruption struct {
	place string
	what  error
}

// Error implements error.
func (c *corruption) Error() string { return c.place + ": " + c.what.Error() }

// Unwrap returns the fault that was found at the place.
func (c *corruption) Unwrap() error { return c.what }

// boltPanic is the error for a panic of bbolt. Such a panic means that the file is damaged.
type boltPanic struct{ value any }

// Error implements error.
func (p *boltPanic) Error() string { return fmt.Sprint(p.value) }

// catchPanics runs f and returns a panic of f as an error. It does the same with a memory fault
// in the mapped file, which would otherwise end the process. It cannot catch panics of other
// goroutines. So f must not start goroutines, and must not call the checks of bbolt, because
// these checks start goroutines.
func catchPanics(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &boltPanic{v}
		}
	}()
	return f()
}

// isDamage reports whether err can only come from a damaged file.
func isDamage(err error) bool {
	var p *boltPanic
	var c *corruption
	return errors.As(err, &p) || errors.As(err, &c) || errors.Is(err, io.EOF) || errors.Is(err, berrors.ErrInvalid) ||
		errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch)
}

// openError converts err into the error that Open returns for the file at path. It returns nil
// if err is nil.
func openError(path string, err error) error {
	var u *unsuitable
	switch {
	case err == nil:
		return nil
	case errors.As(err, &u):
		return &refusedFile{path: path, why: u.why, detail: u.detail}
	case errors.Is(err, berrors.ErrTimeout):
		return &refusedFile{path: path, why: ErrLocked}
	case isDamage(err):
		return &refusedFile{path: path, why: ErrDamaged, detail: err.Error()}
	default:
		return fmt.Errorf("store: %s: %w", path, err)
	}
}
