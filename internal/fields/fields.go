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

// Addf appends a fault of field. The text of the fault is formatted from format and args, as in
// fmt.Errorf.
func (e *Errors) Addf(field, format string, args ...any) {
	e.Add(field, fmt.Errorf(format, args...))
}

// Join returns one error whose text has one line for each fault. It returns nil if there are no
// faults.
func (e Errors) Join() error { return errors.Join(e...) }

// Flatten returns the errors that errors.Join has joined in err, at every depth. If err is nil, the
// result is empty.
func Flatten(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range several.Unwrap() {
		all = append(all, Flatten(one)...)
	}
	return all
}
