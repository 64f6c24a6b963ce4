package fields

import (
	"errors"
	"fmt"
)

// Error is a fault of one field. Its text is `FIELD: TEXT`.
type Error struct {
	Field string
	Err   error
}

func (e *Error) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the fault without the name of the field.
func (e *Error) Unwrap() error { return e.Err }

// Errors is a list of faults in the order in which they were found. The zero value is empty and
// ready to use.
type Errors []error

// Add appends err as a fault of field. It ignores an err that is nil.
func (e *Errors) Add(field string, err error) {
	if err != nil {
		*e = append(*e, &Error{field, err})
	}
}

// Addf appends a fault of field. The other arguments are those of fmt.Errorf.
func (e *Errors) Addf(field, format string, args ...any) {
	e.Add(field, fmt.Errorf(format, args...))
}

// Join returns all faults as one error with one line each, or nil if there are none.
func (e Errors) Join() error { return errors.Join(e...) }
