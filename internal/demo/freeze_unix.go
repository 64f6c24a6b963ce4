//go:build unix

package demo

import (
	"os"
	"syscall"
)

// canFreeze: this system can stop a process and let it go on.
const canFreeze = true

func signalFreeze(p *os.Process, frozen bool) error {
	if frozen {
		return p.Signal(syscall.SIGSTOP)
	}
	return p.Signal(syscall.SIGCONT)
}
