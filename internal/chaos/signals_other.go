//go:build !unix

package chaos

import (
	"errors"
	"os"
	"syscall"
)

// supported is false because this system cannot suspend and resume a process.
const supported = false

func suspendGroup(*os.Process) error { return errors.ErrUnsupported }
func resumeGroup(*os.Process) error  { return errors.ErrUnsupported }
func killGroup(p *os.Process) error  { return p.Kill() }

func childAttributes() *syscall.SysProcAttr { return nil }
