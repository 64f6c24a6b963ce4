//go:build !unix

package chaos

import (
	"errors"
	"os"
)

// supported: this system cannot stop a process and let it go on.
const supported = false

func stopGroup(*os.Process) error   { return errors.ErrUnsupported }
func contGroup(*os.Process) error   { return errors.ErrUnsupported }
func killGroup(p *os.Process) error { return p.Kill() }
