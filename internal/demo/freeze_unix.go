//go:build unix

package demo

import (
	"os"
	"syscall"
)

// canFreeze is true because this system can suspend and resume a process.
const canFreeze = true

func signalFreeze(p *os.Process, frozen bool) error {
	if frozen {
		return p.Signal(syscall.SIGSTOP)
	}
	return p.Signal(syscall.SIGCONT)
}
