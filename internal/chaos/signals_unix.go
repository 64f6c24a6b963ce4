//go:build unix

package chaos

import (
	"os"
	"syscall"
)

// supported is true because this system can suspend and resume a process.
const supported = true

// signalGroup sends a signal to a process and its children. The scenario "slowdisk" needs the
// children, since its coordinator is a child of strace.
func signalGroup(p *os.Process, s syscall.Signal) error { return syscall.Kill(-p.Pid, s) }

func suspendGroup(p *os.Process) error { return signalGroup(p, syscall.SIGSTOP) }
func resumeGroup(p *os.Process) error  { return signalGroup(p, syscall.SIGCONT) }
func killGroup(p *os.Process) error    { return signalGroup(p, syscall.SIGKILL) }
