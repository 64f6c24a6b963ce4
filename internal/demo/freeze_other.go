//go:build !unix

package demo

import (
	"errors"
	"os"
)

// canFreeze is false because this system cannot suspend and resume a process.
const canFreeze = false

func signalFreeze(*os.Process, bool) error { return errors.ErrUnsupported }
