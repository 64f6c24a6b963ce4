package boltstore

import (
	"fmt"
	"runtime/debug"
)

// fault is a panic of bbolt's, by which it says that a file is damaged.
type fault struct{ value any }

// Error implements error.
func (f *fault) Error() string { return fmt.Sprint(f.value) }

// guard runs f and turns a panic into an error; a bad address inside the mapped
// file too, which otherwise ends the process. It works for the calling
// goroutine only: nothing in f may start one, as bbolt's own checks do.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &fault{v}
		}
	}()
	return f()
}
