//go:build !unix

package demo

import (
	"errors"
	"os"
)

// canFreeze: this system cannot stop a process and let it go on.
const canFreeze = false

func signalFreeze(*os.Process, bool) error { return errors.ErrUnsupported }
