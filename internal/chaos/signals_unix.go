//go:build unix

package chaos

import (
	"os"
	"syscall"
)

// supported: this system can stop a process and let it go on.
const supported = true

// signalGroup reaches the process and what it has started: strace has a child.
func signalGroup(p *os.Process, s syscall.Signal) error { return syscall.Kill(-p.Pid, s) }

func stopGroup(p *os.Process) error { return signalGroup(p, syscall.SIGSTOP) }
func contGroup(p *os.Process) error { return signalGroup(p, syscall.SIGCONT) }
func killGroup(p *os.Process) error { return signalGroup(p, syscall.SIGKILL) }
