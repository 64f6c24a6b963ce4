package boltstore

import "strings"

// refusal is why a file is not used, and what to do about it.
type refusal struct{ what, advice string }

// Error implements error.
func (r *refusal) Error() string { return "boltstore: " + r.what }

// Why a file is refused. It was left as it is.
var (
	// ErrNotAFile: the path leads to a directory, a device or the like.
	ErrNotAFile error = &refusal{"not a regular file", "give the path of a file"}
	// ErrNoPlace: the folder is none, or may not be read or written to.
	ErrNoPlace error = &refusal{"no place for a store", "give a folder that this user may write to"}
	// ErrEmpty: a file of no bytes. Our own are never empty, so one that is
	// may have lost its content.
	ErrEmpty error = &refusal{"an empty file", "remove it to start anew, or restore a copy"}
	// ErrForeign: somebody else's file.
	ErrForeign error = &refusal{"not a meshhealth store", "give another path"}
	// ErrNewerFormat: a later release wrote it.
	ErrNewerFormat error = &refusal{"written by a newer release", "run that release or a later one, or give another path"}
	// ErrLocked: another process has it open.
	ErrLocked error = &refusal{"in use by another process", "stop that one, or give another path"}
	// ErrReadOnly: it may not be written to.
	ErrReadOnly error = &refusal{"read-only", "make it and its file system writable for this user"}
	// ErrDamaged: it does not hold what was once written. Methods of an open
	// store return it too.
	ErrDamaged error = &refusal{"damaged", "move it away or restore a copy"}
)

// refused is a refusal of one file.
type refused struct {
	path   string
	why    error  // one of the above
	detail string // may be empty
	open   bool   // it came to light later
}

// Error implements error.
func (e *refused) Error() string {
	why := e.why.(*refusal)
	var b strings.Builder
	b.WriteString("boltstore: " + e.path + ": " + why.what)
	if e.detail != "" {
		b.WriteString(" (" + e.detail + ")")
	}
	if !e.open && e.why != ErrNoPlace {
		b.WriteString(": the file was left as it is")
	}
	b.WriteString("; " + why.advice)
	return b.String()
}

// Unwrap returns the sentinel.
func (e *refused) Unwrap() error { return e.why }
